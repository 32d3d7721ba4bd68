"""A Keras network with the weights of a network in ONNX form, so that a model which comes along can be trained on.

The ONNX form holds no Keras weights: batch normalisation is folded into the convolutions before it, standardized
kernels are constants, large arrays are halved. What is read back is therefore not the old weights but a network with
the same answers: kernels as they are served, brought to the norm of newly drawn ones, with scale and shift in a batch
normalisation of mean 0 and variance 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from keras import layers
from numpy.typing import NDArray
from onnx import numpy_helper

from nanonuclei.engine.export import largest_difference
from nanonuclei.engine.stored.layers import all_layers
from nanonuclei.errors import TrackingError
from nanonuclei.models.blocks import RELU_GAIN, StandardizedConv2D
from nanonuclei.tasks.base import Task

TOLERANCE = 0.002
"""Largest difference of a score between the file and the network made of it; that of `engine.halved`."""

HE_POWER = 2.0
"""Sum of the squares of the weights of one filter, as He's initialization draws them: a rate of learning means the same
as at the beginning of a training."""

CONVOLUTIONS = ("Conv", "ConvTranspose")
_AFFINE = ("Mul", "Add", "Sub")
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class _Linear:
    """A convolution of the file with what scales and shifts its answer: ``scale * (kernel * x) + shift``.

    Attributes:
        kernel: As ONNX has it.
        scale: ``(filters,)``.
        shift: ``(filters,)``.
    """

    kernel: Floats
    scale: Floats
    shift: Floats


def network_from_onnx(task: Task, path: Path) -> keras.Model:
    """Returns the network of a task with weights that answer as the file does.

    Args:
        task: With the config that is stored beside the file.
        path: A network in ONNX form, its weights halved or not.

    Returns:
        The network in float32, not compiled.

    Raises:
        TrackingError: A layer's weights are not found in the file, or the answers differ by more than `TOLERANCE`.
    """
    model = task.build_network()
    found = _Graph(onnx.load(path).graph, path)
    folded = {_producer(layer): layer for layer in all_layers(model) if isinstance(layer, layers.BatchNormalization)}
    for layer in all_layers(model):
        if isinstance(layer, layers.BatchNormalization | layers.Normalization) or not layer.weights:
            continue  # set with its convolution; a constant of the network
        if not isinstance(layer, layers.Conv2D | layers.Conv2DTranspose | layers.DepthwiseConv2D):
            raise _not_found(path, layer.name)
        _set(layer, folded.get(layer.name), found.linear(layer.name))
    difference = largest_difference(model, path, task.export_shapes)
    if not difference <= TOLERANCE:
        raise TrackingError(
            f"the network made of {path} must answer as that does, within {TOLERANCE:g}, but differs by "
            f"{difference:g}. Name the run of its training, which holds network.keras"
        )
    return model


class _Graph:
    """The convolutions of an ONNX graph by the names of the layers that they come from."""

    def __init__(self, graph: onnx.GraphProto, path: Path) -> None:
        self._path = path
        self._constants: dict[str, Any] = {array.name: array for array in graph.initializer}
        self._casts = {
            node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast" and self._known(node)
        }
        self._users: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)
        self._convolutions = [node for node in graph.node if node.op_type in CONVOLUTIONS]

    def linear(self, layer: str) -> _Linear:
        """Returns the convolution of a layer.

        Raises:
            TrackingError: There is none, or several.
        """
        wanted = re.compile(rf"(^|/){re.escape(layer)}(_\d+)?/")
        for names in (lambda node: [node.input[1]], lambda node: [node.output[0]], lambda node: [node.name]):
            nodes = [node for node in self._convolutions if any(wanted.search(name) for name in names(node))]
            if len(nodes) == 1:
                return self._with_affine(nodes[0])
        raise _not_found(self._path, layer)

    def _with_affine(self, node: onnx.NodeProto) -> _Linear:
        kernel = self._array(node.input[1])
        if kernel is None:
            raise _not_found(self._path, node.name)
        groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
        filters = kernel.shape[1] * groups if node.op_type == "ConvTranspose" else kernel.shape[0]
        scale, shift = np.ones(filters, np.float32), np.zeros(filters, np.float32)
        if len(node.input) > 2 and (bias := self._array(node.input[2])) is not None:
            shift = shift + bias.ravel()
        while len(users := self._users.get(node.output[0], [])) == 1 and users[0].op_type in _AFFINE:
            before, node = node.output[0], users[0]
            constant = next((self._array(name) for name in node.input if name != before), None)
            if constant is None or constant.size != filters or constant.ndim == 0:
                break
            if node.op_type == "Mul":
                scale, shift = scale * constant.ravel(), shift * constant.ravel()
            elif node.op_type == "Add":
                shift = shift + constant.ravel()
            elif node.input[0] == before:
                shift = shift - constant.ravel()
            else:
                break
        return _Linear(kernel, scale, shift)

    def _known(self, node: onnx.NodeProto) -> bool:
        return node.input[0] in self._constants

    def _array(self, name: str) -> Floats | None:
        stored = self._constants.get(self._casts.get(name, name))
        return None if stored is None else numpy_helper.to_array(stored).astype(np.float32)


def _set(layer: keras.Layer, normalisation: keras.Layer | None, linear: _Linear) -> None:
    """Gives a convolution, and the batch normalisation behind it, weights that answer as `linear` does."""
    scale, shift = linear.scale, linear.shift
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    kernel = linear.kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
    last_but_one = depthwise or isinstance(layer, layers.Conv2DTranspose)  # the axis of the filters
    power = np.sum(np.square(kernel), axis=(0, 1, 3) if last_but_one else (0, 1, 2))
    to_he = np.sqrt(HE_POWER / np.maximum(power, 1e-20))

    def scaled(factor: Floats) -> Floats:
        return np.asarray(kernel * (factor[:, None] if last_but_one else factor), np.float32)

    values: dict[str, Floats] = {}
    if isinstance(layer, StandardizedConv2D):
        root = np.sqrt(1.0 + keras.config.epsilon() / HE_POWER)
        values["gain"] = scale * np.sqrt(power) * root / RELU_GAIN
        kernel = scaled(to_he)
    elif normalisation is not None:
        factor = np.ones_like(power) if depthwise else to_he
        kernel = scaled(factor)
        _set_named(
            normalisation,
            {
                "gamma": scale / factor * np.sqrt(1.0 + normalisation.epsilon),
                "beta": shift,
                "moving_mean": np.zeros_like(shift),
                "moving_variance": np.ones_like(shift),
            },
        )
        shift = np.zeros_like(shift)
    else:
        kernel = scaled(scale)
    _set_named(layer, {**values, "kernel": kernel, "bias": shift})


def _set_named(layer: keras.Layer, values: Mapping[str, Floats]) -> None:
    layer.set_weights([values[weight.name].reshape(weight.shape) for weight in layer.weights])


def _producer(layer: keras.Layer) -> str:
    """Returns the name of the layer whose answer a layer takes."""
    return str(layer.input._keras_history.operation.name)


def _not_found(path: Path, layer: str) -> TrackingError:
    return TrackingError(
        f"{path} must hold weights for each layer of its network, but those of {layer} cannot be read back from ONNX. "
        "Name the run of its training, which holds network.keras"
    )
