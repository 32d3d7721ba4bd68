"""Ship: the model of a run becomes a folder below `models/` that comes along with the repository."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import flatten, load_experiment, to_yaml
from nanonuclei.engine.halved import halve_weights
from nanonuclei.imaging.types import Float32Array, Image
from nanonuclei.serving.folder import CONFIG, NETWORK, ONNX, load_folder, stored_task
from nanonuclei.serving.shipped.answers import write_answers
from nanonuclei.serving.shipped.card import card
from nanonuclei.serving.shipped.made_for import check_place
from nanonuclei.serving.shipped.places import MODELS
from nanonuclei.serving.shipped.provenance import (
    CARD,
    FORMAT,
    PROVENANCE,
    Provenance,
    folder_sha256,
    settings_digest,
)
from nanonuclei.serving.store import files_at, model_uri
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.shipped.made import data_of, scores_of, training_of
from nanonuclei.stages.shipped.small_images import small_images
from nanonuclei.tasks import create_task
from nanonuclei.tracking.origin.lineage import recorded_facts, run_of
from nanonuclei.tracking.runs import existing_run
from nanonuclei.writing import being_made


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
        TrackingError: There is no such model, it was not scored on the test images, or recorded no lineage; or the
            folder holds a model of another task.
    """
    run_id = run_of(reference)
    files, recorded = files_at(model_uri(existing_run(run_id))), recorded_facts(run_id)
    path = files / CONFIG
    config = load_experiment(stored_task(path), path=path, missing_from=PARAMS)
    scores, name = scores_of(run_id), name or config.task
    check_place(name, config.task, dataset=config.data.dataset, models=models)
    target = models / name
    with being_made(target) as partial:
        (partial / CONFIG).write_text(to_yaml(config), encoding="utf-8")
        for file in files.iterdir():
            if file.is_file() and file.name not in (NETWORK, ONNX, CONFIG):
                shutil.copyfile(file, partial / file.name)
        examples = small_images(config)
        batches = [*_noise(config), *(batch_of(config, image) for image in examples.values())]
        difference = halve_weights(files / ONNX, partial / ONNX, batches=batches)
        write_answers(partial, *load_folder(partial, name=name), examples)
        made = Provenance(
            format=FORMAT,
            task=config.task,
            files={},
            settings=settings_digest(partial / CONFIG),
            half_difference=difference,
            data=data_of(config, recorded),
            training=training_of(config, recorded),
            scores=scores,
        )
        task = create_task(config)
        text = card(
            name,
            made,
            settings=flatten(config),
            metric_names=task.metric_names,
            cautions=task.cautions,
            choices=task.choices,
        )
        (partial / CARD).write_text(text, encoding="utf-8")
        made = made.model_copy(update={"files": folder_sha256(partial)})
        (partial / PROVENANCE).write_text(made.model_dump_json(indent=1) + "\n", encoding="utf-8")
        _put(partial, target)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    say(
        f"{target}: the model of run {run_id}, {size / 1e6:.1f} MB; halved weights change a score by "
        f"{difference:.1g} at most. `git add {target}` and commit it."
    )
    return target


def _put(partial: Path, target: Path) -> None:
    """Puts a finished folder in place of an older one."""
    if target.exists():
        target.rename(partial.with_name("older"))  # it goes with the temporary folder
    partial.rename(target)


def _noise(config: ExperimentConfig) -> Iterator[Float32Array]:
    rng = np.random.default_rng(0)
    for shape in create_task(config).export_shapes:
        yield rng.random(shape, np.float32)


def batch_of(config: ExperimentConfig, image: Image) -> Float32Array:
    """Returns an image as a batch of one that the network takes.

    It is cut to a multiple of the smallest step of a network, 32 px, and mirrored where it is smaller than the least
    that the network is exported for, such as a window.
    """
    task = create_task(config)
    shown, shapes = task.network_input(image), task.export_shapes
    least = [min(shape[axis] for shape in shapes) for axis in (1, 2)]
    height, width = (max(extent // 32 * 32, side) for extent, side in zip(shown.shape, least, strict=False))
    beyond = [(0, max(0, side - extent)) for extent, side in zip(shown.shape, (height, width), strict=False)]
    return np.pad(shown, [*beyond, (0, 0)], mode="symmetric")[None, :height, :width]
