"""Ship: the model of a run becomes a folder below `models/` that comes along with the repository."""

from __future__ import annotations

import io
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import flatten, load_experiment, to_yaml, with_settings
from nanonuclei.config.stored import stored_task
from nanonuclei.data.catalog import SPLITS
from nanonuclei.engine.halved import halve_weights
from nanonuclei.errors import TrackingError
from nanonuclei.imaging.types import Float32Array, Image, UInt8Array
from nanonuclei.serving.folder import CONFIG, NETWORK, ONNX, load_folder
from nanonuclei.serving.shipped.answers import write_answers
from nanonuclei.serving.shipped.card import card
from nanonuclei.serving.shipped.places import MODELS
from nanonuclei.serving.shipped.provenance import (
    CARD,
    FORMAT,
    PROVENANCE,
    DataMade,
    Provenance,
    Score,
    Training,
    file_sha256,
    folder_sha256,
    settings_digest,
)
from nanonuclei.serving.store import files_at, model_uri
from nanonuclei.stages.places import LOCK, PARAMS
from nanonuclei.stages.shipped.adopt import ELSEWHERE
from nanonuclei.tasks import create_dataset, create_task, dataset_type
from nanonuclei.tasks.dataset import SIMULATED
from nanonuclei.tracking.lineage import Recorded, recorded_facts, run_of
from nanonuclei.tracking.metrics import steps_logged
from nanonuclei.tracking.runs import existing_run

SCORES = "evaluation/test_metrics.csv"
"""Artifact of a run that was scored on the test images."""

NUM_EXAMPLES = 3
"""Simulated images whose answers are stored beside the task's own example."""

LARGEST_EXAMPLE = 256
"""Side that simulated images are cut to, px."""


def ship(reference: str, *, name: str = "", models: Path = MODELS, say: Callable[[str], None] = print) -> Path:
    """Writes the model of a finished training, scored on the test images, as one that comes along.

    The folder holds the network in ONNX form with halved weights, its config and what else its task needs, the model
    card, the provenance with a hash of each file, and small images with what the network answers to them. It replaces
    an older one of the same name once all is written.

    Args:
        reference: A run's id, or a model's URI such as ``models:/nuclei@champion``.
        name: By which the model is asked for; its task's where empty.
        models: Folder to write to.
        say: Told what the user should read.

    Returns:
        The folder.

    Raises:
        ExportError: Halved weights change the answers too much.
        TrackingError: There is no such model, it was not scored on the test images, or recorded no lineage.
    """
    run_id = run_of(reference)
    files, recorded = files_at(model_uri(existing_run(run_id))), recorded_facts(run_id)
    path = files / CONFIG
    config = load_experiment(stored_task(path), path=path, missing_from=PARAMS)
    scores, name = _scores(run_id), name or config.task
    partial, target = models / f".{name}.{os.getpid()}.tmp", models / name
    partial.mkdir(parents=True)
    try:
        (partial / CONFIG).write_text(to_yaml(config), encoding="utf-8")
        for file in files.iterdir():
            if file.is_file() and file.name not in (NETWORK, ONNX, CONFIG):
                shutil.copyfile(file, partial / file.name)
        examples = _examples(config)
        batches = [*_noise(config), *(_batch(config, image) for image in examples.values())]
        difference = halve_weights(files / ONNX, partial / ONNX, batches=batches)
        write_answers(partial, *load_folder(partial, name=name), examples)
        made = Provenance(
            format=FORMAT,
            task=config.task,
            files={},
            settings=settings_digest(partial / CONFIG),
            half_difference=difference,
            data=_data(config, recorded),
            training=_training(config, recorded),
            scores=scores,
        )
        task = create_task(config)
        text = card(name, made, settings=flatten(config), metric_names=task.metric_names, cautions=task.cautions)
        (partial / CARD).write_text(text, encoding="utf-8")
        made = made.model_copy(update={"files": folder_sha256(partial)})
        (partial / PROVENANCE).write_text(made.model_dump_json(indent=1) + "\n", encoding="utf-8")
        _put(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    say(
        f"{target}: the model of run {run_id}, {size / 1e6:.1f} MB; halved weights change a score by "
        f"{difference:.1g} at most. `git add {target}` and commit it."
    )
    return target


def _put(partial: Path, target: Path) -> None:
    """Puts a finished folder in place of an older one."""
    older = partial.with_name(f"{partial.name}.older")
    if target.exists():
        target.rename(older)
    partial.rename(target)
    shutil.rmtree(older, ignore_errors=True)


def _scores(run_id: str) -> list[Score]:
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


def _data(config: ExperimentConfig, recorded: Recorded) -> DataMade:
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


def _training(config: ExperimentConfig, recorded: Recorded) -> Training:
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
            name.removeprefix("hardware."): value for name, value in tags.items() if name.startswith("hardware.")
        },
        seconds=round(float(run.data.metrics.get("train_seconds", 0.0)), 1),
        epochs=len(steps_logged(run_id, "train/loss")),
        seed=config.seed,
        elsewhere=tags.get(ELSEWHERE) == "true",
    )


def _examples(config: ExperimentConfig) -> Mapping[str, Image]:
    """Returns small images of known look: the task's own example, and the first ones that its simulator draws."""
    simulated = create_dataset(with_settings(config, {"data.dataset": SIMULATED})).samples(None)
    drawn = (sample.image[:LARGEST_EXAMPLE, :LARGEST_EXAMPLE] for sample in itertools.islice(simulated, NUM_EXAMPLES))
    images: dict[str, UInt8Array] = {"example": create_task(config).example()}
    return images | {f"simulated-{number}": image for number, image in enumerate(drawn, start=1)}


def _noise(config: ExperimentConfig) -> Iterator[Float32Array]:
    rng = np.random.default_rng(0)
    for shape in create_task(config).export_shapes:
        yield rng.random(shape, np.float32)


def _batch(config: ExperimentConfig, image: Image) -> Float32Array:
    """Returns an image as a batch of one, cut to a multiple of the smallest step of a network, 32 px."""
    shown = create_task(config).network_input(image)
    height, width = (extent // 32 * 32 for extent in shown.shape[:2])
    return shown[None, :height, :width]
