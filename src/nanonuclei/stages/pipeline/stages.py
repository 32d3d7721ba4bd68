"""The stages of `dvc.yaml`: each reads and writes files below `build/TASK`, and logs one MLflow run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import flatten, load_experiment, to_yaml
from nanonuclei.config.recipes import DEFAULT
from nanonuclei.config.section import Role, paths_of
from nanonuclei.counted import counted
from nanonuclei.data.catalog import Catalog, load_catalog
from nanonuclei.data.versions import dataset_md5, file_md5
from nanonuclei.drawing.charts import learning_curves
from nanonuclei.engine.export import load_network, save_network
from nanonuclei.engine.networks import for_inference
from nanonuclei.errors import DataError
from nanonuclei.serving.folder import CONFIG
from nanonuclei.serving.store import MODEL_FILES, log_model
from nanonuclei.stages.evaluate import log_score, score_model, score_table
from nanonuclei.stages.open_settings import decided_on_validation
from nanonuclei.stages.pipeline.pinned import check_sources
from nanonuclei.stages.places import DATA, PARAMS, Build, run_folder
from nanonuclei.stages.prepare import prepare, say_left_out
from nanonuclei.stages.samples import keep_look
from nanonuclei.stages.train import log_inputs, log_network, run_fit
from nanonuclei.tasks import create_dataset, create_task, dataset_type
from nanonuclei.tasks.base import Task
from nanonuclei.tasks.dataset import SIMULATED
from nanonuclei.tasks.values import Report
from nanonuclei.tracking.early.at_work import alone
from nanonuclei.tracking.facts import Facts, log_facts
from nanonuclei.tracking.inputs import log_splits
from nanonuclei.tracking.new_database import make_database
from nanonuclei.tracking.runs import EXPERIMENT_VARIABLES, identity_tags, log_settings, stage_run
from nanonuclei.writing import write_text

CURVE_POINTS = 100
"""Rows of a curve that is kept in git."""


def prepare_stage(task: str, *, say: Callable[[str], None] = print) -> str:
    """Reads the task's dataset into images, label maps, catalog and splits; returns the run's id.

    Raises:
        DataError: The dataset is missing or broken.
    """
    config, build = _config(task), Build(task)
    source, noun = _source(config), dataset_type(task).noun
    with _stage("prepare", config) as run_id:
        log_settings(run_id, flatten(dict(create_dataset(config).shaping())))
        catalog = prepare(config, source=source, output=build.prepared)
        mlflow.log_text(catalog.split_table().to_csv(index=False), "data/splits.csv")
        mlflow.log_text(catalog.table().to_csv(index=False), "data/catalog.csv")
        numbers = {
            "images": len(catalog.samples),
            "objects": sum(sample.num_objects for sample in catalog.samples),
            "fields": len({sample.field for sample in catalog.samples}),
            **{f"images_{split}": len(catalog.split(split)) for split in ("train", "val", "test")},
        }
        mlflow.log_metrics({f"prepare/{name}": float(value) for name, value in numbers.items()})
        _finish("prepare", config, catalog, metrics=numbers)
    say(f"Prepared {counted(len(catalog.samples), 'image')}, {noun.count(int(numbers['objects']))}. Run {run_id}")
    say_left_out(catalog, build.prepared, say=say)
    return run_id


def train_stage(task: str, *, say: Callable[[str], None] = print) -> str:
    """Trains on the prepared images; returns the run's id.

    Raises:
        DataError: The images are not prepared.
        NanonucleiError: See `engine.train.fit`.
    """
    config, build = _config(task), Build(task)
    catalog = load_catalog(build.prepared)
    with _stage("train", config) as run_id:
        folder = run_folder(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder):
            say(f"Run {run_id}")
            say(f"1 training of {config.train.budget}.")
            (folder / CONFIG).write_text(to_yaml(config), encoding="utf-8")
            log_network(config)
            log_inputs(config, catalog, _source(config) or build.prepared, folder=folder)
            result = run_fit(config, catalog, folder=folder, run_id=run_id)
        names = create_task(config).curve_names
        figure = learning_curves(result.history, best_epoch=result.best_epoch, names=names)
        mlflow.log_figure(figure, "figures/learning_curves.png")
        save_network(result.model, _fresh(build.network) / build.NETWORK)
        (build.network / build.CONFIG).write_text(to_yaml(config), encoding="utf-8")
        curves = pd.DataFrame(result.history)
        curves.insert(0, "epoch", range(1, len(curves) + 1))
        write_text(build.plot("curves"), curves.round(6).to_csv(index=False))
        kept = {name: values[result.best_epoch - 1] for name, values in result.history.items()}
        numbers = {"epochs": len(curves), "kept_epoch": result.best_epoch, "kept": _nested(kept)}
        _finish("train", config, catalog, metrics=numbers, network=build.network / build.NETWORK)
        mlflow.set_tag("finished", "true")
    say(f"Trained {counted(len(curves), 'epoch')} in {result.seconds / 60:.1f} min. Run {run_id}")
    return run_id


def evaluate_stage(task: str, *, say: Callable[[str], None] = print) -> str:
    """Scores the trained network on the test images and logs it as a model; returns the run's id.

    The model is logged here, not by the training: it carries the windows and the read-out that it was scored with.

    Raises:
        DataError: Images or network are missing.
    """
    config, build = _config(task), Build(task)
    catalog = load_catalog(build.prepared)
    network = build.network / build.NETWORK
    if not network.is_file():
        raise DataError(f"{network} is missing. Run `dvc repro train@{task}` first")
    with _stage("evaluate", config) as run_id:
        settings = flatten(config)
        used = ("seed", *paths_of(config, (Role.DATA, Role.READING, Role.SCORING)))
        log_settings(run_id, {path: settings[path] for path in used})
        log_splits(catalog, _source(config) or build.prepared, ["test"])
        model = for_inference(create_task(config), load_network(network))
        config = decided_on_validation(config, model, catalog, say=say)
        task, samples = create_task(config), catalog.split("test")
        report = score_model(task, model, samples)
        log_score(task, report, samples, split="test", model=model)
        folder = run_folder(run_id)
        keep_look(catalog, config, folder / MODEL_FILES)
        log_model(network, config, folder=folder)
        shutil.rmtree(folder, ignore_errors=True)
        for name, table in task.plots(report).items():
            write_text(build.plot(name), table.to_csv(index=False))
        write_text(build.plot("precision_recall"), _by_score(report).to_csv(index=False))
        numbers = _nested(
            {
                f"test/{name}": value
                for name, value in report.metrics.items()
                if _headline(task, name) and np.isfinite(value)
            }
        )
        _finish("evaluate", config, catalog, metrics=numbers, network=network)
    say(score_table(task, report, "test"))
    say(f"\nRun {run_id}")
    return run_id


def _config(task: str) -> ExperimentConfig:
    return load_experiment(task, path=PARAMS, settings={"data.dataset": dataset_type(task).pipeline})


def _source(config: ExperimentConfig) -> Path | None:
    """Returns where a dataset lies; None for simulated images."""
    if config.data.dataset == SIMULATED:
        return None
    check_sources([config.task])
    return dataset_type(config.task).locate(config.data.dataset, DATA)


def _stage(stage: str, config: ExperimentConfig) -> contextlib.AbstractContextManager[str]:
    """Opens the stage's run, in the task's experiment where none is named."""
    if not EXPERIMENT_VARIABLES & set(os.environ):
        make_database()
        mlflow.set_experiment(config.task)
    tags = {**identity_tags(config, recipe=DEFAULT), "pipeline": "dvc.yaml"}
    name = f"{stage} {config.task} {config.data.dataset} {DEFAULT} seed {config.seed}"
    return stage_run(stage, name=name, tags=tags)


def _finish(
    stage: str,
    config: ExperimentConfig,
    catalog: Catalog,
    *,
    metrics: Mapping[str, Any],
    network: Path | None = None,
) -> None:
    """Writes metrics and report, and logs the facts that `lineage` checks later."""
    build = Build(config.task)
    earlier = [name for name in build.STAGES[: build.STAGES.index(stage)] if build.report(name).is_file()]
    facts = Facts(
        stage=stage,
        task=config.task,
        dataset=config.data.dataset,
        dataset_md5=dataset_md5(DATA, config.data.dataset),
        split_fingerprint=catalog.split_fingerprint(),
        network_md5=file_md5(network) if network else "",
        upstream={name: json.loads(build.report(name).read_text(encoding="utf-8"))["run_id"] for name in earlier},
    )
    mlflow.set_tag("split.fingerprint", facts.split_fingerprint)
    recorded = log_facts(facts)
    write_text(build.metrics(stage), _json(metrics))
    write_text(build.report(stage), _json(recorded))


def _by_score(report: Report) -> pd.DataFrame:
    """Returns precision and recall at IoU 0.5 when only the surest objects count, at most `CURVE_POINTS` rows."""
    ranks = np.arange(1, len(report.objects) + 1)
    hits = report.objects["matched"].to_numpy(float).cumsum()
    curve = pd.DataFrame(
        {
            "score": report.objects["score"],
            "recall": hits / max(report.per_image["num_true"].sum(), 1),
            "precision": hits / ranks,
        }
    )
    places = np.unique(np.linspace(0, len(curve) - 1, min(len(curve), CURVE_POINTS)).astype(int))
    return curve.iloc[places].round(6)


def _headline(task: Task, name: str) -> bool:
    """Tells whether `dvc metrics` shows a score: the named ones of all images, one of each modality. MLflow has all."""
    group, _, metric = name.rpartition("/")
    return metric == task.group_metric if group else metric in task.metric_names


def _nested(flat: Mapping[str, float]) -> dict[str, Any]:
    """Returns ``{"test/iou": 1}`` as ``{"test": {"iou": 1}}``, rounded to 6 digits: what `dvc metrics` shows well."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, leaf = name.split("/")
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        place[leaf] = round(float(value), 6)
    return tree


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _json(content: object) -> str:
    return json.dumps(content, indent=2) + "\n"
