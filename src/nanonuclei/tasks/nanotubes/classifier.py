"""Does a window hold a nanotube: an image network of Keras cut at a layer, and a head on its features of the window.

The network sees windows with a margin, so wide that no feature of a window depends on what is padded beyond it. On a
tile of many windows the trunk runs once, and every window's score is read off its features, in training as in a scan.
"""

from __future__ import annotations

import functools
from pathlib import Path

import keras
import numpy as np
from keras import layers

from nanonuclei.errors import ConfigError, nearest_name
from nanonuclei.imaging.window_geometry import WindowGeometry
from nanonuclei.models.encoders import ENCODER, ENCODERS, Preprocess, load_pretrained, set_frozen
from nanonuclei.models.receptive_field import ReceptiveField, receptive_field
from nanonuclei.tasks.nanotubes.config import ALL, ClassifierConfig

INPUT_DEVIATION = 64.0
"""About the standard deviation, in grey values, of what networks of the mode ``caffe`` take."""


def window_geometry(config: ClassifierConfig, *, window: int) -> WindowGeometry:
    """Returns the margin and the stride that the trunk's layers ask for.

    Args:
        config: Which network, cut where.
        window: Side of a window, px.

    Raises:
        ConfigError: The trunk is not known or not local, or the window is no multiple of its stride.
    """
    field = _field(config)
    if window % field.stride:
        raise ConfigError(
            f"train.patch_size must be a multiple of {field.stride}, the stride of network.trunk={config.trunk}, got "
            f"{window}. Take {max(1, window // field.stride) * field.stride} or "
            f"{(window // field.stride + 1) * field.stride}"
        )
    return WindowGeometry(window, field.margin, field.stride)


def trunk_network(config: ClassifierConfig) -> keras.Model:
    """Returns an image network up to its trunk layer, with random weights, for images of any size.

    Without pretrained weights, networks that have no normalisation begin as He et al. (2015, arXiv 1502.01852)
    propose, their first layer scaled down by `INPUT_DEVIATION`: Keras's own start stops learning at this depth.

    Raises:
        ConfigError: There is no such layer.
    """
    width = {"alpha": config.alpha} if config.kind == "mobilenetv2" else {}
    whole = ENCODERS[config.kind].network(input_shape=(None, None, 3), **width)
    names = [layer.name for layer in whole.layers]
    if config.trunk not in names:
        raise ConfigError(
            f"network.trunk must be a layer of {config.kind}, got {config.trunk!r}. {nearest_name(config.trunk, names)}"
        )
    trunk = keras.Model(whole.input, whole.get_layer(config.trunk).output, name=ENCODER)
    if config.learns_from != ALL and config.learns_from not in (inside := [layer.name for layer in trunk.layers]):
        raise ConfigError(
            f"network.learns_from must be {ALL} or a layer of the trunk, got {config.learns_from!r}. "
            f"{nearest_name(config.learns_from, inside)}"
        )
    return trunk


def window_classifier(config: ClassifierConfig, *, window: int) -> keras.Model:
    """Builds the classifier with random weights, not compiled, in the precision that Keras is set to.

    It takes ``(batch, height, width, 3)`` float32 in 0..1, tiles of `WindowGeometry.extent` px, and answers
    ``(batch, rows, columns, 1)`` float32 in 0..1: the score of the window that begins, without its margin, at
    ``margin + row * stride`` and ``margin + column * stride``, for all that have their margin within the tile. A tile
    of `WindowGeometry.patch` px is one window.

    Args:
        config: Trunk and head.
        window: Side of a window, px.

    Raises:
        ConfigError: See `window_geometry`.
    """
    geometry, trunk = window_geometry(config, window=window), trunk_network(config)
    if config.weights == "none":
        _start_from_scratch(trunk, config)
    inputs = keras.Input((None, None, 3), name="image")
    x = trunk(Preprocess(ENCODERS[config.kind].mode, name="preprocess")(inputs))
    if geometry.margin:
        x = layers.Cropping2D(geometry.margin // geometry.stride, name="window")(x)
    across, kernel = geometry.window // geometry.stride, 1
    if config.head == "average":
        # The mean over a square is the mean over its rows' means; in float32, as sums of many features need it.
        x = layers.AveragePooling2D((across, 1), strides=1, dtype="float32", name="rows")(x)
        x = layers.AveragePooling2D((1, across), strides=1, dtype="float32", name="pool")(x)
    else:
        kernel = across
    if config.dropout > 0:
        x = layers.Dropout(config.dropout, name="features_drop")(x)
    if config.hidden:
        x = layers.Conv2D(config.hidden, kernel, activation="relu", kernel_initializer="he_normal", name="hidden")(x)
        if config.dropout > 0:
            x = layers.Dropout(config.dropout, name="hidden_drop")(x)
        kernel = 1
    small = keras.initializers.RandomNormal(stddev=0.01)  # so that scores begin near 0.5
    score = layers.Conv2D(1, kernel, activation="sigmoid", kernel_initializer=small, dtype="float32", name="score")
    return keras.Model(inputs, score(x), name="window_classifier")


def freeze(model: keras.Model, config: ClassifierConfig, *, frozen: bool) -> None:
    """Chooses which weights learn; to be followed by `compile`. See `encoders.set_frozen` for batch normalisation.

    Args:
        model: A network of `window_classifier`.
        config: Its config.
        frozen: Whether the whole trunk keeps its weights; else what lies before `learns_from` does.
    """
    set_frozen(model, config, frozen=frozen)  # type: ignore[arg-type]
    if frozen or config.learns_from == ALL:
        return
    for layer in model.get_layer(ENCODER).layers:
        if layer.name == config.learns_from:
            return
        layer.trainable = False


def load_trunk(model: keras.Model, config: ClassifierConfig) -> None:
    """Gives the trunk its pretrained weights; nothing is done with `weights` none.

    Args:
        model: A network of `window_classifier`.
        config: `weights`: imagenet, for VGG16 also edges, a file of Keras's network without its classifier, or a
            `.keras` file of a network that this program trained with the same trunk.

    Raises:
        ConfigError: The weights are not there, cannot be downloaded, or are of another network.
    """
    if not config.weights.endswith(".keras"):
        load_pretrained(model, config)  # type: ignore[arg-type]
        return
    if not Path(config.weights).is_file():
        raise ConfigError(
            f"network.weights must be imagenet, none or a file that exists, got {config.weights!r}. Check the path"
        )
    try:
        trained = keras.saving.load_model(config.weights, compile=False).get_layer(ENCODER)
        for layer in model.get_layer(ENCODER).layers:
            if layer.weights:
                layer.set_weights(trained.get_layer(layer.name).get_weights())
    except (ValueError, OSError, KeyError) as error:
        raise ConfigError(
            f"network.weights must hold a trained network with the layers of {config.kind} up to {config.trunk}, but "
            f"{config.weights} does not: {' '.join(str(error).split())[:200]}. Take another file, "
            "network.weights=imagenet or network.weights=none"
        ) from error


@functools.lru_cache(maxsize=16)
def _field(config: ClassifierConfig) -> ReceptiveField:
    """Building the network takes seconds."""
    return receptive_field(trunk_network(config))


def _start_from_scratch(trunk: keras.Model, config: ClassifierConfig) -> None:
    norms = [layer for layer in trunk.layers if isinstance(layer, layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = config.norm_momentum
    if norms:
        return
    first = True
    for layer in trunk.layers:
        if isinstance(layer, layers.Conv2D):
            kernel = np.asarray(keras.initializers.HeNormal()(layer.kernel.shape))
            layer.kernel.assign(kernel / INPUT_DEVIATION if first else kernel)
            first = False
