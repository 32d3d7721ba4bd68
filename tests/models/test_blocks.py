"""Layers that some backends compute in another way than Keras."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from tests.conftest import ROOT, network

from nanonuclei.models import blocks
from nanonuclei.models.blocks import DepthwiseConv2D
from nanonuclei.models.unet import unet

CASES = [(stride, kernel, shape) for stride in (1, 2) for kernel in (3, 5) for shape in ((8, 12), (9, 11), (8, 7))]

COMPARISON = """
import keras, numpy as np
from nanonuclei.models import blocks
from nanonuclei.models.blocks import DepthwiseConv2D
assert keras.backend.backend() == "jax"
rng, worst = np.random.default_rng(0), 0.0
for stride, kernel, shape in {cases}:
    options = dict(strides=stride, padding="same", use_bias=False)
    ours, theirs = DepthwiseConv2D(kernel, **options), keras.layers.DepthwiseConv2D(kernel, **options)
    x = rng.random((2, *shape, 3), np.float32)
    ours.build(x.shape), theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    inputs = keras.Input((None, None, 3))
    worst = max(worst, np.abs(np.asarray(ours(x)) - np.asarray(theirs(x))).max())
    worst = max(worst, np.abs(keras.Model(inputs, ours(inputs)).predict(x, verbose=0) - np.asarray(theirs(x))).max())
print(worst)
"""


def pair(kernel: int, x: np.ndarray, **options: object) -> tuple[keras.layers.Layer, keras.layers.Layer]:
    """A layer of ours and one of Keras with the same weights."""
    ours, theirs = DepthwiseConv2D(kernel, **options), keras.layers.DepthwiseConv2D(kernel, **options)
    for layer in (ours, theirs):
        layer.build(x.shape)
    rng = np.random.default_rng(1)
    weights = [rng.standard_normal(value.shape) for value in theirs.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


@pytest.mark.parametrize(("stride", "kernel", "shape"), CASES)
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_depthwise_convolution_is_that_of_keras(
    stride: int, kernel: int, shape: tuple[int, int], backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of JAX is computed here by whichever backend runs the tests."""
    x = np.random.default_rng(0).random((2, *shape, 3), np.float32)
    ours, theirs = pair(kernel, x, strides=stride, padding="same", use_bias=False)
    expected = np.asarray(theirs(x))
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    np.testing.assert_allclose(np.asarray(ours(x)), expected, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": "valid", "use_bias": False},
        {"padding": "same"},
        {"padding": "same", "use_bias": False, "dilation_rate": 2},
        {"padding": "same", "use_bias": False, "depth_multiplier": 2},
        {"padding": "same", "use_bias": False, "activation": "relu"},
    ],
    ids=["valid", "bias", "dilation", "multiplier", "activation"],
)
def test_what_the_sum_does_not_cover_is_left_to_keras(
    options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).random((1, 9, 10, 3), np.float32)
    ours, theirs = pair(3, x, **options)
    expected = np.asarray(theirs(x))
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    np.testing.assert_allclose(np.asarray(ours(x)), expected, atol=1e-5)


def test_depthwise_convolution_under_jax_is_that_of_keras() -> None:
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed")
    done = subprocess.run(
        [sys.executable, "-c", COMPARISON.format(cases=CASES)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *sys.path]), "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < 1e-5


def test_stored_network_with_depthwise_convolutions_answers_as_before(tmp_path: Path) -> None:
    inputs = keras.Input((None, None, 3))
    x = DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(x))
    model.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    assert any(isinstance(layer, DepthwiseConv2D) for layer in again.layers)
    images = np.random.default_rng(0).random((1, 10, 9, 3), np.float32)
    np.testing.assert_array_equal(np.asarray(again(images)), np.asarray(model(images)))


@pytest.mark.parametrize("decoder", ["transpose", "pix2pix"])
def test_diameter_is_one_more_channel_between_0_and_1(decoder: str) -> None:
    config = network(decoder=decoder)
    plain, sized = (unet(config, num_classes=3, diameter=diameter) for diameter in (False, True))
    answer = np.asarray(sized(np.random.default_rng(0).random((1, 16, 24, 3), np.float32)))
    assert answer.shape == (1, 16, 24, 4)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer[..., :3].sum(axis=-1), 1.0, rtol=1e-5)
    assert 0.0 < answer[..., 3].min() <= answer[..., 3].max() < 1.0
    # from the 4 filters of the first level by 1 x 1, or from these and the 3 channels of the image by 3 x 3
    weights = {"transpose": 4 + 1, "pix2pix": 9 * sized.get_layer("diameter").kernel.shape[-1] + 1}
    assert sized.count_params() - plain.count_params() == weights[decoder]


def test_dropout_keeps_its_share_the_mean_and_the_rest_as_it_was() -> None:
    inputs = np.ones((4, 32, 32, 8), np.float32)
    dropout = blocks.Dropout(0.1, seed=3)
    dropped = np.asarray(dropout(inputs, training=True))
    assert set(np.unique(dropped)) == {np.float32(0.0), np.float32(1 / 0.9)}
    assert np.mean(dropped == 0.0) == pytest.approx(0.1, abs=0.01)
    assert np.mean(dropped == 0.0, axis=(0, 1, 2)) == pytest.approx(0.1, abs=0.02)
    assert not np.array_equal(dropped, np.asarray(dropout(inputs, training=True)))
    assert np.array_equal(dropped, np.asarray(blocks.Dropout(0.1, seed=3)(inputs, training=True)))
    assert np.array_equal(inputs, np.asarray(dropout(inputs)))


def test_dropout_of_an_odd_number_of_channels_is_that_of_keras() -> None:
    inputs = np.ones((1, 8, 8, 3), np.float32)
    found, expected = (layer(0.5, seed=3)(inputs, training=True) for layer in (blocks.Dropout, keras.layers.Dropout))
    assert np.array_equal(np.asarray(found), np.asarray(expected))


def test_a_last_layer_is_a_convolution_that_is_rough_in_training_alone() -> None:
    inputs = np.random.default_rng(0).normal(size=(2, 6, 5, 8)).astype(np.float32)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        ours = blocks.Pointwise(3, activation="softmax", dtype="float32")
        theirs = keras.layers.Conv2D(3, 1, activation="softmax", dtype="float32")
        rough = keras.ops.cast(inputs, "bfloat16")
        ours.build(rough.shape), theirs.build(rough.shape)
        theirs.set_weights(ours.get_weights())
        expected, answer, trained = theirs(rough), ours(rough), ours(rough, training=True)
        read = blocks.Pointwise.from_config(ours.get_config())
    finally:
        keras.config.set_dtype_policy(before)
    assert {str(keras.backend.standardize_dtype(x.dtype)) for x in (answer, trained)} == {"float32"}
    np.testing.assert_allclose(answer, expected, rtol=1e-6)
    np.testing.assert_allclose(trained, expected, atol=0.02)
    assert not np.array_equal(trained, expected)
    assert (read.filters, read.compute_dtype, read.autocast) == (3, "float32", False)


def test_a_softmax_in_training_is_that_of_keras() -> None:
    logits = np.random.default_rng(0).normal(scale=8.0, size=(2, 4, 4, 3)).astype(np.float32)
    logits[0, 0] += 300.0  # a number that all classes share changes none of them
    logits[0, 1, 0] = (60.0, -20.0, -20.0)
    ours = blocks.Pointwise(3, activation="softmax")
    ours.build(logits.shape)
    ours.set_weights([np.eye(3).reshape(1, 1, 3, 3), np.zeros(3)])
    found = ours(logits, training=True)
    np.testing.assert_allclose(found, keras.ops.softmax(logits), rtol=2e-4, atol=1e-7)
    np.testing.assert_array_equal(found._keras_logits, logits)


@pytest.mark.parametrize("strides", [2, 3])
def test_a_rise_is_the_transpose_convolution_that_it_stands_for(strides: int) -> None:
    inputs = np.random.default_rng(0).normal(size=(2, 3, 5, 6)).astype(np.float32)
    ours, theirs = (kind(4, 2, strides=strides, padding="same") for kind in (blocks.Rise, keras.layers.Conv2DTranspose))
    ours.build(inputs.shape), theirs.build(inputs.shape)
    ours.bias.assign([1.0, -2.0, 3.0, 0.5])
    theirs.set_weights(ours.get_weights())
    answers, gradients = zip(*(_answer_and_gradients(layer, inputs) for layer in (ours, theirs)), strict=True)
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)
    for found, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(ours(inputs), theirs(inputs))


def _answer_and_gradients(layer: keras.layers.Layer, inputs: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """What a layer answers in training, and the gradients of its weighted sum by inputs, kernel and bias."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        shown = tf.constant(inputs)
        tape.watch(shown)
        answer = layer(shown, training=True) if isinstance(layer, blocks.Rise) else layer(shown)
        total = tf.reduce_sum(answer * tf.reshape(tf.range(tf.size(answer), dtype=tf.float32), answer.shape) / 100.0)
    return np.asarray(answer), tape.gradient(total, [shown, *(weight.value for weight in layer.weights)])


@pytest.mark.parametrize("shape", [(3, 3, 4, 5), (1, 1, 6, 3)])
def test_gradients_of_standardized_kernels_are_those_of_the_formula(shape: tuple[int, ...]) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    kernel, gain, weights = (tf.constant(rng.normal(size=s), tf.float32) for s in (shape, shape[-1:], shape))

    def formula(kernel: tf.Tensor, gain: tf.Tensor) -> tf.Tensor:
        centred = kernel - tf.reduce_mean(kernel, (0, 1, 2))
        return blocks.RELU_GAIN * gain * centred / tf.sqrt(tf.reduce_sum(centred**2, (0, 1, 2)) + 1e-7)

    found, expected = [], []
    for function, kept in ((blocks.standardized, found), (formula, expected)):
        with tf.GradientTape() as tape:
            tape.watch([kernel, gain])
            answer = function(kernel, gain)
            total = tf.reduce_sum(answer * weights)
        kept += [answer, *tape.gradient(total, [kernel, gain])]
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)
