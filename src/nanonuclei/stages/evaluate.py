"""Evaluate: scores a run's model on a split, with intervals, tables per image and panels to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import mlflow
import numpy as np

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import flatten, parse_settings, with_settings
from nanonuclei.data.catalog import SPLITS, Catalog, SampleRef
from nanonuclei.engine.evaluate import Report, evaluate
from nanonuclei.engine.predict import predict_instances
from nanonuclei.engine.readout import tune_read_out
from nanonuclei.errors import ConfigError, nearest_name
from nanonuclei.report.figures import metric_intervals, precision_by_threshold
from nanonuclei.report.pictures import Panel, panels
from nanonuclei.report.summary import METRIC_NAMES, metrics_table
from nanonuclei.serving.store import load_trained
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.prepare import prepared
from nanonuclei.stages.samples import validation_samples
from nanonuclei.tasks import Task, create_task
from nanonuclei.tasks.nuclei import THRESHOLDS
from nanonuclei.tracking.runs import PARENT, existing_run, log_settings, stage_run

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

CHANGEABLE = ("windows", "instances", "evaluate")
"""Sections that say how a trained model is used."""

SHOWN = ("accuracy", "iou", "ap50_pooled", "map_pooled", "pq")
"""Metrics of the figure with intervals."""


def evaluate_run(
    run: str, *, split: str = "test", settings: Sequence[str] = (), say: Callable[[str], None] = print
) -> str:
    """Scores the model of a finished training in a run of its own, a child of that training.

    Args:
        run: Id of the training's run.
        split: ``train``, ``val`` or ``test``.
        settings: Texts ``path=value`` below windows, instances or evaluate: how the model is used, not how it was made.
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
        if changed.get("instances.tune"):  # an older run's config may lack the setting; its read-out stays
            config = with_tuned_read_out(config, model, catalog, say=say)
        task = create_task(config)
        report = score_model(task, model, catalog.split(split))
        log_score(task, report, catalog.split(split), split=split, model=model)
    say(score_table(report, split))
    say(f"\nRun {run_id}, child of {run}: {report.seconds:.1f} s, {report.network_seconds:.1f} s in the network.")
    return run_id


def with_tuned_read_out(
    config: ExperimentConfig, model: keras.Model, catalog: Catalog, *, say: Callable[[str], None]
) -> ExperimentConfig:
    """Returns the config with the read-out that suits the validation images best; logs what was tried."""
    chosen, tried = tune_read_out(create_task(config), model, validation_samples(catalog, config))
    mlflow.log_text(tried.round(6).to_csv(index=False), "evaluation/read_out.csv")
    found = {name: getattr(chosen, name) for name in tried.columns if name not in ("score", "chosen")}
    reached = float(tried.loc[tried["chosen"], "score"].iloc[0])
    mlflow.log_metrics({**{f"read_out/{name}": value for name, value in found.items()}, "val/read_out_ap": reached})
    say(
        f"Read-out tuned on the validation images: {', '.join(f'{name} {value:g}' for name, value in found.items())} "
        f"(mean pooled AP {reached:.3f}, {tried['score'].iloc[0]:.3f} before)."
    )
    return with_settings(config, {"instances.tune": False, **{f"instances.{name}": v for name, v in found.items()}})


def score_model(task: Task, model: keras.Model, samples: Sequence[SampleRef]) -> Report:
    """Scores a model after warming it up, so that the times logged are of work and not of compilation."""
    step = task.config.network.step
    for extent in (4 * step, 5 * step):  # of the second shape the compiler learns that shapes differ
        model.predict_on_batch(np.zeros((1, extent, 4 * step, 3), np.float32))
    return evaluate(task, model, samples)


def log_score(task: Task, report: Report, samples: Sequence[SampleRef], *, split: str, model: keras.Model) -> None:
    """Logs metrics, tables and figures of a score to the active run, and the headline as its description."""
    mlflow.set_tag("mlflow.note.content", f"Scores on the {split} split\n\n```\n{score_table(report, split)}\n```")
    mlflow.log_metrics(report.flat(split))
    mlflow.log_metrics({f"{split}/seconds": report.seconds, f"{split}/network_seconds": report.network_seconds})
    mlflow.log_text(report.per_image.to_csv(index=False), f"evaluation/{split}_per_image.csv")
    mlflow.log_text(report.objects.round(4).to_csv(index=False), f"evaluation/{split}_objects.csv")
    mlflow.log_text(report.intervals.to_csv(index=False), f"evaluation/{split}_metrics.csv")
    shown = report.intervals[report.intervals["metric"].isin(SHOWN)]
    mlflow.log_figure(metric_intervals(shown), f"figures/{split}_metrics.png")
    mlflow.log_figure(_by_threshold(report), f"figures/{split}_precision_by_threshold.png")
    for kind, chosen in _chosen(report, samples, num=task.config.evaluate.num_panels, seed=task.config.seed).items():
        rows = [_panel(task, model, sample, ap50) for sample, ap50 in chosen]
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


def _panel(task: Task, model: keras.Model, sample: SampleRef, ap50: float) -> Panel:
    image = sample.image()
    found = predict_instances(task, model, image)
    return Panel(
        image=image,
        true=sample.labels(),
        predicted=found.labels,
        caption=(
            f"{sample.sample_id[:12]}, {sample.modality}: "
            f"{sample.num_objects} nuclei, {len(found)} found, AP50 {ap50:.2f}"
        ),
    )
