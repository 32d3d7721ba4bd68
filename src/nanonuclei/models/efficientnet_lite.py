"""EfficientNet-Lite0 without its classifier, for any backend of Keras; Keras itself has only the larger EfficientNets.

The network is EfficientNet-B0 (Tan and Le 2019, arXiv 1905.11946, table 1) without squeeze-and-excitation and with
ReLU6, as in TensorFlow's reference code. The converter reads the weights as `efficientnet-lite-pytorch` names them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from nanonuclei.errors import ConfigError
from nanonuclei.models.blocks import DepthwiseConv2D

FEATURES = {1: "block1a_project_bn", 2: "block2b_add", 3: "block3b_add", 4: "block5c_add", 5: "block7a_project_bn"}
"""Layer whose answer is the feature map of a level: the last block at each scale, of 16, 24, 40, 112, 320 channels."""

DEVIATIONS = {1: 6.0, 2: 6.5, 3: 6.5, 4: 5.5, 5: 2.5}
"""About the standard deviation of each level's feature with ImageNet's weights (measured on eight images of nuclei)."""

STEM_FILTERS = 32
EPSILON = 1e-3
"""Of batch normalisation."""


@dataclass(frozen=True)
class Block:
    """An inverted residual block: a 1 x 1 convolution that expands, a depthwise one, a 1 x 1 one that projects.

    Attributes:
        name: Prefix of its layers, as Keras's EfficientNet has it: stage and letter.
        kernel: Side of the depthwise kernel.
        stride: Of the depthwise convolution.
        expansion: Channels inside the block per channel that it is given; 1: the block has no expanding convolution.
        filters: Channels of its answer.
        residual: Whether its input is added to its answer.
    """

    name: str
    kernel: int
    stride: int
    expansion: int
    filters: int
    residual: bool


STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, kernel, stride of the first block, expansion and filters of each stage."""


def blocks() -> Iterator[Block]:
    """Yields the 16 blocks in order."""
    for stage, (num_blocks, kernel, stride, expansion, filters) in enumerate(STAGES, start=1):
        for number in range(num_blocks):
            name = f"block{stage}{'abcd'[number]}"
            yield Block(name, kernel, 1 if number else stride, expansion, filters, residual=number > 0)


def efficientnet_lite0(*, input_shape: tuple[int | None, int | None, int]) -> keras.Model:
    """Builds the network with random weights, up to its last block.

    Padding is TensorFlow's ``same``. For sizes that the stride divides, a convolution of stride 2 pads 0 and 1 px
    (kernel 3) or 1 and 2 px (kernel 5) before and after the image.

    Args:
        input_shape: Height, width and channels; None for any size.

    Returns:
        A model: ``(batch, height, width, 3)`` float32, (grey value - 127) / 128 of grey values 0..255, to
        ``(batch, height / 32, width / 32, 320)``. See `FEATURES` for the layers of the other scales.
    """
    inputs = keras.Input(input_shape, name="pixels")
    x = layers.Conv2D(STEM_FILTERS, 3, strides=2, **_options(), name="stem_conv")(inputs)
    x = _activated(x, "stem")
    for block in blocks():
        x = _block(x, block)
    return keras.Model(inputs, x, name="efficientnetlite0")


def set_torch_weights(network: keras.Model, state: Mapping[str, NDArray[Any]]) -> None:
    """Gives the network the weights of the PyTorch implementation.

    Args:
        network: A network of `efficientnet_lite0`.
        state: Arrays by name, as PyTorch stores them: kernels ``(out, in, height, width)``, depthwise ones
            ``(channels, 1, height, width)``. The last convolution and the classifier are left out.

    Raises:
        ConfigError: A name is missing, or an array has another shape than the layer.
    """
    for layer, names in _torch_names():
        target = network.get_layer(layer)
        try:
            arrays = [_as_keras(state[name], target) for name in names]
            target.set_weights(arrays)
        except (KeyError, ValueError) as error:
            raise ConfigError(
                f"weights of EfficientNet-Lite0 must hold {', '.join(names)} for the layer {layer}, but: "
                f"{' '.join(str(error).split())[:200]}. Fetch them again: python src/nanonuclei fetch weights"
            ) from error


def _torch_names() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields each layer that has weights with the names of its arrays in PyTorch, in Keras's order."""
    yield "stem_conv", ("_conv_stem.weight",)
    yield "stem_bn", _norm_names("_bn0")
    for number, block in enumerate(blocks()):
        prefix = f"_blocks.{number}."
        if block.expansion > 1:
            yield f"{block.name}_expand_conv", (f"{prefix}_expand_conv.weight",)
            yield f"{block.name}_expand_bn", _norm_names(f"{prefix}_bn0")
        yield f"{block.name}_dwconv", (f"{prefix}_depthwise_conv.weight",)
        yield f"{block.name}_bn", _norm_names(f"{prefix}_bn1")
        yield f"{block.name}_project_conv", (f"{prefix}_project_conv.weight",)
        yield f"{block.name}_project_bn", _norm_names(f"{prefix}_bn2")


def _norm_names(prefix: str) -> tuple[str, ...]:
    return tuple(f"{prefix}.{part}" for part in ("weight", "bias", "running_mean", "running_var"))


def _as_keras(array: NDArray[Any], layer: keras.layers.Layer) -> NDArray[Any]:
    if isinstance(layer, layers.BatchNormalization):
        return array
    # A depthwise kernel is (channels, 1, height, width) here and (height, width, channels, 1) there.
    axes = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
    return np.ascontiguousarray(array.transpose(axes))


def _block(inputs: keras.KerasTensor, block: Block) -> keras.KerasTensor:
    x, name = inputs, block.name
    if block.expansion > 1:
        x = layers.Conv2D(block.expansion * x.shape[-1], 1, **_options(), name=f"{name}_expand_conv")(x)
        x = _activated(x, f"{name}_expand")
    depthwise = {"depthwise_initializer": _kernels(), "padding": "same", "use_bias": False}
    x = DepthwiseConv2D(block.kernel, strides=block.stride, **depthwise, name=f"{name}_dwconv")(x)
    x = _activated(x, name)
    x = layers.Conv2D(block.filters, 1, **_options(), name=f"{name}_project_conv")(x)
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_project_bn")(x)
    return layers.Add(name=f"{name}_add")([x, inputs]) if block.residual else x


def _activated(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_activation")(x)


def _options() -> dict[str, Any]:
    return {"padding": "same", "use_bias": False, "kernel_initializer": _kernels()}


def _kernels() -> keras.initializers.Initializer:
    return keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="truncated_normal")
