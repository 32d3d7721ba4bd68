"""Image networks as the downsampling path of a U-Net, and where their pretrained weights come from."""

from __future__ import annotations

import functools
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from nanonuclei.config.pixels import NetworkConfig
from nanonuclei.config.shared import (
    KERAS_FILES,
    KERAS_SERVER,
    described,
    fetched_path,
    imagenet_lacking,
    imagenet_place,
)
from nanonuclei.errors import ConfigError
from nanonuclei.models import efficientnet_lite
from nanonuclei.models.weights import PUBLISHED

ENCODER = "encoder"
"""Name of the layer of a U-Net that holds the image network."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Of red, green and blue over ImageNet, in 0..1, as Keras's EfficientNet takes them."""


@dataclass(frozen=True)
class Encoder:
    """An image network.

    Attributes:
        network: Builds it without its classifier and with random weights, given `input_shape` and, for MobileNetV2,
            `alpha`.
        mode: How its images were preprocessed, see `Preprocess`.
        features: Layer whose answer is taken, per level.
        weights: Name of the file of its ImageNet weights without the classifier; `{alpha}` stands for the width.
        url: Folder that Keras downloads it from; empty where `weights.fetch_weights` puts it in place.
        md5: Of the file, as Keras checks it; None where Keras does not.
        deviations: Standard deviation of a level's feature under pretrained weights, where it is far from 1.
    """

    network: Callable[..., keras.Model]
    mode: str
    features: dict[int, str]
    weights: str
    url: str
    md5: str | None
    deviations: Mapping[int, float] = field(default_factory=dict)


def _of_keras(network: Callable[..., keras.Model]) -> Callable[..., keras.Model]:
    return functools.partial(network, include_top=False, weights=None)


ENCODERS = {
    "mobilenetv2": Encoder(
        network=_of_keras(keras.applications.MobileNetV2),
        mode="tf",
        features={
            1: "block_1_expand_relu",
            2: "block_3_expand_relu",
            3: "block_6_expand_relu",
            4: "block_13_expand_relu",
            5: "block_16_project",
        },
        weights=KERAS_FILES["mobilenetv2"][1],
        url=KERAS_SERVER + KERAS_FILES["mobilenetv2"][0],
        md5=None,
    ),
    "resnet50": Encoder(
        network=_of_keras(keras.applications.ResNet50),
        mode="caffe",
        features={
            1: "conv1_relu",
            2: "conv2_block3_out",
            3: "conv3_block4_out",
            4: "conv4_block6_out",
            5: "conv5_block3_out",
        },
        weights=KERAS_FILES["resnet50"][1],
        url=KERAS_SERVER + KERAS_FILES["resnet50"][0],
        md5="4d473c1dd8becc155b73f8504c6f6626",
    ),
    "vgg16": Encoder(
        network=_of_keras(keras.applications.VGG16),
        mode="caffe",
        features={
            0: "block1_conv2",
            1: "block2_conv2",
            2: "block3_conv3",
            3: "block4_conv3",
            4: "block5_conv3",
            5: "block5_pool",
        },
        weights=KERAS_FILES["vgg16"][1],
        url=KERAS_SERVER + KERAS_FILES["vgg16"][0],
        md5="6d6bbae143d832006294945121d1f1fc",
    ),
    "efficientnetb0": Encoder(
        network=_of_keras(keras.applications.EfficientNetB0),
        mode="bytes",
        features={
            1: "block2a_expand_activation",
            2: "block3a_expand_activation",
            3: "block4a_expand_activation",
            4: "block6a_expand_activation",
            5: "top_activation",
        },
        weights=KERAS_FILES["efficientnetb0"][1],
        url=KERAS_SERVER + KERAS_FILES["efficientnetb0"][0],
        md5="50bc09e76180e00e4465e1a485ddc09d",
    ),
    "efficientnetlite0": Encoder(
        network=efficientnet_lite.efficientnet_lite0,
        mode="lite",
        features=efficientnet_lite.FEATURES,
        weights=PUBLISHED["efficientnetlite0", "imagenet"].file,
        url="",
        md5=None,
        deviations=efficientnet_lite.DEVIATIONS,
    ),
}
"""Image network per value of `network.kind`; MobileNetV2's layers are those of TensorFlow's segmentation tutorial."""


@keras.saving.register_keras_serializable(package="nanonuclei")
class Preprocess(layers.Layer):
    """From images in 0..1 to what an image network was trained on.

    Args:
        mode: ``tf``: -1..1; ``caffe``: BGR in 0..255 less ImageNet's mean; ``bytes``: 0..255, the network does more;
            ``lite``: 0..255 less 127, divided by 128.
    """

    def __init__(self, mode: str, **options: Any) -> None:
        super().__init__(**{"dtype": "float32", **options})
        self.mode = mode

    def call(self, image: Any) -> Any:
        """Returns images of the same shape."""
        image = 255.0 * image
        if self.mode == "bytes":
            return image
        if self.mode == "lite":
            return (image - 127.0) / 128.0
        return keras.applications.imagenet_utils.preprocess_input(image, data_format="channels_last", mode=self.mode)

    def get_config(self) -> dict[str, Any]:
        """Returns what the constructor takes."""
        return {**super().get_config(), "mode": self.mode}


def encoded(inputs: keras.KerasTensor, config: NetworkConfig) -> dict[int, keras.KerasTensor]:
    """Runs images through an encoder with random weights.

    Args:
        inputs: ``(batch, height, width, 3)`` float32 in 0..1.
        config: Kind, depth, width; with `weights` none, batch normalisation takes `norm_momentum`.

    Returns:
        Features per level as `models.decoders.Features`, down to `config.depth`. At level 0 a transpose decoder gets
        the image itself from encoders that begin by halving it. Pretrained features have been divided by the
        deviations of the encoder, so that a decoder begins with features of similar scales.
    """
    known = ENCODERS[config.kind]
    network = _network(config)
    levels = [level for level in known.features if level <= config.depth]
    outputs = [network.get_layer(known.features[level]).output for level in levels]
    encoder = keras.Model(network.input, outputs, name=ENCODER)
    for layer in encoder.layers:
        if isinstance(layer, layers.BatchNormalization) and config.weights == "none":
            layer.momentum = config.norm_momentum
        elif isinstance(layer, layers.Normalization):  # EfficientNet's own; Keras sets it from the file of weights
            layer.set_weights([np.array(IMAGENET_MEAN), np.square(IMAGENET_DEVIATION), np.array(0)])
            layer.finalize_state()
    answers = encoder(Preprocess(known.mode, name="preprocess")(inputs))
    features = dict(zip(levels, answers if isinstance(answers, list) else [answers], strict=True))
    if config.weights != "none":
        for level in known.deviations.keys() & features.keys():
            features[level] = layers.Rescaling(1.0 / known.deviations[level], name=f"scale{level}")(features[level])
    if config.decoder == "transpose":
        features.setdefault(0, inputs)
    return features


def set_frozen(model: keras.Model, config: NetworkConfig, *, frozen: bool) -> None:
    """Chooses which weights of a U-Net learn; to be followed by `compile`.

    The batch normalisation of a pretrained encoder always stays as it was trained: at a momentum of 0.999 its running
    statistics would be far from those of the batches for thousands of steps. A layer that is not trainable is the one
    way to say so which Keras 3.15 keeps to in `fit`; ``training=False`` given at the call is overruled there.

    Args:
        model: A network of `models.unet.unet`.
        config: Its config; nothing is done for a U-Net from scratch.
        frozen: Whether the encoder keeps its weights.
    """
    if config.kind == "unet":
        return
    encoder = model.get_layer(ENCODER)
    encoder.trainable = not frozen
    if not frozen and config.weights != "none":
        for layer in encoder.layers:
            layer.trainable = not isinstance(layer, layers.BatchNormalization)


def load_pretrained(model: keras.Model, config: NetworkConfig) -> None:
    """Gives the encoder of a U-Net its pretrained weights; nothing is done where there are none.

    Args:
        model: A network of `models.unet.unet`.
        config: Its config.

    Raises:
        ConfigError: The weights are not there, cannot be downloaded, or are of another network.
    """
    if config.kind == "unet" or config.weights == "none":
        return
    path = weights_path(config)
    network = _network(config)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras warns where it leaves a layer with random weights
            network.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"network.weights must hold the weights of {described(config.kind, config.alpha)} without its classifier, "
            f"but {path} does not: {' '.join(str(error).split())[:200]}. Take another file, network.weights=imagenet "
            "or network.weights=none"
        ) from error
    for layer in model.get_layer(ENCODER).layers:
        if layer.weights and not isinstance(layer, layers.Normalization):
            layer.set_weights(network.get_layer(layer.name).get_weights())


def weights_path(config: NetworkConfig) -> Path:
    """Returns the file of the pretrained weights, downloaded where it has to be.

    Raises:
        ConfigError: It is not there, has not been fetched, or cannot be downloaded.
    """
    if (config.kind, config.weights) in PUBLISHED:
        return fetched_path(config.kind, config.weights)
    if config.weights != "imagenet":
        path = Path(config.weights)
        if not path.is_file():
            words = {"imagenet", *(weights for kind, weights in PUBLISHED if kind == config.kind)}
            raise ConfigError(
                f"network.weights must be {', '.join(sorted(words, reverse=True))}, none or a file that exists, "
                f"got {config.weights!r}. Check the path"
            )
        return path
    path, url = imagenet_place(config.kind, config.alpha)
    if path.is_file():  # also where the folder is read-only, which Keras passes by
        return path
    try:
        place = {"cache_subdir": path.parent.name, "cache_dir": str(path.parents[1])}
        return Path(keras.utils.get_file(path.name, url, file_hash=ENCODERS[config.kind].md5, **place))
    except Exception as error:  # Keras raises nothing more special when it cannot download
        raise imagenet_lacking(config.kind, config.alpha, error) from error


def _network(config: NetworkConfig) -> keras.Model:
    """Returns the whole image network but its classifier, with random weights."""
    width = {"alpha": config.alpha} if config.kind == "mobilenetv2" else {}
    return ENCODERS[config.kind].network(input_shape=(None, None, 3), **width)
