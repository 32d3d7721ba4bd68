"""Thresholds that a config leaves open, chosen on validation images once the network is trained."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import with_settings
from nanonuclei.data.catalog import SampleRef
from nanonuclei.engine.networks import network_of
from nanonuclei.engine.predict import map_maker
from nanonuclei.tasks import create_task
from nanonuclei.tasks.base import SampleTask


def with_thresholds(config: ExperimentConfig, model: keras.Model, samples: Sequence[SampleRef]) -> ExperimentConfig:
    """Returns a config with its open thresholds decided, to be stored with the model.

    Args:
        config: Of the training.
        model: Its network.
        samples: The validation images.
    """
    task = create_task(config)
    if not isinstance(task, SampleTask):
        return config
    maps, _ = map_maker(config, network_of(task, model))
    made = list(maps(task.network_input(sample.image()) for sample in samples))
    return with_settings(config, task.decide(samples, made))
