"""The runs of a comparison: found by their settings, or named, and what is read of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import Scalar, flatten, load_experiment
from nanonuclei.config.section import Role, paths_of, sections_of, starts_with
from nanonuclei.errors import TrackingError
from nanonuclei.invocation import command
from nanonuclei.serving.folder import CONFIG
from nanonuclei.stages.places import PARAMS, run_folder
from nanonuclei.tasks import create_task
from nanonuclei.tasks.dataset import SIMULATED
from nanonuclei.tasks.values import IDENTITY
from nanonuclei.tracking.early.runs import check_compared
from nanonuclei.tracking.runs import existing_run

PER_IMAGE = "evaluation/test_per_image.csv"
CURVES = ("train/loss", "val/loss", "train/accuracy", "val/accuracy")
WITHOUT_INFLUENCE = (Role.SCORING, Role.SEARCH, Role.MACHINE)
"""Roles of the settings in which runs of one recipe and seed may differ: they decide no score of an image."""
SPLIT = "split.fingerprint"


@dataclass(frozen=True)
class ComparedRun:
    """What a comparison reads of a finished training.

    Attributes:
        run_id: Its id.
        seed: Of weights and patches.
        split: Fingerprint of its split.
        config: Its settings.
        commit: Of the code.
        per_image: One row per test image.
        curves: Metric to one value per epoch.
        train_seconds: Wall time of the training, all parts where it was resumed.
        inference_ms: Time within the network for a megapixel of test images, ms.
    """

    run_id: str
    seed: int
    split: str
    config: ExperimentConfig
    commit: str
    per_image: pd.DataFrame
    curves: Mapping[str, Sequence[float]]
    train_seconds: float
    inference_ms: float


def finished_run(config: ExperimentConfig, *, split: str) -> str | None:
    """Returns the latest finished training with these settings, seed and split, in whatever experiment; None if none.

    Args:
        config: With `data.dataset` decided.
        split: Fingerprint.
    """
    found = [run for run in _candidates(config, split) if run.data.tags.get("finished") == "true"]
    return found[0].info.run_id if found else None


def broken_off_run(config: ExperimentConfig, *, split: str) -> str | None:
    """Returns the latest training of that kind that was cut off and can be gone on with here; None if none."""
    for run in _candidates(config, split):
        state = run_folder(run.info.run_id) / "state.json"
        if run.data.tags.get("finished") != "true" and state.is_file():
            return str(run.info.run_id)
    return None


def read_run(run_id: str, *, task: str) -> ComparedRun:
    """Reads a finished training.

    Raises:
        TrackingError: There is no such run, it is no finished training of the task, or holds no score per test image.
    """
    run = existing_run(run_id)
    tags, metrics = run.data.tags, run.data.metrics
    check_compared(run_id, task=task, tags=tags)
    client = MlflowClient()
    if PER_IMAGE.rsplit("/", 1)[-1] not in {Path(e.path).name for e in client.list_artifacts(run_id, "evaluation")}:
        raise TrackingError(
            f"run {run_id} holds no {PER_IMAGE}: it did not score the test images, nor do trainings of the pipeline. "
            f"Name a run of `{command('train', task=task)}`"
        )
    per_image = pd.read_csv(_artifact(run_id, PER_IMAGE), dtype={"sample_id": str})
    config = load_experiment(task, path=_artifact(run_id, CONFIG), missing_from=PARAMS)
    _check_statistics(run_id, config, per_image)
    megapixels = float((per_image["height"] * per_image["width"]).sum()) / 1e6
    return ComparedRun(
        run_id=run_id,
        seed=int(run.data.params["seed"]),
        split=tags.get(SPLIT, ""),
        config=config,
        commit=tags.get("git.commit", ""),
        per_image=per_image,
        curves={name: _curve(run_id, name) for name in CURVES},
        train_seconds=metrics.get("train_seconds", float("nan")),
        inference_ms=1000.0 * metrics.get("test/network_seconds", float("nan")) / megapixels,
    )


def _check_statistics(run_id: str, config: ExperimentConfig, per_image: pd.DataFrame) -> None:
    """Makes sure that a run's table holds all statistics that its task's score needs."""
    try:
        create_task(config).score({name: np.ones(1) for name in per_image.columns if name not in IDENTITY})
    except KeyError as error:
        raise TrackingError(
            f"run {run_id} must hold all statistics that a score is made of, but {PER_IMAGE} lacks {error}: it was "
            "scored by an earlier version. Train anew, or compare other runs"
        ) from error


def decisive(settings: Mapping[str, Scalar], config: ExperimentConfig) -> dict[str, str]:
    """Returns the settings that decide a score, as MLflow logs them; the seed of the data too.

    Args:
        settings: A flattened config, or the parameters of a run, which may also be those of an entry point.
        config: Says which role a setting has.
    """
    ignored = {"task", *paths_of(config, WITHOUT_INFLUENCE)}
    heads = list(sections_of(config, WITHOUT_INFLUENCE))
    paths = [path for path in settings if path == "seed" or "." in path]
    found = {path: str(settings[path]) for path in paths if path not in ignored and not starts_with(path, heads)}
    found.setdefault("data.seed", found.get("seed", ""))  # runs that are older than this setting
    if found.get("data.dataset") != SIMULATED:
        found = {path: value for path, value in found.items() if not starts_with(path, ["data.simulated"])}
    return found


def _candidates(config: ExperimentConfig, split: str) -> list[Run]:
    """Returns trainings with these settings, the latest first; not those of the pipeline, which are scored apart."""
    client = MlflowClient()
    wanted = decisive(flatten(config), config)
    query = (
        f"tags.stage = 'train' and tags.task = '{config.task}' and tags.`{SPLIT}` = '{split}' "
        f"and params.seed = '{config.seed}'"
    )
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs(experiments, query, order_by=["attributes.start_time DESC"], page_token=token)
        found += [r for r in page if "pipeline" not in r.data.tags and decisive(r.data.params, config) == wanted]
        token = page.token
        if not token:
            return found


def _curve(run_id: str, metric: str) -> list[float]:
    """Returns one value per epoch; of one that was cut off and repeated, the later."""
    points = sorted(MlflowClient().get_metric_history(run_id, metric), key=lambda point: point.timestamp)
    by_epoch = {point.step: point.value for point in points}
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def _artifact(run_id: str, path: str) -> Path:
    return Path(mlflow.artifacts.download_artifacts(f"runs:/{run_id}/{path}"))
