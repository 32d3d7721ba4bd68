"""Evaluate: scores a run's model on a split, with intervals, tables per image and panels to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import mlflow
import numpy as np

from nanonuclei.config.params import flatten, parse_settings
from nanonuclei.data.catalog import SPLITS, SampleRef
from nanonuclei.engine.evaluate import Report, evaluate
from nanonuclei.engine.networks import for_inference, inference_precision, network_of
from nanonuclei.engine.predict import Network, predict_instances
from nanonuclei.errors import ConfigError, nearest_name
from nanonuclei.report.figures import metric_intervals, precision_by_threshold
from nanonuclei.report.pictures import Panel, panels
from nanonuclei.report.summary import METRIC_NAMES, metrics_table
from nanonuclei.serving.store import load_trained
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.prepared import prepared
from nanonuclei.stages.read_out import with_read_out
from nanonuclei.stages.score_nanotubes import log_nanotube_figures, per_image_table
from nanonuclei.tasks import Task, create_task
from nanonuclei.tasks.nanotubes import NanotubeTask
from nanonuclei.tasks.nuclei import THRESHOLDS, NucleiTask
from nanonuclei.tracking.runs import PARENT, existing_run, log_settings, stage_run

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

CHANGEABLE = ("windows", "instances", "tubes", "evaluate")
"""Sections that say how a trained model is used; instances are of nuclei, tubes of nanotubes."""

CHOSEN_ANEW = {"instances.tune": True, "tubes.window_threshold": "auto", "tubes.min_score": "auto"}
"""Settings that ask for a read-out by the validation images; otherwise that of the training stays."""

SHOWN = {
    "nuclei": ("accuracy", "iou", "ap50_pooled", "map_pooled", "pq"),
    "nanotubes": ("window_pr_auc", "window_accuracy", "object_precision", "object_recall", "object_f1"),
}
"""Metrics of a task in the figure with intervals."""


def evaluate_run(
    run: str, *, split: str = "test", settings: Sequence[str] = (), say: Callable[[str], None] = print
) -> str:
    """Scores the model of a finished training in a run of its own, a child of that training.

    Args:
        run: Id of the training's run.
        split: ``train``, ``val`` or ``test``.
        settings: Texts ``path=value`` below windows, instances (nuclei), tubes or evaluate: how the model is used, not
            how it was made.
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
    fixed = [path for path in changed if path.split(".")[0] not in CHANGEABLE]
    if fixed:
        raise ConfigError(f"a trained model keeps its {', '.join(fixed)}; evaluate can change {', '.join(CHANGEABLE)}")
    trained = existing_run(run)
    config, model = load_trained(trained, settings=changed, missing_from=PARAMS)
    model = for_inference(create_task(config), model)
    tags = {PARENT: trained.info.run_id, "evaluates": run, "task": config.task, "dataset.name": config.data.dataset}
    with stage_run("evaluate", name=f"evaluate {split} of {run[:8]}", tags=tags) as run_id:
        catalog, _ = prepared(config, say=say)
        recorded = trained.data.tags.get("split.fingerprint")
        if recorded != catalog.split_fingerprint():
            say(
                f"Warning: the data changed since that training: split fingerprint {catalog.split_fingerprint()}, "
                f"then {recorded}. Images of this split may have been trained on."
            )
        mlflow.set_tag("split.fingerprint", catalog.split_fingerprint())
        log_settings(run_id, flatten(config))
        if any(changed.get(path) == value for path, value in CHOSEN_ANEW.items()):
            config = with_read_out(config, model, catalog, say=say)
        task = create_task(config)
        report = score_model(task, model, catalog.split(split))
        log_score(task, report, catalog.split(split), split=split, model=model)
    say(score_table(report, split))
    say(f"\nRun {run_id}, child of {run}: {report.seconds:.1f} s, {report.network_seconds:.1f} s in the network.")
    return run_id


def score_model(task: Task, model: keras.Model, samples: Sequence[SampleRef]) -> Report:
    """Scores a model after warming it up, so that the times logged are of work and not of compilation."""
    if isinstance(task, NucleiTask):  # a scan takes tiles of as many sizes as there are sizes of images
        step = task.config.network.step
        for extent in (4 * step, 5 * step):  # of the second shape the compiler learns that shapes differ
            model.predict_on_batch(np.zeros((1, extent, 4 * step, 3), np.float32))
    return evaluate(task, model, samples)


def log_score(task: Task, report: Report, samples: Sequence[SampleRef], *, split: str, model: keras.Model) -> None:
    """Logs metrics, tables, figures and precision of a score to the active run, and the headline as its description."""
    mlflow.set_tag("inference.precision", inference_precision(task.config))
    mlflow.set_tag("mlflow.note.content", f"Scores on the {split} split\n\n```\n{score_table(report, split)}\n```")
    mlflow.log_metrics({name: value for name, value in report.flat(split).items() if np.isfinite(value)})
    mlflow.log_metrics({f"{split}/seconds": report.seconds, f"{split}/network_seconds": report.network_seconds})
    table = per_image_table(report) if isinstance(task, NanotubeTask) else report.per_image
    mlflow.log_text(table.to_csv(index=False), f"evaluation/{split}_per_image.csv")
    mlflow.log_text(report.objects.round(4).to_csv(index=False), f"evaluation/{split}_objects.csv")
    mlflow.log_text(report.intervals.to_csv(index=False), f"evaluation/{split}_metrics.csv")
    shown = report.intervals[report.intervals["metric"].isin(SHOWN[task.config.task])]
    mlflow.log_figure(metric_intervals(shown), f"figures/{split}_metrics.png")
    if isinstance(task, NanotubeTask):
        log_nanotube_figures(task, report, samples, split=split, model=model)
        return
    mlflow.log_figure(_by_threshold(report), f"figures/{split}_precision_by_threshold.png")
    network = network_of(task, model)
    for kind, chosen in _chosen(report, samples, num=task.config.evaluate.num_panels, seed=task.config.seed).items():
        rows = [_panel(task, network, sample, ap50) for sample, ap50 in chosen]
        if rows:
            mlflow.log_figure(
                panels(rows, title=f"{kind.capitalize()} images of the {split} split"), f"figures/{split}_{kind}.png"
            )


def score_table(report: Report, split: str) -> str:
    """Returns the headline metrics as plain text; the run holds all of them."""
    shown = {
        name: value
        for name, value in report.flat(split).items()
        if name.rsplit("/", 1)[-1].removesuffix("_low").removesuffix("_high") in METRIC_NAMES
    }
    return metrics_table(shown, groups=report.groups())


def _by_threshold(report: Report) -> Figure:
    names = [f"{round(threshold * 100)}" for threshold in THRESHOLDS]
    groups = ["", *(f"{group}/" for group in report.groups())]
    curves = {
        group.rstrip("/") or "all": [report.metrics[f"{group}ap{name}_pooled"] for name in names] for group in groups
    }
    return precision_by_threshold(THRESHOLDS, curves)


def _chosen(
    report: Report, samples: Sequence[SampleRef], *, num: int, seed: int
) -> dict[str, list[tuple[SampleRef, float]]]:
    """Draws images at random, and takes those with the lowest AP at 0.5."""
    scores = report.per_image["ap_50"].to_numpy()
    drawn = np.random.default_rng(seed).choice(len(samples), min(num, len(samples)), replace=False)
    worst = np.argsort(scores, kind="stable")[:num]
    return {
        kind: [(samples[place], float(scores[place])) for place in places]
        for kind, places in (("random", drawn), ("worst", worst))
    }


def _panel(task: Task, network: Network, sample: SampleRef, ap50: float) -> Panel:
    image = sample.image()
    found = predict_instances(task, network, image)
    return Panel(
        image=image,
        true=sample.labels(),
        predicted=found.labels,
        caption=(
            f"{sample.sample_id[:12]}, {sample.modality}: "
            f"{sample.num_objects} nuclei, {len(found)} found, AP50 {ap50:.2f}"
        ),
    )
