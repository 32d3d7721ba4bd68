"""The U-Net from scratch (Ronneberger et al. 2015, arXiv 1505.04597), with padding and a choice of normalisation."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from nanonuclei.config.experiment import NetworkConfig

RELU_GAIN = math.sqrt(2.0 / (1.0 - 1.0 / math.pi))
"""One over the standard deviation of ReLU(x) for x of mean 0 and variance 1."""


def unet(config: NetworkConfig, *, num_classes: int) -> keras.Model:
    """Builds a U-Net for images of any size that `2**depth` divides.

    Args:
        config: Depth, filters, dropout, normalisation.
        num_classes: 1 for one foreground score (sigmoid), else class probabilities (softmax).

    Returns:
        A model, not compiled: ``(batch, height, width, 3)`` float32 in 0..1 to
        ``(batch, height, width, num_classes)`` float32 in 0..1.
    """
    inputs = keras.Input((None, None, 3), name="image")
    x = inputs
    skips = []
    for level in range(config.depth):
        x = _block(x, config, level=level, name=f"down{level}")
        skips.append(x)
        x = layers.MaxPooling2D(name=f"pool{level}")(x)
    x = _block(x, config, level=config.depth, name="bottom")
    for level in reversed(range(config.depth)):
        filters = config.base_filters * 2**level
        x = layers.Conv2DTranspose(filters, 2, strides=2, padding="same", name=f"rise{level}")(x)
        x = layers.Concatenate(name=f"join{level}")([skips[level], x])
        x = _block(x, config, level=level, name=f"up{level}")
    # The head stays in float32: probabilities near 0 and 1 do not fit into half precision.
    activation = "sigmoid" if num_classes == 1 else "softmax"
    outputs = layers.Conv2D(num_classes, 1, activation=activation, dtype="float32", name="score")(x)
    return keras.Model(inputs, outputs, name="unet")


def _block(x: keras.KerasTensor, config: NetworkConfig, *, level: int, name: str) -> keras.KerasTensor:
    filters = config.base_filters * 2**level
    convolution = StandardizedConv2D if config.normalisation == "weights" else layers.Conv2D
    for part in ("a", "b"):
        x = convolution(
            filters,
            3,
            padding="same",
            use_bias=config.normalisation in ("none", "weights"),
            kernel_initializer="he_normal",
            name=f"{name}{part}_conv",
        )(x)
        if config.normalisation == "batch":
            x = layers.BatchNormalization(momentum=config.norm_momentum, name=f"{name}{part}_norm")(x)
        elif config.normalisation == "group":
            groups = next(size for size in (8, 4, 2, 1) if filters % size == 0)
            x = layers.GroupNormalization(groups, name=f"{name}{part}_norm")(x)
        x = layers.ReLU(name=f"{name}{part}_relu")(x)
    if config.dropout > 0 and level >= config.depth - 1:
        x = layers.Dropout(config.dropout, name=f"{name}_drop")(x)
    return x


@keras.saving.register_keras_serializable(package="nanonuclei")
class StandardizedConv2D(layers.Conv2D):
    """A convolution whose kernels have mean 0 and a learnt gain: normalisation of weights, whatever the image's size.

    The kernel of each filter is ``RELU_GAIN * gain * (w - mean(w)) / (std(w) * sqrt(n))`` over its n weights (scaled
    weight standardization; Brock et al. 2021, arXiv 2101.08692, eq. 2), so that activations of variance 1 keep it
    through a ReLU. Nothing is computed per pixel and nothing depends on the batch.
    """

    def build(self, input_shape: Any) -> None:
        """Adds the gain of each filter."""
        super().build(input_shape)
        self.gain = self.add_weight(name="gain", shape=(self.filters,), initializer="ones")

    def save_own_variables(self, store: Any) -> None:
        """Stores all variables; a plain convolution stores kernel and bias alone."""
        layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Reads what `save_own_variables` stored."""
        layers.Layer.load_own_variables(self, store)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolves with the standardized kernel."""
        kernel = ops.cast(kernel, "float32")
        centred = kernel - ops.mean(kernel, axis=(0, 1, 2), keepdims=True)
        power = ops.sum(ops.square(centred), axis=(0, 1, 2), keepdims=True)
        kernel = RELU_GAIN * ops.cast(self.gain, "float32") * centred * ops.rsqrt(power + keras.config.epsilon())
        return super().convolution_op(inputs, ops.cast(kernel, inputs.dtype))
