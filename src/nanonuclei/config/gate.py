"""What a model must show to become champion: the section `gate` of `params.yaml`, one part per task."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from nanonuclei.config.params import read_yaml
from nanonuclei.config.section import Count, Fraction, Positive, Section
from nanonuclei.errors import ConfigError, nearest_name

SECTION = "gate"


class GateConfig(Section):
    """Bounds on the test split, and on what serving costs; differences are challenger less champion.

    Attributes:
        where_known: Metrics of `least` and `most` that are asked for only where the test images can tell them.
    """

    least: dict[str, float]
    most: dict[str, float]
    where_known: list[str]
    compared: Annotated[str, Field(min_length=1)]
    min_gain: Annotated[float, Field(ge=-1.0, le=1.0)]
    min_gain_low: Annotated[float, Field(ge=-1.0, le=1.0)]
    max_loss: Fraction
    min_images: Count
    bootstrap: Annotated[int, Field(ge=100, le=100_000)]
    max_cpu_seconds_per_megapixel: Positive
    max_megabytes: Positive


def load_gate(task: str, *, path: Path) -> GateConfig:
    """Reads the gate of one task.

    Raises:
        ConfigError: The file has none for it, or a value is missing, unknown or not allowed.
    """
    tree = read_yaml(path)
    gates = tree.get(SECTION) if isinstance(tree, dict) else None
    if not isinstance(gates, dict) or not isinstance(gates.get(task), dict):
        known = gates if isinstance(gates, dict) else {}
        raise ConfigError(f"{path} must hold {SECTION}.{task}, the gate of that task. {nearest_name(task, known)}")
    try:
        return GateConfig.model_validate(gates[task])
    except ValidationError as error:
        lines = [_told(problem, f"{path}: {SECTION}.{task}") for problem in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def check_metrics(gate: GateConfig, known: Collection[str], *, task: str, path: Path) -> None:
    """Makes sure that a gate asks for metrics that a model was scored by.

    Args:
        gate: The gate.
        known: The metrics of the model's test images; those of `where_known` may lack.
        task: Whose gate it is.
        path: Of the file that holds it, for the message.

    Raises:
        ConfigError: It asks for another.
    """
    asked = {**dict.fromkeys(gate.least, "least"), **dict.fromkeys(gate.most, "most"), gate.compared: "compared"}
    for metric, bound in asked.items():
        if metric not in known and metric not in gate.where_known:
            raise ConfigError(
                f"{path}: {SECTION}.{task}.{bound} names {metric!r}, which is no metric of the run's test images. "
                f"{nearest_name(metric, known)}"
            )


def _told(problem: Any, section: str) -> str:
    *above, name = map(str, problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{section}: unknown bound {name!r}. {nearest_name(name, GateConfig.model_fields)}"
    if problem["type"] == "missing":
        return f"{section}: {name} is missing"
    message = problem["msg"]
    return f"{section}.{'.'.join([*above, name])}={problem['input']}: {message[0].lower()}{message[1:]}"
