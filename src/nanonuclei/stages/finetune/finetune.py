"""Fine-tune: a stored model learns from a few new images, and the run ends with whether it is better for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from mlflow.tracking import MlflowClient

from nanonuclei.config.gate import load_gate
from nanonuclei.config.params import parse_settings
from nanonuclei.errors import DataError
from nanonuclei.invocation import command
from nanonuclei.serving.named import open_model
from nanonuclei.stages.finetune.settings import finetuning
from nanonuclei.stages.finetune.start import (
    Start,
    begin_with,
    can_be_compared_on,
    old_dataset,
    old_test_images,
    with_old_images,
)
from nanonuclei.stages.finetune.verdict import UNDONE, Verdict, is_it_better
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.stages.samples import training_samples, validation_samples
from nanonuclei.stages.settings import changed_by
from nanonuclei.stages.train import train
from nanonuclei.tasks import dataset_type
from nanonuclei.tasks.dataset import SIMULATED
from nanonuclei.tracking.runs import existing_run

COMPARISON = "finetune/comparison.csv"
VERDICT, BETTER = "finetune.verdict", "finetune.better"
"""Artifact and tags of the run that tell whether the model is better: the sentence, and true or false."""


def finetune(
    dataset: str, *, model: str, settings: Sequence[str] = (), say: Callable[[str], None] = print
) -> tuple[str, Verdict]:
    """Trains a stored model on new images for some minutes, and compares it with what it was.

    Old training images are shown again beside the new ones where they are at hand. The model stays as it was where the
    new validation images gain nothing. Settings are those of the model, changed by the recipe of the task.

    Args:
        dataset: Name of the new images, such as ``mine``.
        model: See `serving.named.find_model`.
        settings: Texts ``path=value``, on top of the recipe.
        say: Told what the user should read.

    Returns:
        The run's id, and whether the model is better.

    Raises:
        ConfigError: There is no such dataset, or a setting is not one that may be changed.
        DataError: The images are not there, or too few to compare on.
        TrackingError: There is no such model, or its weights cannot be read back.
    """
    start = begin_with(model)
    open_model(start.reference, missing_from=PARAMS)  # what cannot be compared in the end is not trained first
    task = start.config.task
    config = finetuning(start.config, dataset, parse_settings(settings), model=start.reference)
    recipe, gate = dataset_type(task).finetune_recipe, load_gate(task, path=PARAMS)
    catalog, _ = prepared_dataset(config, say=say)
    new, val = training_samples(catalog, config), validation_samples(catalog, config)
    if not can_be_compared_on(catalog.split("test")):
        raise DataError(
            f"the test images of {dataset} must be of two fields of view at least, so that models can be compared on "
            f"them, got {len(catalog.split('test'))} of one. Add images, or raise data.split.test"
        )
    start = with_old_images(start, dataset, new=len(new), say=say)
    known_before = old_dataset(start, dataset)
    say(_begins(start, model, (len(new), len(val), len(catalog.split("test"))), known_before))
    run_id = train(config, recipe=recipe, changed=changed_by(settings), start=start, prepared=True, say=say)
    sets = {f"the held-out images of {dataset}": catalog.split("test")}
    old = start.replayed_name or known_before
    if old and (images := old_test_images(start.config, old, say=say)):
        sets[f"the test images of {old}"] = images
    say("\nIs it better? Both models on the same images ...")
    found = _undone(is_it_better(start.reference, run_id, sets, gate=gate), run_id)
    _log(run_id, found)
    say(f"\n{found.table}\n\n{found.sentence}")
    if found.better:
        say(f"Make it champion, if it passes the gate: {command('promote', task=task, run=run_id)}")
    return run_id, found


def _begins(start: Start, model: str, counts: tuple[int, int, int], old: str) -> str:
    text = (
        f"Fine-tuning {model}. Images to learn from: {counts[0]}; to decide whether the result is kept: {counts[1]}; "
        f"held out for the comparison: {counts[2]}."
    )
    if start.replayed:
        images = "1 image of {} is" if len(start.replayed) == 1 else f"{len(start.replayed):,} images of {{}} are"
        text += f" {images.format(start.replayed_name)} shown again beside them."
        if old in ("", start.replayed_name):
            return text
    what = f"the images of {old} are" if old else "the images that it was trained on are"
    risk = "" if start.replayed else ", so that nothing guards what the model knew before"
    remedy = f" `{dataset_type(start.config.task).fetch_command(old)}` gets them." if old not in ("", SIMULATED) else ""
    return f"{text}\nWarning: {what} not here{risk}.{remedy}"


def _undone(found: Verdict, run_id: str) -> Verdict:
    """Returns what is told of two models, which are one where no epoch of the training was better than its start."""
    undone = existing_run(run_id).data.metrics.get("best_epoch") == 0.0
    return replace(found, sentence=UNDONE) if undone else found


def _log(run_id: str, found: Verdict) -> None:
    """Logs the comparison to the training's run."""
    client = MlflowClient()
    client.log_text(run_id, found.rows.to_csv(index=False), COMPARISON)
    client.set_tag(run_id, VERDICT, found.sentence)
    client.set_tag(run_id, BETTER, str(found.better).lower())
    first = found.rows["metric"].iloc[0]
    for place, row in enumerate(found.rows[found.rows["metric"] == first].to_dict("records")):
        for name in ("difference", "low", "high"):
            if np.isfinite(row[name]):
                client.log_metric(run_id, f"finetune/{('new', 'old')[place]}/{first}_{name}", row[name])
