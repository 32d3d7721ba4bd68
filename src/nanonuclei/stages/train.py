"""Train: one run that holds settings, data, metrics of every epoch, the score on the test images and the model."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import flatten, load_experiment, to_yaml
from nanonuclei.config.section import Role
from nanonuclei.counted import counted
from nanonuclei.data.catalog import SPLITS, Catalog
from nanonuclei.data.versions import dataset_md5, file_md5
from nanonuclei.drawing.charts import learning_curves
from nanonuclei.engine.checkpoint import load_state
from nanonuclei.engine.networks import for_inference
from nanonuclei.engine.stored.convert import check_convertible
from nanonuclei.engine.train import FitResult, fit
from nanonuclei.errors import TrackingError
from nanonuclei.invocation import PARENT_VARIABLE, command
from nanonuclei.serving.folder import CONFIG, NETWORK, stored_task
from nanonuclei.serving.store import MODEL_FILES, log_model
from nanonuclei.stages.evaluate import log_score, score_model, score_table
from nanonuclei.stages.finetune.start import Start, start_of_run, started
from nanonuclei.stages.open_settings import decided_on_validation
from nanonuclei.stages.places import DATA, LOCK, PARAMS, run_folder
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.stages.samples import keep_look, training_samples, validation_samples
from nanonuclei.tasks import create_task
from nanonuclei.tasks.base import Task
from nanonuclei.tracking.database import ui_link
from nanonuclei.tracking.early.at_work import alone
from nanonuclei.tracking.early.runs import beside, told_finished
from nanonuclei.tracking.facts import Facts, log_facts
from nanonuclei.tracking.inputs import log_splits
from nanonuclei.tracking.metrics import MetricSender, steps_logged
from nanonuclei.tracking.runs import (
    CHANGED,
    existing_run,
    identity_tags,
    log_settings,
    run_name,
    stage_run,
)
from nanonuclei.tracking.views import View, share_view
from nanonuclei.writing import write_text

if TYPE_CHECKING:
    import keras

FINISHED = "finished"
"""Tag of a run whose training, scores and model are complete."""
NOT_OF_THE_TRAINING = (Role.READING, Role.SCORING, Role.SEARCH)
LATER_SETTINGS = ("data.seed", "data.masks")
"""Roles, and single settings, that the config of an older run may lack and its training still be resumed."""


def train(
    config: ExperimentConfig | None,
    *,
    resume: str | None = None,
    recipe: str = "",
    changed: str = "",
    start: Start | None = None,
    prepared: bool = False,
    say: Callable[[str], None] = print,
) -> str:
    """Trains, evaluates on the test split and logs the model.

    Args:
        config: With `data.dataset` decided; None with `resume`, whose own config is used. Where its `network.weights`
            name a model, the training begins with that one, and network, target and loss are those of the model.
        resume: Id of a run whose training was cut off, in this folder. A finished run is left as it is.
        recipe: Name of the recipe that the config was made with, for names and tags.
        changed: Settings that were given beside it, for names and tags; see `stages.settings.changed_by`.
        start: What the training begins with; None: as the config says, or the run to resume.
        prepared: Whether the images have been prepared and told of just now.
        say: Told what the user should read.

    Returns:
        The run's id.

    Raises:
        ConfigError: The settings do not fit together.
        TrackingError: The run to resume is unknown, or has no checkpoint here.
        NanonucleiError: See `engine.train.fit` and `stages.prepare.prepared_dataset`.
    """
    if resume:
        run = existing_run(resume)
        resume = str(run.info.run_id)
        if run.data.tags.get(FINISHED) == "true":
            say(told_finished(resume))
            return resume
    if config is None:
        config = _config_of(resume)
    elif start is None:
        config, start = started(config)
    create_task(config).check()  # now and not once images have been made, or the training is over
    check_convertible()
    tags, name = identity_tags(config, recipe=recipe, changed=changed), run_name(config, recipe, changed)
    tags |= start.tags() if start else {}
    with contextlib.ExitStack() as held:
        if resume:  # before the run is touched, which may be somebody's at work
            held.enter_context(alone(run_folder(resume)))
        catalog, source = prepared_dataset(config, say=(lambda _: None) if prepared else say)
        # not before: broken images must leave no run and no folder
        run_id = held.enter_context(stage_run("train", name=name, tags=tags, resume=resume))
        folder = run_folder(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        if not resume:
            held.enter_context(alone(folder))
        write_text(folder / CONFIG, to_yaml(config))
        say(f"Run {run_id}")
        say(f"{'Going on with 1' if resume else '1'} training of {config.train.budget}.")
        log_network(config)
        log_inputs(config, catalog, source, folder=folder)
        if resume:
            start = start_of_run(run.data.tags, new=len(training_samples(catalog, config)))
        result = run_fit(config, catalog, folder=folder, run_id=run_id, start=start)
        names = create_task(config).curve_names
        figure = learning_curves(result.history, best_epoch=result.best_epoch, names=names)
        mlflow.log_figure(figure, "figures/learning_curves.png")
        table = conclude(config, result.model, catalog, folder=folder, say=say)
        mlflow.set_tag(FINISHED, "true")
    say("")
    say(table)
    say("")
    say(_closing(create_task(config), run_id, result))
    return run_id


def conclude(
    config: ExperimentConfig, model: keras.Model, catalog: Catalog, *, folder: Path, say: Callable[[str], None] = print
) -> str:
    """Does what follows a training in its run: settles open settings, scores the test images, logs model and facts.

    Args:
        config: Of the training.
        model: The trained network, in float32.
        catalog: The images.
        folder: Working folder of the run.
        say: Told what is done.

    Returns:
        The table of the scores.
    """
    network = for_inference(create_task(config), model)
    config = decided_on_validation(config, network, catalog, say=say)
    task, samples = create_task(config), catalog.split("test")
    say("Evaluating on the test images ...")
    report = score_model(task, network, samples)
    log_score(task, report, samples, split="test", model=network)
    keep_look(catalog, config, folder / MODEL_FILES)
    log_model(model, config, folder=folder)
    log_facts(
        Facts(
            stage="train",
            task=config.task,
            dataset=config.data.dataset,
            dataset_md5=dataset_md5(DATA, config.data.dataset),
            split_fingerprint=catalog.split_fingerprint(),
            network_md5=file_md5(folder / MODEL_FILES / NETWORK),
        )
    )
    return score_table(task, report, "test")


def _config_of(resume: str | None) -> ExperimentConfig:
    run = existing_run(resume or "")
    path = run_folder(run.info.run_id) / CONFIG
    if not path.is_file():
        raise TrackingError(
            f"run {resume} has no checkpoint in {path.parent}. A training is resumed in the folder where it ran; "
            "check the run's id, or start a new run"
        )
    return load_experiment(
        stored_task(path), path=path, missing_from=PARAMS, may_miss=LATER_SETTINGS, roles_may_miss=NOT_OF_THE_TRAINING
    )


def log_inputs(config: ExperimentConfig, catalog: Catalog, source: Path, *, folder: Path) -> None:
    """Logs settings, data and environment, before the first epoch, so that a killed run tells them too."""
    run_id = mlflow.active_run().info.run_id
    recorded = existing_run(run_id).data.tags.get("split.fingerprint")
    if recorded not in (None, catalog.split_fingerprint()):
        raise TrackingError(
            f"the data changed since run {run_id} began: its split has fingerprint {recorded}, the data here "
            f"{catalog.split_fingerprint()}. Put the old data back, or start a new run"
        )
    log_settings(run_id, flatten(config))
    log_splits(catalog, source, SPLITS)
    mlflow.log_artifact(str(folder / CONFIG))
    mlflow.log_text(catalog.split_table().to_csv(index=False), "data/splits.csv")
    mlflow.log_text(catalog.table().to_csv(index=False), "data/catalog.csv")
    if LOCK.is_file():
        mlflow.log_artifact(str(LOCK), "environment")


def log_network(config: ExperimentConfig) -> None:
    """Logs layers and size of the network to the active run.

    The size is logged before anything else is measured: MLflow's comparison of runs begins with the first metric.
    """
    network, lines = create_task(config).build_network(), list[str]()
    network.summary(print_fn=lambda line, **_: lines.append(line), line_length=110)
    mlflow.log_metric("num_params", network.count_params())
    mlflow.log_text("\n".join(lines), "model_summary.txt")


def run_fit(
    config: ExperimentConfig, catalog: Catalog, *, folder: Path, run_id: str, start: Start | None = None
) -> FitResult:
    """Trains inside the active run: every epoch's metrics are sent to it as they come."""
    task, samples = create_task(config), training_samples(catalog, config)
    if start:
        task, samples = start.begun(task), start.samples(samples)
    with MetricSender(run_id) as sender:
        state = load_state(folder)
        known = steps_logged(run_id, "train/loss") if state else set[int]()
        if state:  # a kill can fall between a stored epoch and its logged metrics
            for step in range(1, state["epochs"] + 1):
                if step not in known:
                    sender.send(step, {name: values[step - 1] for name, values in state["history"].items()})

        def tell(epoch: int, metrics: Mapping[str, float]) -> None:
            if epoch not in known:  # epochs that were not stored are trained again, and logged once
                sender.send(epoch, metrics)

        result = fit(task, samples, validation_samples(catalog, config), workdir=folder, on_epoch=tell)
    if start:
        loss = task.loss_at_start(validation_samples(catalog, config))
        mlflow.log_metric("start/val_loss", loss)
        result = task.better_of(result, loss)
    hardware = dataclasses.asdict(result.hardware)
    mlflow.set_tags({f"hardware.{key}": str(value) for key, value in hardware.items()})
    mlflow.log_metrics({"best_epoch": result.best_epoch, "train_seconds": result.seconds})
    return result


def _trainings(task: Task, run_id: str) -> str:
    """Returns the address of the table of the trainings of the run's task in its experiment, below that of the UI.

    The best come first; what could not begin built no network, and is no training. MLflow keeps a view in one
    experiment, so that those of others are not in it.
    """
    scores = [f"metrics.test/{name}" for name in task.headlines]
    view = View(
        filter=f"tags.stage = 'train' AND tags.task = '{task.config.task}' AND metrics.num_params > 0",
        order=scores[0],
        ascending=task.headlines[0] in task.lower_is_better,
        columns=(
            "tags.recipe",
            f"tags.{CHANGED}",
            "tags.dataset",
            "tags.seed",
            *scores,
            "metrics.num_params",
            "metrics.train_seconds",
        ),
    )
    return share_view(run_id, view, key=f"trainings-{task.config.task}")


def _closing(task: Task, run_id: str, result: FitResult) -> str:
    hardware = result.hardware
    kept = f"epoch {result.best_epoch}" if result.best_epoch else "the model that it began with, which was no worse"
    told = (
        f"Run {run_id}: {counted(len(result.history['train/loss']), 'epoch')}, kept {kept}, "
        f"{result.seconds / 60:.1f} min on {hardware.num_devices} {hardware.device} ({hardware.name}, "
        f"{hardware.precision})."
    )
    if PARENT_VARIABLE in os.environ:  # a comparison, which tells what all of its trainings need
        return told
    return (
        f"{told}\n"
        f"Trainings of {task.config.task} in this experiment: {ui_link(_trainings(task, run_id))}\n"
        f"Score again: {beside(command('evaluate', run=run_id), run_id)}"
    )
