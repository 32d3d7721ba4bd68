"""The network that marks centre lines: a U-Net over an image network, one score per pixel."""

from __future__ import annotations

from pathlib import Path

import keras

from nanonuclei.config.pixels import NetworkConfig
from nanonuclei.errors import ConfigError
from nanonuclei.models.encoders import load_pretrained
from nanonuclei.models.unet import unet
from nanonuclei.tasks.nanotubes.config import ClassifierConfig

SUFFIX = ".keras"
"""Of files that hold a whole trained network."""


def unet_config(config: ClassifierConfig) -> NetworkConfig:
    """Returns the U-Net of a config; its decoder normalises weights, whatever the size of the image."""
    return NetworkConfig(
        kind=config.kind,
        depth=config.depth,
        base_filters=config.base_filters,
        decoder="transpose",
        dropout=config.dropout,
        normalisation="weights",
        norm_momentum=config.norm_momentum,
        alpha=config.alpha,
        weights=config.weights,
    )


def line_network(config: ClassifierConfig) -> keras.Model:
    """Builds the network with random weights, not compiled.

    It takes ``(batch, height, width, 3)`` float32 in 0..1, sides being multiples of ``2**depth``, and answers
    ``(batch, height, width, 1)`` float32 in 0..1: how surely a pixel lies on the centre line of a nanotube.
    """
    return unet(unet_config(config), num_classes=1)


def load_weights(model: keras.Model, config: ClassifierConfig) -> None:
    """Gives the encoder its pretrained weights, or the whole network those of an earlier training.

    Args:
        model: A network of `line_network`.
        config: `weights`: imagenet, a file of the image network without its classifier, or a `.keras` file of a
            network that this program trained to mark lines; nothing is done with none.

    Raises:
        ConfigError: The weights are not there, cannot be downloaded, or are of another network.
    """
    if not config.weights.endswith(SUFFIX):
        load_pretrained(model, unet_config(config))
        return
    if not Path(config.weights).is_file():
        raise ConfigError(
            f"network.weights must be imagenet, none or a file that exists, got {config.weights!r}. Check the path"
        )
    try:
        model.set_weights(keras.saving.load_model(config.weights, compile=False).get_weights())
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise ConfigError(
            f"network.weights must hold a network of network.answer=line with kind {config.kind}, depth "
            f"{config.depth} and base_filters {config.base_filters}, but {config.weights} does not: "
            f"{' '.join(str(error).split())[:200]}. Take another file, network.weights=imagenet or network.weights=none"
        ) from error
