"""How objects are read off the score maps of a trained network: what the config leaves open is chosen on val."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import mlflow

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import flatten, with_settings
from nanonuclei.data.catalog import Catalog
from nanonuclei.engine.decide import with_thresholds
from nanonuclei.engine.evaluate import evaluate
from nanonuclei.engine.readout import tune_read_out
from nanonuclei.stages.samples import training_samples, validation_samples
from nanonuclei.tasks import create_task
from nanonuclei.tasks.base import SampleTask

if TYPE_CHECKING:
    import keras


def with_read_out(
    config: ExperimentConfig, model: keras.Model, catalog: Catalog, *, say: Callable[[str], None] = print
) -> ExperimentConfig:
    """Returns the config as it is stored with a trained model: with all of its read-out decided.

    Args:
        config: Of the training.
        model: Its network.
        catalog: Its images.
        say: Told what was chosen.
    """
    if isinstance(create_task(config), SampleTask):
        return with_thresholds_chosen(config, model, catalog, say=say)
    return with_tuned_read_out(config, model, catalog, say=say) if config.instances.tune else config


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


def with_thresholds_chosen(
    config: ExperimentConfig, model: keras.Model, catalog: Catalog, *, say: Callable[[str], None]
) -> ExperimentConfig:
    """Returns the config with thresholds chosen on the validation images, where it leaves some open, and logs them.

    What such a task scores on images that it was trained on is logged beside what it scores on validation images.
    """
    val = catalog.split("val")
    say("Choosing thresholds on the validation images ...")
    chosen = with_thresholds(config, model, val)
    before = flatten(config)
    numbers = {path: value for path, value in flatten(chosen).items() if value != before[path]}
    mlflow.log_metrics({f"chosen/{path}": float(value) for path, value in numbers.items()})
    task, seen = create_task(chosen), training_samples(catalog, config)
    scores = {
        split: evaluate(task, model, samples).metrics for split, samples in (("val", val), ("train", seen[: len(val)]))
    }
    for name in ("window_accuracy", "window_pr_auc"):
        mlflow.log_metrics({f"{split}/{name}": metrics[name] for split, metrics in scores.items()})
        mlflow.log_metric(f"gap/{name}", scores["train"][name] - scores["val"][name])
    return chosen
