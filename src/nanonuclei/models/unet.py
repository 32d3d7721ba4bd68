"""The U-Net from scratch (Ronneberger et al. 2015, arXiv 1505.04597), with padding and a choice of normalisation."""

from __future__ import annotations

import keras
from keras import layers

from nanonuclei.config.experiment import NetworkConfig


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
    for part in ("a", "b"):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=config.normalisation == "none",
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
