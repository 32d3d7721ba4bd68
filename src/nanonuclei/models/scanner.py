"""A classifier of windows as a network on large tiles: the trunk runs once, every window is read off its features."""

from __future__ import annotations

import keras
from keras import layers

from nanonuclei.config.nanotubes import ClassifierConfig
from nanonuclei.imaging.window_geometry import WindowGeometry
from nanonuclei.models.encoders import ENCODER, ENCODERS, Preprocess
from nanonuclei.models.window_classifier import trunk_network


def scan_network(model: keras.Model, config: ClassifierConfig, *, geometry: WindowGeometry) -> keras.Model:
    """Builds the network of a scan, with the weights of a classifier, in the precision that Keras is set to.

    It takes ``(batch, height, width, 3)`` float32 in 0..1, height and width multiples of the stride, and answers
    ``(batch, rows, columns, 1)`` float32: the score of the window that begins, without its margin, at ``margin + row *
    stride`` and ``margin + column * stride``, for all that have their margin within the tile.

    Args:
        model: A network of `window_classifier`.
        config: Its config.
        geometry: Its geometry.
    """
    across = geometry.window // geometry.stride
    trunk = trunk_network(config)
    trunk.set_weights(model.get_layer(ENCODER).get_weights())
    inputs = keras.Input((None, None, 3), name="image")
    x = trunk(Preprocess(ENCODERS[config.kind].mode, name="preprocess")(inputs))
    if geometry.margin:
        x = layers.Cropping2D(geometry.margin // geometry.stride)(x)
    dense = [model.get_layer(name) for name in ("hidden", "score") if name != "hidden" or config.hidden]
    if config.head == "average":
        # The mean over a square is the mean over its rows' means; in float32, as sums of many features need it.
        x = layers.AveragePooling2D((across, 1), strides=1, dtype="float32")(x)
        x = layers.AveragePooling2D((1, across), strides=1, dtype="float32")(x)
    kernel = across if config.head == "flatten" else 1
    for layer in dense:
        convolution = layers.Conv2D(
            layer.units, kernel, activation=layer.activation, dtype="float32" if layer is dense[-1] else None
        )
        x = convolution(x)
        weights, bias = layer.get_weights()
        convolution.set_weights([weights.reshape(convolution.kernel.shape), bias])
        kernel = 1
    return keras.Model(inputs, x, name="scanner")
