"""The upsampling paths of a U-Net: from the features of the smallest scale, over the skips, to scores per pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import layers

from nanonuclei.config.pixels import NetworkConfig
from nanonuclei.models.blocks import Dropout, Pointwise, Rise, block, filters_at, normalised, score_options

Features = Mapping[int, keras.KerasTensor]
"""Level to ``(batch, height / 2**level, width / 2**level, channels)``; `config.depth` is the lowest level."""

DIAMETER: dict[str, Any] = {"activation": "sigmoid", "dtype": "float32", "name": "diameter"}
"""The layer that tells sizes, like the scores in float32."""


def transpose(
    features: Features, config: NetworkConfig, *, num_classes: int, diameter: bool = False
) -> keras.KerasTensor:
    """Doubles the size by a transpose convolution, joins the skip and convolves twice, up to the size of the image.

    Args:
        features: All levels from `config.depth` on; a level without features has no skip.
        config: Depth, filters, normalisation, dropout.
        num_classes: Channels of the scores.
        diameter: Whether the diameter follows as one more channel.

    Returns:
        Scores ``(batch, height, width, num_classes)``, or with the diameter behind them.
    """
    x = features[config.depth]
    for level in reversed(range(config.depth)):
        x = Rise(filters_at(level, config), 2, strides=2, padding="same", name=f"rise{level}")(x)
        x = _joined(x, features, level)
        x = block(x, config, level=level, name=f"up{level}")
    scores = Pointwise(num_classes, **score_options(num_classes))(x)
    return _with_diameter(scores, Pointwise(1, **DIAMETER)(x)) if diameter else scores


def pix2pix(
    features: Features, config: NetworkConfig, *, num_classes: int, diameter: bool = False
) -> keras.KerasTensor:
    """Doubles the size by one upsampling block per level; the last layer is a transpose convolution itself.

    A block is transpose convolution, normalisation, dropout, ReLU (the decoder of Isola et al. 2017, arXiv 1611.07004,
    appendix, with its N(0, 0.02) kernels; 3 x 3 as in TensorFlow's image segmentation tutorial). Blocks end at the
    largest level that has a skip, and the last layer doubles what is missing to the size of the image.

    Args:
        features: As for `transpose`; of levels 0 and 1, level 1 alone may be the largest.
        config: Depth, filters, normalisation, dropout.
        num_classes: Channels of the scores.
        diameter: Whether the diameter follows as one more channel.

    Returns:
        Scores ``(batch, height, width, num_classes)``, or with the diameter behind them.
    """
    x = features[config.depth]
    largest = 0 if 0 in features else 1
    for level in reversed(range(largest, config.depth)):
        x = layers.Conv2DTranspose(
            filters_at(level, config),
            3,
            strides=2,
            padding="same",
            use_bias=config.normalisation == "none",
            kernel_initializer=keras.initializers.RandomNormal(0.0, 0.02),
            name=f"rise{level}",
        )(x)
        x = normalised(x, config, name=f"rise{level}_norm")
        if config.dropout > 0:
            x = Dropout(config.dropout, name=f"rise{level}_drop")(x)
        x = layers.ReLU(name=f"rise{level}_relu")(x)
        x = _joined(x, features, level)
    options: dict[str, Any] = {"strides": 2**largest, "padding": "same"}
    scores = layers.Conv2DTranspose(num_classes, 3, **options, **score_options(num_classes))(x)
    return _with_diameter(scores, layers.Conv2DTranspose(1, 3, **options, **DIAMETER)(x)) if diameter else scores


DECODERS: dict[str, Callable[..., keras.KerasTensor]] = {"transpose": transpose, "pix2pix": pix2pix}
"""Decoder per value of `network.decoder`."""


def _with_diameter(scores: keras.KerasTensor, size: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Concatenate(name="score_and_diameter", dtype="float32")([scores, size])


def _joined(x: keras.KerasTensor, features: Features, level: int) -> keras.KerasTensor:
    return layers.Concatenate(name=f"join{level}")([features[level], x]) if level in features else x
