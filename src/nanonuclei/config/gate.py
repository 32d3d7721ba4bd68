"""What a model must show to become champion: the section `gate` of `params.yaml`, one part per task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
        lines = [
            f"{path}: {'.'.join([SECTION, task, *map(str, problem['loc'])])}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise ConfigError("\n".join(lines)) from None
