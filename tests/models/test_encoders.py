from __future__ import annotations

import os
from pathlib import Path

import keras
import numpy as np
import pytest
from tests.conftest import network

from nanonuclei.errors import ConfigError
from nanonuclei.models.encoders import (
    ENCODER,
    ENCODERS,
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    Preprocess,
    encoded,
    load_pretrained,
    set_frozen,
    weights_path,
)
from nanonuclei.models.unet import unet

ROOT = Path(__file__).parents[2]
KINDS = sorted(ENCODERS)
OF_KERAS = [kind for kind in KINDS if ENCODERS[kind].url]


def no_download(*arguments: object, **options: object) -> str:
    raise Exception("URL fetch failure: no network")  # noqa: TRY002  as Keras does


def train(model: keras.Model, *, steps: int = 3) -> None:
    rng = np.random.default_rng(0)
    model.compile(optimizer="sgd", loss="binary_crossentropy")
    for _ in range(steps):
        model.train_on_batch(rng.random((2, 8, 8, 3), np.float32), rng.integers(0, 2, (2, 8, 8, 1)))


def moved(model: keras.Model, before: list[np.ndarray]) -> list[bool]:
    return [not np.array_equal(now, then) for now, then in zip(model.get_weights(), before, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
def test_encoder_halves_the_image_level_by_level(kind: str) -> None:
    features = encoded(keras.Input((64, 96, 3)), network(kind=kind, depth=5))
    assert {level: x.shape[1:3] for level, x in features.items()} == {
        level: (64 // 2**level, 96 // 2**level) for level in range(6)
    }


@pytest.mark.usefixtures("small_encoder")
def test_skip_of_full_size_is_the_image_for_a_transpose_decoder_only() -> None:
    image = keras.Input((32, 32, 3))
    assert encoded(image, network(kind="mobilenetv2"))[0] is image
    assert sorted(encoded(image, network(kind="mobilenetv2", decoder="pix2pix"))) == [1, 2]


@pytest.mark.parametrize("alpha", [0.1, 0.35])
def test_mobilenet_of_any_width_answers_images_of_any_size_that_the_depth_divides(alpha: float) -> None:
    model = unet(network(kind="mobilenetv2", alpha=alpha, depth=3), num_classes=1)
    for shape in ((8, 16), (32, 24)):
        assert model(np.zeros((1, *shape, 3), np.float32)).shape == (1, *shape, 1)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("tf", [1.0, 0.0, -1.0]),
        ("caffe", [0.0 - 103.939, 127.5 - 116.779, 255.0 - 123.68]),
        ("bytes", [255.0, 127.5, 0.0]),
        ("lite", [1.0, 0.5 / 128, -127 / 128]),
    ],
)
def test_preprocessing_of_a_pixel_by_hand(mode: str, expected: list[float]) -> None:
    pixel = np.array([[[[1.0, 0.5, 0.0]]]], np.float32)
    np.testing.assert_allclose(np.asarray(Preprocess(mode)(pixel))[0, 0, 0], expected, rtol=1e-5, atol=1e-5)


def test_efficientnet_normalises_by_the_mean_and_deviation_of_imagenet() -> None:
    model = unet(network(kind="efficientnetb0", depth=1), num_classes=1)
    encoder = model.get_layer(ENCODER)
    inner = next(layer for layer in encoder.layers if isinstance(layer, keras.layers.Normalization))
    pixel = np.array([[[[1.0, 0.5, 0.0]]]], np.float32)
    answer = np.asarray(keras.Model(encoder.input, inner.output)(255.0 * pixel))
    np.testing.assert_allclose(answer, (pixel - IMAGENET_MEAN) / IMAGENET_DEVIATION, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", OF_KERAS)
def test_files_of_weights_are_those_that_this_keras_asks_for(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str | None]] = []

    def note(name: str, origin: str, cache_subdir: str, file_hash: str | None = None) -> str:
        asked.append((name, origin, file_hash))
        raise FileNotFoundError

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", note)
    known = ENCODERS[kind]
    width = {"alpha": 0.5} if kind == "mobilenetv2" else {}
    with pytest.raises(FileNotFoundError):
        known.network(include_top=False, weights="imagenet", input_shape=(224, 224, 3), **width)
    name = known.weights.format(alpha=0.5)
    assert asked == [(name, known.url + name, known.md5)]


@pytest.mark.parametrize("kind", OF_KERAS)
def test_weights_that_cannot_be_downloaded_are_named_with_their_place_and_the_other_choices(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", no_download)
    with pytest.raises(ConfigError) as caught:
        weights_path(network(kind=kind, weights="imagenet", alpha=1.0))
    message = str(caught.value)
    assert str(tmp_path / "models" / ENCODERS[kind].weights.format(alpha=1.0)) in message
    for part in (kind, "URL fetch failure", "KERAS_HOME", "network.weights to the path of a file", "none"):
        assert part in message


def test_weights_that_lie_where_keras_looks_are_taken_without_a_download(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", no_download)
    path = tmp_path / "models" / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    path.parent.mkdir()
    path.write_bytes(b"")
    assert weights_path(network(kind="vgg16", weights="imagenet")) == path


def test_weights_of_a_file_are_those_of_the_encoder(small_encoder: Path) -> None:
    config = network(kind="mobilenetv2", weights=str(small_encoder))
    first, second = (unet(config, num_classes=1) for _ in range(2))
    for model in (first, second):
        load_pretrained(model, config)
    for mine, other in zip(*(model.get_layer(ENCODER).get_weights() for model in (first, second)), strict=True):
        np.testing.assert_array_equal(mine, other)
    assert not np.array_equal(first.get_weights()[-2], second.get_weights()[-2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "or a file that exists, got"),
        (b"no weights", "must hold the weights of mobilenetv2 with alpha 0.35 without its classifier"),
    ],
)
def test_file_that_holds_no_weights_is_refused(
    small_encoder: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "wrong.h5"
    if content is not None:
        path.write_bytes(content)
    config = network(kind="mobilenetv2", weights=str(path))
    with pytest.raises(ConfigError, match=message):
        load_pretrained(unet(config, num_classes=1), config)


def test_weights_of_another_network_are_refused(small_encoder: Path) -> None:
    config = network(kind="vgg16", depth=1, weights=str(small_encoder))
    with pytest.raises(ConfigError, match="must hold the weights of vgg16"):
        load_pretrained(unet(config, num_classes=1), config)


def test_frozen_encoder_stays_as_it_was_and_the_decoder_learns(small_encoder: Path) -> None:
    config = network(kind="mobilenetv2", weights=str(small_encoder))
    model = unet(config, num_classes=1)
    set_frozen(model, config, frozen=True)
    before, encoder = model.get_weights(), model.get_layer(ENCODER).get_weights()
    train(model)
    assert not any(moved(model.get_layer(ENCODER), encoder))
    assert sum(moved(model, before)) == len(before) - len(encoder)


@pytest.mark.parametrize("weights", ["pretrained", "none"])
def test_unfrozen_encoder_learns_but_keeps_the_normalisation_that_it_was_trained_with(
    small_encoder: Path, weights: str
) -> None:
    config = network(kind="mobilenetv2", weights=str(small_encoder) if weights == "pretrained" else "none")
    model = unet(config, num_classes=1)
    set_frozen(model, config, frozen=True)
    set_frozen(model, config, frozen=False)
    encoder = model.get_layer(ENCODER)
    before = {layer.name: layer.get_weights() for layer in encoder.layers}
    train(model)
    for level in (1, 2):
        assert all(moved(encoder.get_layer(f"conv{level}"), before[f"conv{level}"]))
        assert any(moved(encoder.get_layer(f"norm{level}"), before[f"norm{level}"])) == (weights == "none")


def test_random_encoder_takes_the_momentum_of_the_config_and_a_pretrained_one_its_own(small_encoder: Path) -> None:
    for weights, momentum in (("none", 0.9), (str(small_encoder), 0.5)):
        model = unet(network(kind="mobilenetv2", weights=weights, norm_momentum=0.9), num_classes=1)
        assert model.get_layer(ENCODER).get_layer("norm1").momentum == momentum


@pytest.mark.parametrize("frozen", [True, False])
def test_which_weights_learn_survives_saving(small_encoder: Path, tmp_path: Path, *, frozen: bool) -> None:
    config = network(kind="mobilenetv2", weights=str(small_encoder))
    model = unet(config, num_classes=1)
    set_frozen(model, config, frozen=frozen)
    train(model)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [v.path for v in again.trainable_variables] == [v.path for v in model.trainable_variables]
    assert len(again.optimizer.variables) == len(model.optimizer.variables)
    image = np.random.default_rng(0).random((1, 8, 8, 3), np.float32)
    np.testing.assert_allclose(np.asarray(again(image)), np.asarray(model(image)), rtol=1e-5)


def test_real_weights_give_the_features_that_keras_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(os.environ.get("NANONUCLEI_SHARED", ROOT.parent / "shared")) / "keras"
    path = home / "models" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    if not path.is_file():
        pytest.skip(f"the weights of MobileNetV2 are not at {path}; NANONUCLEI_SHARED names another folder")
    monkeypatch.setenv("KERAS_HOME", str(home))
    config = network(kind="mobilenetv2", weights="imagenet", depth=5, decoder="pix2pix")
    model = unet(config, num_classes=1)
    load_pretrained(model, config)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype(np.float32)
    whole = keras.applications.MobileNetV2(include_top=False, weights=str(path), alpha=0.35, input_shape=(64, 64, 3))
    names = ENCODERS["mobilenetv2"].features.values()
    theirs = keras.Model(whole.input, [whole.get_layer(name).output for name in names])
    encoder = model.get_layer(ENCODER)
    mine = encoder(model.get_layer("preprocess")(pixels / 255.0))
    expected = theirs(keras.applications.mobilenet_v2.preprocess_input(pixels.copy()))
    for ours, their in zip(mine, expected, strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(their), rtol=1e-3, atol=1e-3)
