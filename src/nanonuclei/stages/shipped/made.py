"""What a run tells of the model that it logged: scores, images, training."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.data.catalog import SPLITS
from nanonuclei.errors import TrackingError
from nanonuclei.serving.shipped.provenance import SCORED_IN, DataMade, Score, Training, file_sha256
from nanonuclei.stages.places import LOCK
from nanonuclei.stages.shipped.adopt import ELSEWHERE
from nanonuclei.tasks import dataset_type
from nanonuclei.tracking.metrics import steps_logged
from nanonuclei.tracking.origin.lineage import Recorded
from nanonuclei.tracking.runs import existing_run

SCORES = "evaluation/test_metrics.csv"
"""Artifact of a run that was scored on the test images."""


def scores_of(run_id: str) -> list[Score]:
    """Returns the scores on the test images that a run holds.

    Raises:
        TrackingError: It holds none.
    """
    try:
        text = mlflow.artifacts.load_text(f"runs:/{run_id}/{SCORES}")
    except MlflowException as error:
        raise TrackingError(
            f"run {run_id} must hold a score on the test images ({SCORES}), but holds none: its training did not end, "
            "or is another stage. Name a finished training, or the evaluation of the pipeline"
        ) from error
    table = pd.read_csv(io.StringIO(text))
    return [
        Score(
            group=row["group"],
            metric=row["metric"],
            value=round(row["value"], 6),
            low=round(row["low"], 6) if np.isfinite(row["low"]) else None,
            high=round(row["high"], 6) if np.isfinite(row["high"]) else None,
        )
        for row in table.to_dict("records")
        if np.isfinite(row["value"])
    ]


def _training_run(recorded: Recorded) -> Any:
    """Returns the run that trained: of a pipeline, whose evaluation logs the model, an earlier one."""
    return existing_run(recorded.get("upstream.train", recorded["run_id"]))


def data_of(config: ExperimentConfig, recorded: Recorded) -> DataMade:
    """Returns the images that the model of a run was trained and scored on."""
    run_id, dataset = _training_run(recorded).info.run_id, dataset_type(config.task)
    text = mlflow.artifacts.load_text(f"runs:/{run_id}/data/catalog.csv")
    splits = pd.read_csv(io.StringIO(text), dtype=str)["split"].value_counts()
    return DataMade(
        name=recorded["dataset"],
        real=recorded["dataset"] in dataset.locations,
        md5=recorded.get("dataset_md5", ""),
        split=recorded["split_fingerprint"],
        images={split: int(splits.get(split, 0)) for split in SPLITS},
        licence=dataset.licences.get(recorded["dataset"], "Licence not known"),
    )


def training_of(config: ExperimentConfig, recorded: Recorded) -> Training:
    """Returns how the weights of the model of a run came about."""
    run = _training_run(recorded)
    run_id, tags = run.info.run_id, run.data.tags
    try:
        lock = file_sha256(Path(mlflow.artifacts.download_artifacts(f"runs:/{run_id}/environment/{LOCK.name}")))
    except (MlflowException, OSError):
        lock = ""
    return Training(
        run=recorded["run_id"],
        commit=tags.get("git.commit", ""),
        dirty=tags.get("git.dirty", "false") == "true",
        lock=lock,
        hardware={
            **{name.removeprefix("hardware."): value for name, value in tags.items() if name.startswith("hardware.")},
            SCORED_IN: existing_run(recorded["run_id"]).data.tags.get("inference.precision", "float32"),
        },
        seconds=round(float(run.data.metrics.get("train_seconds", 0.0)), 1),
        epochs=len(steps_logged(run_id, "train/loss")),
        seed=config.seed,
        elsewhere=tags.get(ELSEWHERE) == "true",
    )
