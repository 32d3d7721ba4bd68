"""U-Nets (Ronneberger et al. 2015, arXiv 1505.04597), with padding: from scratch, or over an encoder of Keras."""

from __future__ import annotations

import keras
from keras import layers

from nanonuclei.config.pixels import NetworkConfig
from nanonuclei.models.blocks import block
from nanonuclei.models.decoders import DECODERS
from nanonuclei.models.encoders import encoded


def unet(config: NetworkConfig, *, num_classes: int, diameter: bool = False) -> keras.Model:
    """Builds a U-Net with random weights for images of any size that `2**depth` divides.

    Args:
        config: Downsampling path, depth, filters, decoder, dropout, normalisation.
        num_classes: 1 for one foreground score (sigmoid), else class probabilities (softmax).
        diameter: Whether one more channel follows: ``log2(diameter) / 8`` of the object around a pixel, in 0..1.

    Returns:
        A model, not compiled: ``(batch, height, width, 3)`` float32 in 0..1 to
        ``(batch, height, width, channels)`` float32 in 0..1.
    """
    inputs = keras.Input((None, None, 3), name="image")
    features = _from_scratch(inputs, config) if config.kind == "unet" else encoded(inputs, config)
    outputs = DECODERS[config.decoder](features, config, num_classes=num_classes, diameter=diameter)
    return keras.Model(inputs, outputs, name="unet")


def _from_scratch(inputs: keras.KerasTensor, config: NetworkConfig) -> dict[int, keras.KerasTensor]:
    x, features = inputs, {}
    for level in range(config.depth):
        features[level] = block(x, config, level=level, name=f"down{level}")
        x = layers.MaxPooling2D(name=f"pool{level}")(features[level])
    features[config.depth] = block(x, config, level=config.depth, name="bottom")
    return features
