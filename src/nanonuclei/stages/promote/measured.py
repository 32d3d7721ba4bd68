"""What is measured of a model before it may be champion: time, size, signature, and what it gains."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.gate import GateConfig
from nanonuclei.errors import ConfigError, DataError, nearest_name
from nanonuclei.imaging.networks import Network
from nanonuclei.report.compare import Arm, Bootstrap, compare_arms
from nanonuclei.serving.store import model_files
from nanonuclei.tasks import create_reader, create_task
from nanonuclei.tracking.gate import Gain

TIMINGS, ENOUGH_SECONDS = 7, 10.0
"""Calls of the network that its time is the median of; fewer where they have taken so much CPU time."""


def gains(
    config: ExperimentConfig, champion: pd.DataFrame, challenger: pd.DataFrame, gate: GateConfig
) -> tuple[Gain, ...]:
    """Compares two models image by image, over all images and per modality; see `report.compare.compare_arms`.

    Args:
        config: Of the challenger.
        champion: Statistics per image, as `Report.per_image`.
        challenger: Of the same images.
        gate: What is compared, and how often it is resampled.

    Raises:
        DataError: The tables are of other images.
        ConfigError: There is no such metric.
    """
    if set(champion["sample_id"]) != set(challenger["sample_id"]):
        raise DataError(
            f"models are compared on the same images, got {len(champion)} and {len(challenger)} that are not the same. "
            f"Score both on one split"
        )
    arms = [Arm(name, (0,), (table,)) for name, table in (("champion", champion), ("challenger", challenger))]
    table = compare_arms(arms, create_task(config).score, bootstrap=Bootstrap(gate.bootstrap, config.seed))
    rows = table[(table["arm"] == "challenger") & (table["metric"] == gate.compared)]
    if rows.empty:
        raise ConfigError(
            f"gate.{config.task}.compared in params.yaml must be a metric, got {gate.compared!r}. "
            f"{nearest_name(gate.compared, sorted(table['metric'].unique()))}"
        )
    counts = challenger["modality"].value_counts().to_dict() | {"all": len(challenger)}
    return tuple(
        Gain(row["group"], row["difference"], row["low"], row["high"], counts[row["group"]])
        for row in rows.to_dict("records")
    )


def cpu_seconds_per_megapixel(network: Network, config: ExperimentConfig) -> float:
    """Returns the work of the network on one window or tile, the median of several: other work here does not count."""
    timing = create_reader(config).timing(network)
    network, side = timing.network, timing.side
    image = np.random.default_rng(config.seed).random((1, side, side, 3), np.float32)
    network(image)
    seconds: list[float] = []
    while len(seconds) < TIMINGS and sum(seconds) < ENOUGH_SECONDS:
        started = time.process_time()
        network(image)
        seconds.append(time.process_time() - started)
    return float(np.median(seconds)) / (timing.settled**2 / 1e6)


def megabytes(uri: str) -> float:
    """Returns the size of the files of a logged model, MB."""
    folder = model_files(uri).parent
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def described(signature: ModelSignature) -> str:
    """Returns names and types of what a model takes and answers; defaults of parameters may differ."""
    taken = [f"{column.name}: {column.type}" for column in signature.inputs.inputs]
    answered = [f"{column.name}: {column.type.name}" for column in signature.outputs.inputs]
    parameters = [f"{spec.name}: {spec.dtype.name}" for spec in signature.params.params] if signature.params else []
    return f"({', '.join([*taken, *parameters])}) -> ({', '.join(answered)})"
