"""Which pixels a feature of a convolutional network sees, read off its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from nanonuclei.errors import ConfigError

POINTWISE = (
    layers.Activation,
    layers.BatchNormalization,
    layers.Dropout,
    layers.InputLayer,
    layers.Normalization,
    layers.ReLU,
    layers.Rescaling,
)
"""Layers whose answer at a place depends on that place alone, where they do not learn."""


@dataclass(frozen=True)
class ReceptiveField:
    """Along either axis, feature i depends on the pixels ``i * stride + first`` to ``i * stride + last``.

    Attributes:
        stride: Pixels per feature.
        first: Offset of the first pixel, 0 or less.
        last: Offset of the last pixel.
    """

    stride: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """Pixels that one feature sees, along an axis."""
        return self.last - self.first + 1

    @property
    def margin(self) -> int:
        """Least context about a window, px, a multiple of the stride, beyond which its features see nothing.

        The features of a window of a multiple of the stride, which begins at the margin, are those whose pixels
        ``i * stride`` lie in it; the first sees `first` before the window, the last ``last - stride + 1`` behind it.
        """
        least = max(-self.first, self.last - self.stride + 1, 0)
        return -(-least // self.stride) * self.stride


def receptive_field(network: keras.Model) -> ReceptiveField:
    """Returns what a feature of a network's only answer sees.

    The offsets of a layer with kernel k, stride s and dilation d follow from those of its input by ``first - j * p``
    and ``last + j * (d * (k - 1) - p)``, where j is the stride so far and p the padding before the first pixel: for
    padding ``same`` of an input that s divides, half of ``d * (k - 1) + 1 - s``, rounded down, as TensorFlow does it
    (Araujo, Norris and Sim 2019, "Computing receptive fields of convolutional neural networks", Distill, eq. 2).

    Args:
        network: Made of convolutions, poolings, paddings, sums and layers that work point by point, with one input.

    Raises:
        ConfigError: A layer is not of these, so that a feature may see the whole image.
    """
    fields: dict[int, ReceptiveField] = {}
    for layer in network.layers:
        if isinstance(layer, layers.InputLayer):
            fields[id(layer.output)] = ReceptiveField(1, 0, 0)
            continue
        before = [fields[id(tensor)] for tensor in _listed(layer.input)]
        fields[id(layer.output)] = _behind(layer, before)
    return fields[id(network.output)]


def _behind(layer: keras.layers.Layer, before: Sequence[ReceptiveField]) -> ReceptiveField:
    joined = ReceptiveField(before[0].stride, min(field.first for field in before), max(field.last for field in before))
    if isinstance(layer, (*POINTWISE, layers.Add, layers.Concatenate)):
        return joined
    if isinstance(layer, layers.ZeroPadding2D):
        shift = joined.stride * layer.padding[0][0]
        return ReceptiveField(joined.stride, joined.first - shift, joined.last - shift)
    if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.MaxPooling2D | layers.AveragePooling2D):
        pools = isinstance(layer, layers.MaxPooling2D | layers.AveragePooling2D)
        kernel = layer.pool_size[0] if pools else layer.dilation_rate[0] * (layer.kernel_size[0] - 1) + 1
        step = layer.strides[0]
        padding = max(kernel - step, 0) // 2 if layer.padding == "same" else 0
        return ReceptiveField(
            joined.stride * step,
            joined.first - joined.stride * padding,
            joined.last + joined.stride * (kernel - 1 - padding),
        )
    raise ConfigError(
        f"the layers of a trunk must look at a part of the image each, got {layer.name}, a {type(layer).__name__}. "
        "Take another network.kind, or a layer before it for network.trunk"
    )


def _listed(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]
