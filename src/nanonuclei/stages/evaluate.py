"""Evaluate: scores a run's model on a split, with intervals, tables per image and panels to look at."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import numpy as np

from nanonuclei.config.params import flatten, parse_settings
from nanonuclei.data.catalog import SPLITS, SampleRef
from nanonuclei.drawing.charts import metric_intervals
from nanonuclei.drawing.tables import metrics_table
from nanonuclei.engine.evaluate import evaluate
from nanonuclei.engine.networks import for_inference, inference_precision, network_of
from nanonuclei.errors import ConfigError, nearest_name
from nanonuclei.imaging.types import Float32Array
from nanonuclei.serving.store import load_trained
from nanonuclei.stages.open_settings import decided_on_validation
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.stages.settings import USED, check_changeable
from nanonuclei.tasks import create_task
from nanonuclei.tasks.base import Task
from nanonuclei.tasks.values import Report
from nanonuclei.tracking.inputs import log_splits
from nanonuclei.tracking.runs import PARENT, existing_run, identity_tags, log_settings, stage_run

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

HEADLINES = "headline"
"""Group of the few metrics of the test images that matter most; it is logged before all others of a score."""


def evaluate_run(
    run: str, *, split: str = "test", settings: Sequence[str] = (), say: Callable[[str], None] = print
) -> str:
    """Scores the model of a finished training in a run of its own, a child of that training.

    Args:
        run: Id of the training's run.
        split: ``train``, ``val`` or ``test``.
        settings: Texts ``path=value`` of those that say how the model is used: `windows`, `evaluate`, and the
            sections of the task by which objects are read.
        say: Told what the user should read.

    Returns:
        The new run's id.

    Raises:
        ConfigError: There is no such split or setting, or a setting is not one of those.
        TrackingError: There is no such run, or it holds no model.
    """
    if split not in SPLITS:
        raise ConfigError(f"unknown split {split!r}. {nearest_name(split, SPLITS)}")
    changed = parse_settings(settings)
    trained = existing_run(run)
    config, model = load_trained(trained, settings=changed, missing_from=PARAMS)
    check_changeable(config, changed, roles=USED, stage="evaluate")
    task = create_task(config)
    model = for_inference(task, model)
    run = str(trained.info.run_id)
    tags = {PARENT: run, "evaluates": run, **identity_tags(config, recipe=trained.data.tags.get("recipe", ""))}
    name = f"evaluate {split} of {trained.info.run_name}, {run[:8]}"
    with stage_run("evaluate", name=name, tags=tags) as run_id:
        catalog, source = prepared_dataset(config, say=say)
        recorded = trained.data.tags.get("split.fingerprint")
        if recorded != catalog.split_fingerprint():
            say(
                f"Warning: the data changed since that training: split fingerprint {catalog.split_fingerprint()}, "
                f"then {recorded}. Images of this split may have been trained on."
            )
        log_splits(catalog, source, [split])
        log_settings(run_id, flatten(config))
        if any(changed.get(path) == value for path, value in task.open_settings.items()):
            task = create_task(decided_on_validation(config, model, catalog, say=say))
        report = score_model(task, model, catalog.split(split))
        log_score(task, report, catalog.split(split), split=split, model=model)
    say(score_table(task, report, split))
    say(f"\nRun {run_id}, child of {run}: {report.seconds:.1f} s, {report.network_seconds:.1f} s in the network.")
    return run_id


def score_model(task: Task, model: keras.Model, samples: Sequence[SampleRef]) -> Report:
    """Scores a model after warming it up, so that the times logged are of work and not of compilation."""
    for shape in task.warm_up_shapes:
        model.predict_on_batch(np.zeros(shape, np.float32))
    return evaluate(task, model, samples)


def log_score(task: Task, report: Report, samples: Sequence[SampleRef], *, split: str, model: keras.Model) -> None:
    """Logs metrics, tables, figures and precision of a score to the active run, and the headline as its description."""
    mlflow.set_tag("inference.precision", inference_precision(task.config))
    mlflow.set_tag(
        "mlflow.note.content", f"Scores on the {split} split\n\n```\n{score_table(task, report, split)}\n```"
    )
    log_metrics(task, report, split=split)
    mlflow.log_metrics({f"{split}/seconds": report.seconds, f"{split}/network_seconds": report.network_seconds})
    mlflow.log_text(report.per_image.to_csv(index=False), f"evaluation/{split}_per_image.csv")
    mlflow.log_text(report.objects.round(4).to_csv(index=False), f"evaluation/{split}_objects.csv")
    mlflow.log_text(report.intervals.to_csv(index=False), f"evaluation/{split}_metrics.csv")
    charted = report.intervals[report.intervals["metric"].isin(task.charted)]
    mlflow.log_figure(metric_intervals(charted, names=task.metric_names), f"figures/{split}_metrics.png")
    network = network_of(task, model)

    def maps(chosen: Sequence[SampleRef]) -> Iterator[Float32Array]:
        return task.score_maps(network, (task.network_input(sample.image()) for sample in chosen))

    _log_all(task.figures(report, samples, maps=maps, split=split))


def log_metrics(task: Task, report: Report, *, split: str) -> None:
    """Logs the metrics of a score to the active run; of the test images the headlines first, as MLflow shows them."""
    known = report.metrics if split == "test" else {}
    headlines = {f"{HEADLINES}/{name}": known[name] for name in task.headlines if name in known}
    found = {**headlines, **report.flat(split)}
    mlflow.log_metrics({name: value for name, value in found.items() if np.isfinite(value)})


def score_table(task: Task, report: Report, split: str) -> str:
    """Returns the headline metrics as plain text; the run holds all of them."""
    shown = {
        name: value
        for name, value in report.flat(split).items()
        if name.rsplit("/", 1)[-1].removesuffix("_low").removesuffix("_high") in task.metric_names
    }
    return metrics_table(shown, groups=report.groups(), names=task.metric_names)


def _log_all(contents: Iterable[tuple[str, Figure | str]]) -> None:
    """Logs figures one by one, and texts together: there may be one per image."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, content in contents:
            if isinstance(content, str):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(content, encoding="utf-8")
            else:
                mlflow.log_figure(content, path)
        if any(folder.iterdir()):
            mlflow.log_artifacts(str(folder))
