from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from nanonuclei.errors import ConfigError
from nanonuclei.imaging.window_geometry import WindowGeometry
from nanonuclei.models.encoders import ENCODER, ENCODERS
from nanonuclei.models.receptive_field import receptive_field
from nanonuclei.tasks.nanotubes.classifier import (
    freeze,
    load_trunk,
    window_classifier,
    window_geometry,
)
from nanonuclei.tasks.nanotubes.config import ClassifierConfig
from nanonuclei.tasks.nanotubes.trunks import EXAMPLES, trunk_strides


def config(**settings: object) -> ClassifierConfig:
    return ClassifierConfig.model_validate(
        {
            "answer": "window",
            "kind": "mobilenetv2",
            "trunk": "block_3_expand_relu",
            "learns_from": "all",
            "alpha": 0.35,
            "weights": "none",
            "norm_momentum": 0.9,
            "head": "average",
            "hidden": 3,
            "depth": 5,
            "base_filters": 8,
            "dropout": 0.1,
            **settings,
        }
    )


@pytest.mark.parametrize(
    ("settings", "geometry"),
    [
        ({"kind": "vgg16", "trunk": "block4_conv3"}, WindowGeometry(64, 48, 8)),
        ({"kind": "vgg16", "trunk": "block3_conv3"}, WindowGeometry(64, 20, 4)),
        ({"kind": "vgg16", "trunk": "block1_conv2"}, WindowGeometry(64, 2, 1)),
        ({"trunk": "block_6_expand_relu"}, WindowGeometry(64, 32, 8)),
    ],
)
def test_margin_and_stride_follow_from_the_trunk(settings: dict[str, object], geometry: WindowGeometry) -> None:
    assert window_geometry(config(**settings), window=64) == geometry


def test_features_of_the_window_do_not_depend_on_what_is_padded() -> None:
    model = window_classifier(config(hidden=0, dropout=0.0), window=16)
    geometry = window_geometry(config(), window=16)
    trunk = keras.Model(model.input, model.get_layer("window").output)
    wide = np.random.default_rng(0).random((1, geometry.patch + 16, geometry.patch + 16, 3), dtype=np.float32)
    inner = wide[:, 8:-8, 8:-8]
    whole = model.get_layer(ENCODER)(model.get_layer("preprocess")(wide))
    first = (8 + geometry.margin) // geometry.stride
    across = geometry.window // geometry.stride
    expected = np.asarray(whole)[:, first : first + across, first : first + across]
    np.testing.assert_allclose(trunk.predict_on_batch(inner), expected, atol=1e-5)


def test_scores_begin_in_the_middle() -> None:
    vgg = config(kind="vgg16", trunk="block2_conv2", dropout=0.0)
    keras.utils.set_random_seed(0)
    geometry = window_geometry(vgg, window=16)
    images = np.random.default_rng(0).random((4, geometry.patch, geometry.patch, 3), dtype=np.float32)
    scores = window_classifier(vgg, window=16).predict_on_batch(images)
    assert scores.shape == (4, 1, 1, 1)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, 0.5, atol=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learns_from": "block_9_add", "weights": "imagenet"}, "network.learns_from must be all or a layer of the"),
    ],
)
def test_layers_that_are_not_there_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        window_geometry(config(**settings), window=16)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trunk": "block4_conv3"}, r"trunk must be a layer of mobilenetv2, such as block_6_expand_relu, got 'block4_"),
        ({"trunk": "block_99_add"}, r"got 'block_99_add'\. Did you mean block_9_add"),
        ({"trunk": "block_3_expand_rel"}, r"Did you mean block_3_expand_relu"),
        ({"learns_from": "block_3_expand_rel"}, r"learns_from must be a layer of mobilenetv2, .*block_3_expand_relu"),
    ],
)
def test_layer_of_another_network_is_refused_before_keras_is_loaded(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**settings)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_layers_and_their_strides_are_those_of_keras(kind: str) -> None:
    network = ENCODERS[kind].network(input_shape=(256, 256, 3))
    padded = {layer.name for layer in network.layers if isinstance(layer, keras.layers.ZeroPadding2D)}
    found = {layer.name: 256 // layer.output.shape[1] for layer in network.layers[1:]}
    strides = trunk_strides(kind)
    assert set(found) == set(strides)
    assert {name: found[name] for name in found.keys() - padded} == {
        name: strides[name] for name in found.keys() - padded
    }
    assert EXAMPLES[kind] in strides


@pytest.mark.parametrize(("kind", "layer"), [("mobilenetv2", "block_6_pad"), ("resnet50", "pool1_pad")])
def test_padding_has_the_stride_of_what_it_pads(kind: str, layer: str) -> None:
    network = ENCODERS[kind].network(input_shape=(None, None, 3))
    field = receptive_field(keras.Model(network.input, network.get_layer(layer).output))
    assert trunk_strides(kind)[layer] == field.stride


def test_window_that_the_stride_does_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"multiple of 4, the stride .* got 18. Take 16 or 20"):
        window_geometry(config(), window=18)


def learning(model: keras.Model) -> set[str]:
    return {layer.name for layer in model.get_layer(ENCODER).layers if layer.trainable_weights}


def test_frozen_trunk_leaves_the_head_alone_to_learn() -> None:
    model = window_classifier(config(weights="imagenet"), window=16)
    freeze(model, config(weights="imagenet"), frozen=True)
    assert {weight.path.split("/")[0] for weight in model.trainable_weights} == {"hidden", "score"}


def test_unfrozen_trunk_learns_from_the_named_layer_on() -> None:
    later = config(weights="imagenet", learns_from="block_2_expand")
    model = window_classifier(later, window=16)
    freeze(model, later, frozen=True)
    freeze(model, later, frozen=False)
    assert learning(model) == {"block_2_expand", "block_2_depthwise", "block_2_project", "block_3_expand"}


def test_normalisation_of_a_trunk_from_scratch_learns_too() -> None:
    model = window_classifier(config(), window=16)
    freeze(model, config(), frozen=False)
    assert {"Conv1", "bn_Conv1"} <= learning(model)


def test_trunk_of_an_earlier_training_is_taken_over(tmp_path: Path) -> None:
    earlier = window_classifier(config(hidden=7), window=16)
    path = tmp_path / "network.keras"
    earlier.save(path)
    later = config(weights=str(path))
    model = window_classifier(later, window=32)
    load_trunk(model, later)
    for mine, theirs in zip(
        model.get_layer(ENCODER).get_weights(), earlier.get_layer(ENCODER).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("case", ["missing", "no network", "another trunk"])
def test_file_without_the_trunk_is_refused(tmp_path: Path, case: str) -> None:
    path = tmp_path / "network.keras"
    if case == "no network":
        path.write_bytes(b"nothing")
    elif case == "another trunk":
        window_classifier(config(trunk="block_1_expand_relu"), window=16).save(path)
    wanted = config(weights=str(path))
    with pytest.raises(ConfigError, match=r"network\.weights must"):
        load_trunk(window_classifier(wanted, window=16), wanted)
