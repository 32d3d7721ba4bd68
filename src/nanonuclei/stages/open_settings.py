"""Settings that a config leaves open are decided on the validation images, once the network is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import mlflow

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import with_settings
from nanonuclei.data.catalog import Catalog
from nanonuclei.engine.evaluate import evaluate
from nanonuclei.engine.networks import network_of
from nanonuclei.stages.samples import training_samples, validation_samples
from nanonuclei.tasks import create_task

if TYPE_CHECKING:
    import keras


def decided_on_validation(
    config: ExperimentConfig, model: keras.Model, catalog: Catalog, *, say: Callable[[str], None] = print
) -> ExperimentConfig:
    """Returns the config as it is stored with a trained model, with nothing left open; logs what was chosen.

    Some tasks also log what they score on images that the training has seen, beside what they score on validation
    images: a gap says that the network knows its training images by heart.

    Args:
        config: Of the training.
        model: Its network.
        catalog: Its images.
        say: Told what was chosen.
    """
    task = create_task(config)
    if task.is_open:
        say("Choosing thresholds on the validation images ...")
        samples = task.samples_to_decide_on(validation_samples(catalog, config))
        inputs = (task.network_input(sample.image()) for sample in samples)
        decided = task.decide(samples, task.score_maps(network_of(task, model), inputs))
        config = with_settings(config, decided.settings)
        mlflow.log_metrics(dict(decided.metrics))
        if decided.tried is not None:
            mlflow.log_text(decided.tried.to_csv(index=False), "evaluation/read_out.csv")
        if decided.sentence:
            say(decided.sentence)
    if task.gap_metrics:
        say("Scoring the validation images, and as many that the network was trained on ...")
        _log_gap(config, model, catalog)
    return config


def _log_gap(config: ExperimentConfig, model: keras.Model, catalog: Catalog) -> None:
    """Logs metrics on validation images and on as many training images, and their differences."""
    task, val = create_task(config), validation_samples(catalog, config)
    splits = {"val": val, "train": training_samples(catalog, config)[: len(val)]}
    scores = {split: evaluate(task, model, samples).metrics for split, samples in splits.items()}
    for name in task.gap_metrics:
        mlflow.log_metrics({f"{split}/{name}": metrics[name] for split, metrics in scores.items()})
        mlflow.log_metric(f"gap/{name}", scores["train"][name] - scores["val"][name])
