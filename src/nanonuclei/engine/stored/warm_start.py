"""Trainings that begin with the weights of a trained network instead of random or pretrained ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.catalog import SampleRef
from nanonuclei.engine.export import load_network
from nanonuclei.engine.stored.from_onnx import network_from_onnx
from nanonuclei.engine.stored.layers import all_layers
from nanonuclei.engine.train import FitResult
from nanonuclei.errors import ConfigError
from nanonuclei.models.phases import Phase, phases
from nanonuclei.tasks.base import Task

KERAS = ".keras"
"""Suffix of a network as Keras stores it; any other file is read as ONNX."""


class StartedFrom:
    """A task whose trainings begin with given weights; all else is that of the task it is made of.

    Batch normalisation keeps its statistics and stays as it is in training too: a few images tell less of them than the
    training before did.

    Args:
        task: The task.
        weights: Of a network that `task.build_network` builds, in Keras's order.
    """

    def __init__(self, task: Task, weights: Sequence[NDArray[Any]]) -> None:
        self._task = task
        self._weights = weights

    def __getattr__(self, name: str) -> Any:
        """Returns what the task has of that name."""
        return getattr(self._task, name)

    def build_model(self) -> keras.Model:
        """Returns the network with the given weights, compiled for the first phase."""
        model = self.unchanged()
        self.compile_for(model, phases(self._task.config.train)[0])
        return model

    def unchanged(self) -> keras.Model:
        """Returns the network with the given weights, not compiled."""
        model = self._task.build_network()
        model.set_weights(self._weights)
        return model

    def loss_at_start(self, val: Sequence[SampleRef]) -> float:
        """Returns the validation loss of the given weights, as the epochs of a training tell theirs."""
        batches = self._task.batches(val, training=False)
        return float(self.build_model().evaluate(batches, verbose=0, return_dict=True)["loss"])

    def better_of(self, result: FitResult, loss: float) -> FitResult:
        """Returns a training, with the given weights and epoch 0 as the kept one where that was no better than these.

        Args:
            result: Of the training.
            loss: Validation loss of the given weights, `loss_at_start`.
        """
        if result.history["val/loss"][result.best_epoch - 1] < loss:
            return result
        return dataclasses.replace(result, model=self.unchanged(), best_epoch=0)

    def compile_for(self, model: keras.Model, phase: Phase) -> None:
        """Compiles as the task does, and freezes batch normalisation."""
        self._task.compile_for(model, phase)
        for layer in all_layers(model):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False


def trained_weights(task: Task, file: Path) -> list[NDArray[np.float32]]:
    """Returns the weights of a stored network, for the network of a task.

    Args:
        task: With the network settings of the stored one.
        file: A network as Keras stores it, or in ONNX form.

    Raises:
        ConfigError: They are of another network.
        TrackingError: A network in ONNX form cannot be read back, see `engine.stored.from_onnx`.
    """
    model = load_network(file) if file.suffix == KERAS else network_from_onnx(task, file)
    weights: list[NDArray[np.float32]] = model.get_weights()
    found, wanted = [array.shape for array in weights], [w.shape for w in task.build_network().weights]
    if found != wanted:
        raise ConfigError(
            f"a training can begin with weights of its own network alone, but {file} holds {len(found)} arrays and the "
            f"network of the settings {len(wanted)}{' of other shapes' if len(found) == len(wanted) else ''}. Keep the "
            "settings network, target and loss of that model"
        )
    return weights
