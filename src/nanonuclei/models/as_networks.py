"""Keras models as plain functions on NumPy arrays, which `imaging.networks` describes."""

from __future__ import annotations

import keras
import numpy as np

from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.types import Float32Array


def compiled(model: keras.Model) -> Network:
    """Returns a model that is compiled per shape: fast where shapes are few."""
    network: Network = model.predict_on_batch
    return _filled(network) if keras.backend.backend() == "jax" else network  # jax compiles per shape


def uncompiled(model: keras.Model) -> Network:
    """Returns a model that is called as it is: right where inputs have many shapes."""

    def network(batch: Float32Array) -> Float32Array:
        answer: Float32Array = keras.ops.convert_to_numpy(model(batch, training=False))
        return answer

    return network


def _filled(network: Network) -> Network:
    """Returns a network that is called with 1, 2, 4... windows only, the last of them repeated."""

    def called(batch: Float32Array) -> Float32Array:
        missing = (1 << (len(batch) - 1).bit_length()) - len(batch)
        return network(np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)]))[: len(batch)]

    return called
