"""From Keras models to networks as `engine.predict` knows them: plain functions on arrays, of either task."""

from __future__ import annotations

import keras
import numpy as np

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.nanotubes import NanotubeExperiment
from nanonuclei.engine.devices import POLICIES, detect
from nanonuclei.engine.predict import Network
from nanonuclei.engine.scan import TileNetwork
from nanonuclei.imaging.types import Float32Array
from nanonuclei.models.window_classifier import window_geometry
from nanonuclei.tasks import Task, create_task


def network_of(task: Task, model: keras.Model) -> Network:
    """Returns a trained model as the network that makes score maps of full images, in the config's precision.

    Args:
        task: The task that the model was trained for.
        model: A U-Net, which answers per pixel; or a classifier of windows, whose scan is returned.
    """
    if isinstance(task.config, NanotubeExperiment):
        return tile_network(model, task.config)
    return keras_network(for_inference(task, model))


def for_inference(task: Task, model: keras.Model) -> keras.Model:
    """Returns a trained model in the config's precision: made once, it serves several calls of `network_of`."""
    return in_precision(model, task, precision=inference_precision(task.config))


def keras_network(model: keras.Model) -> Network:
    """Returns a Keras model as a plain function on NumPy arrays."""
    network: Network = model.predict_on_batch
    return _filled(network) if keras.backend.backend() == "jax" else network  # jax compiles per shape


def tile_network(model: keras.Model, config: NanotubeExperiment) -> TileNetwork:
    """Returns the network of a scan, with the weights of a trained classifier.

    Args:
        model: A network of `models.window_classifier`.
        config: Its experiment.
    """
    network = for_inference(create_task(config), model)

    def scores(tile: Float32Array) -> Float32Array:
        # Called as it is: tiles have as many shapes as images, and compiling for each would cost more than it saves.
        answer: Float32Array = keras.ops.convert_to_numpy(network(tile, training=False))
        return answer

    return TileNetwork(scores, window_geometry(config.network, window=config.train.patch_size))


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


def _filled(network: Network) -> Network:
    """Returns a network that is called with 1, 2, 4... windows only, the last of them repeated."""

    def called(batch: Float32Array) -> Float32Array:
        missing = (1 << (len(batch) - 1).bit_length()) - len(batch)
        return network(np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)]))[: len(batch)]

    return called
