"""Trained Keras models in the precision of the inference, as the networks that a task's `score_maps` calls."""

from __future__ import annotations

import keras

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.engine.devices import POLICIES, detect
from nanonuclei.imaging.networks import Network
from nanonuclei.tasks.base import Task


def network_of(task: Task, model: keras.Model) -> Network:
    """Returns a trained model as the network that makes score maps of full images, in the config's precision.

    Args:
        task: The task that the model was trained for.
        model: Its network.
    """
    return task.as_network(for_inference(task, model))


def for_inference(task: Task, model: keras.Model) -> keras.Model:
    """Returns a trained model in the config's precision: made once, it serves several calls of `network_of`."""
    return in_precision(model, task, precision=inference_precision(task.config))


def in_precision(model: keras.Model, task: Task, *, precision: str) -> keras.Model:
    """Returns a trained model that computes in another precision; its answers stay float32.

    Args:
        model: In float32, or already in that precision.
        task: The task that it was trained for.
        precision: ``float32``, for the model as it is, or ``bfloat16``.
    """
    if precision == "float32" or model.compute_dtype == precision:
        return model
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        rough = task.build_network()
    finally:
        keras.config.set_dtype_policy(before)
    rough.set_weights(model.get_weights())
    return rough


def inference_precision(config: ExperimentConfig) -> str:
    """Returns ``float32`` or ``bfloat16``, decided for this machine where the config leaves it open."""
    if config.windows.precision != "auto":
        return config.windows.precision
    found = detect(config.train.model_copy(update={"precision": "auto", "devices": "auto"})).precision
    return "bfloat16" if found == "bfloat16" else "float32"
