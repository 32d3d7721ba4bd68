"""EfficientNet-Lite0 against the numbers of its PyTorch implementation."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from tests.conftest import network

from nanonuclei.config.shared import weights_folder
from nanonuclei.errors import ConfigError
from nanonuclei.models.efficientnet_lite import FEATURES, blocks, efficientnet_lite0, set_torch_weights
from nanonuclei.models.encoders import ENCODER, load_pretrained, set_frozen
from nanonuclei.models.unet import unet
from nanonuclei.models.weights import PUBLISHED

CHANNELS = {1: 16, 2: 24, 3: 40, 4: 112, 5: 320}
FETCHED = weights_folder() / PUBLISHED["efficientnetlite0", "imagenet"].file

REFERENCE: dict[tuple[int, int], tuple[float, dict[int, tuple[float, float, float, float]]]] = {
    (224, 224): (
        2.005143,
        {
            1: (10.492001, -6.67735, 1.53383, 4.33247),
            2: (11.143983, -0.01959, 1.41955, 4.24269),
            3: (6.996512, -0.08731, -0.77755, -0.50053),
            4: (3.838363, -3.48933, 4.61813, 4.99367),
            5: (1.747987, -0.72155, -0.47815, -2.48771),
        },
    ),
    (256, 320): (
        2.007438,
        {
            1: (10.506065, 22.76349, -3.79869, 11.28556),
            2: (11.093372, -1.63575, 4.69226, 14.03776),
            3: (6.913567, 5.49282, -9.90511, 4.64448),
            4: (3.818955, -3.16053, 5.97637, 1.75488),
            5: (1.813453, -0.15315, -0.86953, -2.00366),
        },
    ),
}
"""Of `efficientnet-lite-pytorch` 0.1.0 under PyTorch 2.13.0, by size of the image: mean after the stem, and per level
the standard deviation and the values at the first, the last and a middle place."""


def torch_state() -> dict[str, np.ndarray]:
    """Returns random arrays in the shapes and under the names of PyTorch."""
    rng = np.random.default_rng(0)
    state: dict[str, np.ndarray] = {}

    def norm(name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{part}"] = rng.random(channels, np.float32)

    def kernel(name: str, *shape: int) -> None:
        state[f"{name}.weight"] = rng.random(shape, np.float32)

    kernel("_conv_stem", 32, 3, 3, 3)
    norm("_bn0", 32)
    channels = 32
    for number, block in enumerate(blocks()):
        inner, prefix = block.expansion * channels, f"_blocks.{number}."
        if block.expansion > 1:
            kernel(f"{prefix}_expand_conv", inner, channels, 1, 1)
            norm(f"{prefix}_bn0", inner)
        kernel(f"{prefix}_depthwise_conv", inner, 1, block.kernel, block.kernel)
        norm(f"{prefix}_bn1", inner)
        kernel(f"{prefix}_project_conv", block.filters, inner, 1, 1)
        norm(f"{prefix}_bn2", block.filters)
        channels = block.filters
    return state


@pytest.fixture(scope="module")
def whole() -> keras.Model:
    return efficientnet_lite0(input_shape=(None, None, 3))


def test_network_has_the_weights_of_the_published_one_but_the_last_convolution_and_classifier(
    whole: keras.Model,
) -> None:
    head, classifier = 320 * 1280 + 4 * 1280, 1280 * 1000 + 1000
    published = 4_652_008 + 42_016  # of all layers, and the running statistics, which PyTorch does not count
    assert whole.count_params() == published - head - classifier == 2_998_304


@pytest.mark.parametrize("shape", [(32, 32), (64, 96), (160, 32)])
def test_features_halve_any_image_that_32_divides_and_are_the_same_at_each_call(
    whole: keras.Model, shape: tuple[int, int]
) -> None:
    features = keras.Model(whole.input, [whole.get_layer(name).output for name in FEATURES.values()])
    pixels = np.random.default_rng(0).uniform(-1, 1, (1, *shape, 3)).astype(np.float32)
    first, second = ([np.asarray(x) for x in features(pixels)] for _ in range(2))
    for (level, channels), mine, again in zip(CHANNELS.items(), first, second, strict=True):
        assert mine.shape == (1, shape[0] // 2**level, shape[1] // 2**level, channels)
        assert np.isfinite(mine).all()
        np.testing.assert_array_equal(mine, again)


def test_encoder_keeps_no_blocks_beyond_its_depth() -> None:
    encoder = unet(network(kind="efficientnetlite0", depth=4), num_classes=1).get_layer(ENCODER)
    assert encoder.layers[-1].name == "block5c_add"
    assert encoder.count_params() == 716_928


def test_kernels_of_pytorch_are_turned_to_the_order_of_keras(whole: keras.Model) -> None:
    state = torch_state()
    set_torch_weights(whole, state)
    (stem,) = whole.get_layer("stem_conv").get_weights()
    assert stem[2, 1, 0, 31] == state["_conv_stem.weight"][31, 0, 2, 1]
    (depthwise,) = whole.get_layer("block2a_dwconv").get_weights()
    assert depthwise[2, 1, 95, 0] == state["_blocks.1._depthwise_conv.weight"][95, 0, 2, 1]
    gain, bias, mean, variance = whole.get_layer("block7a_project_bn").get_weights()
    for part, mine in (("weight", gain), ("bias", bias), ("running_mean", mean), ("running_var", variance)):
        np.testing.assert_array_equal(mine, state[f"_blocks.15._bn2.{part}"])


@pytest.mark.parametrize(
    ("name", "array"), [("_bn0.bias", None), ("_blocks.3._expand_conv.weight", np.zeros((1, 1, 1, 1), np.float32))]
)
def test_weights_that_lack_an_array_or_have_another_shape_are_refused(
    whole: keras.Model, name: str, array: np.ndarray | None
) -> None:
    state: dict[str, Any] = {**torch_state(), name: array}
    if array is None:
        del state[name]
    with pytest.raises(ConfigError, match=f"must hold .*{name}"):
        set_torch_weights(whole, state)


@pytest.mark.skipif(not FETCHED.is_file(), reason="the weights are not there: python src/nanonuclei fetch weights")
@pytest.mark.parametrize("shape", list(REFERENCE))
def test_fetched_weights_give_the_features_of_the_published_network(shape: tuple[int, int]) -> None:
    config = network(kind="efficientnetlite0", weights="imagenet", depth=5, decoder="pix2pix")
    model = unet(config, num_classes=1)
    load_pretrained(model, config)
    image = np.random.default_rng(list(REFERENCE).index(shape)).random((1, *shape, 3), np.float32)
    encoder = model.get_layer(ENCODER)
    watched = keras.Model(encoder.input, [encoder.get_layer("stem_activation").output, *encoder.outputs])
    stem, *features = (np.asarray(x, np.float64) for x in watched(model.get_layer("preprocess")(image)))
    mean, levels = REFERENCE[shape]
    assert stem.mean() == pytest.approx(mean, abs=1e-5)
    for level, answer in enumerate(features, start=1):
        height, width, channels = answer.shape[1:]
        middle = answer[0, height // 2, width // 3, channels // 2]
        received = (answer.std(), answer[0, 0, 0, 0], answer[0, -1, -1, -1], middle)
        np.testing.assert_allclose(received, levels[level], atol=2e-4)


def test_features_of_pretrained_weights_are_scaled_for_the_decoder_and_random_ones_are_not() -> None:
    for weights, expected in (("none", []), ("any.weights.h5", ["scale1", "scale2", "scale3"])):
        model = unet(network(kind="efficientnetlite0", weights=weights, depth=3), num_classes=1)
        assert sorted(layer.name for layer in model.layers if layer.name.startswith("scale")) == expected


def test_pretrained_normalisation_stays_as_it_was_when_the_encoder_learns() -> None:
    config = network(kind="efficientnetlite0", weights="any.weights.h5", depth=2)
    model = unet(config, num_classes=1)
    set_frozen(model, config, frozen=False)
    assert {layer.trainable for layer in model.get_layer(ENCODER).layers if "_bn" in layer.name} == {False}
    assert model.get_layer(ENCODER).get_layer("stem_conv").trainable
