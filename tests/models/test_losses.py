from __future__ import annotations

import keras
import numpy as np
import pytest

from nanonuclei.config.pixels import LossConfig
from nanonuclei.models.losses import (
    SMOOTH,
    ForegroundAccuracy,
    ForegroundIoU,
    cross_entropy,
    diameter_error,
    pixel_loss,
)

TRUTH = np.array([[[[0], [1]], [[1], [2]]]], np.uint8)
SCORES = np.array([[[[0.8, 0.1, 0.1], [0.3, 0.6, 0.1]], [[0.6, 0.3, 0.1], [0.1, 0.4, 0.5]]]], np.float32)


def value(
    kind: str,
    truth: np.ndarray,
    scores: np.ndarray,
    *,
    dice: float = 1.0,
    border: float = 1.0,
    diameter: float = 1.0,
) -> float:
    loss = pixel_loss(LossConfig(kind=kind, dice_weight=dice, border_weight=border, diameter_weight=diameter))
    return float(keras.ops.convert_to_numpy(loss(truth, scores)))


def test_sparse_cross_entropy_by_hand() -> None:
    expected = -np.mean(np.log([0.8, 0.6, 0.3, 0.5]))
    assert value("sparse_categorical_crossentropy", TRUTH, SCORES) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("softmax", ["keras", "none"])
def test_cross_entropy_and_its_gradient_are_those_of_keras(softmax: str) -> None:
    """With the logits at hand, as in a training, and from probabilities alone, as behind a diameter's channel."""
    import tensorflow as tf

    logits = tf.constant(np.random.default_rng(0).normal(0.0, 4.0, (2, 8, 6, 3)), tf.float32)
    truth = np.random.default_rng(1).integers(0, 3, (2, 8, 6, 1)).astype(np.uint8)
    weights = tf.constant(np.random.default_rng(2).random((2, 8, 6)), tf.float32)

    @tf.function
    def losses_and_gradients() -> list[tuple[tf.Tensor, tf.Tensor]]:
        found = []
        for formula in (cross_entropy, keras.losses.sparse_categorical_crossentropy):
            with tf.GradientTape() as tape:
                tape.watch(logits)
                scores = keras.activations.softmax(logits)
                loss = formula(truth, scores if softmax == "keras" else scores[..., :3])
            found.append((loss, tape.gradient(loss, logits, output_gradients=weights)))
        return found

    (loss, gradient), (expected_loss, expected_gradient) = losses_and_gradients()
    np.testing.assert_allclose(loss, expected_loss, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=2e-5, atol=2e-6)


def test_a_pixel_that_a_training_gets_wholly_wrong_still_teaches() -> None:
    import tensorflow as tf

    @tf.function
    def loss_and_gradient(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = cross_entropy(np.zeros((1, 1, 1, 1), np.uint8), keras.activations.softmax(logits))
        return loss, tape.gradient(loss, logits)

    loss, gradient = loss_and_gradient(tf.constant([[[[-30.0, 30.0, 0.0]]]]))
    np.testing.assert_allclose(loss, [[[60.0]]], rtol=1e-5)
    np.testing.assert_allclose(gradient, [[[[-1.0, 1.0, 0.0]]]], atol=1e-6)


def test_border_weight_counts_border_pixels_more() -> None:
    expected = -np.mean(np.log([0.8, 0.6, 0.3, 0.5]) * [1, 1, 1, 4])
    assert value("sparse_categorical_crossentropy", TRUTH, SCORES, border=4.0) == pytest.approx(expected, rel=1e-5)


def test_binary_cross_entropy_by_hand() -> None:
    scores = np.array([[[[0.2], [0.9]], [[0.6], [0.5]]]], np.float32)
    expected = -np.mean(np.log([0.8, 0.9, 0.6, 0.5]))
    assert value("binary_crossentropy", TRUTH, scores) == pytest.approx(expected, rel=1e-5)


def test_dice_loss_by_hand() -> None:
    shared, total = np.array([0.6 + 0.3, 0.5]), np.array([2 + 1.4, 1 + 0.8])
    expected = np.mean(1 - (2 * shared + SMOOTH) / (total + SMOOTH))
    assert value("dice", TRUTH, SCORES) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["binary_crossentropy", "sparse_categorical_crossentropy"])
def test_sum_is_the_sum_of_its_parts(kind: str) -> None:
    scores = SCORES if kind.startswith("sparse") else 1 - SCORES[..., :1]
    parts = value(kind, TRUTH, scores) + 0.5 * value("dice", TRUTH, scores)
    assert value(f"{kind}+dice", TRUTH, scores, dice=0.5) == pytest.approx(parts, rel=1e-5)


def test_empty_patch_has_finite_loss() -> None:
    scores = np.full((1, 4, 4, 1), 1e-6, np.float32)
    assert value("binary_crossentropy+dice", np.zeros((1, 4, 4, 1), np.uint8), scores) < 1e-3


def test_metrics_see_foreground_whatever_the_classes() -> None:
    accuracy, iou = ForegroundAccuracy(), ForegroundIoU()
    accuracy.update_state(TRUTH, SCORES)
    iou.update_state(TRUTH, SCORES)
    assert float(accuracy.result()) == pytest.approx(3 / 4)
    assert float(iou.result()) == pytest.approx(2 / 3)


def test_iou_of_nothing_in_nothing_is_one() -> None:
    iou = ForegroundIoU()
    iou.update_state(np.zeros((1, 2, 2, 1), np.uint8), np.zeros((1, 2, 2, 1), np.float32))
    assert float(iou.result()) == 1.0


def test_loss_survives_saving() -> None:
    loss = pixel_loss(LossConfig(kind="dice", dice_weight=0.3, border_weight=2.0, diameter_weight=0.7))
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()


STEPS = np.array([[[24 * 3, 0], [24 * 5, 24 * 4]]], np.uint8)
"""Diameters of 8, 32 and 16 px; one pixel is background."""
TOLD = np.array([[[3.5, 7.0], [5.0, 2.0]]], np.float32) / 8
"""Of 2**3.5, 32 and 4 px; what is told of the background does not count."""
ERROR = (0.5 + 0.0 + 2.0) / 8 / 3


def test_error_of_diameters_is_in_eighths_of_octaves_and_of_objects_alone() -> None:
    assert float(diameter_error(STEPS, TOLD)) == pytest.approx(ERROR, rel=1e-5)
    assert float(diameter_error(np.zeros_like(STEPS), TOLD)) == 0.0


@pytest.mark.parametrize("kind", ["sparse_categorical_crossentropy", "sparse_categorical_crossentropy+dice"])
def test_loss_with_diameters_is_that_of_the_classes_and_the_weighted_error(kind: str) -> None:
    truth, scores = np.concatenate([TRUTH, STEPS[..., None]], -1), np.concatenate([SCORES, TOLD[..., None]], -1)
    expected = value(kind, TRUTH, SCORES, dice=0.3, border=2.0) + 0.7 * ERROR
    assert value(kind, truth, scores, dice=0.3, border=2.0, diameter=0.7) == pytest.approx(expected, rel=1e-5)
    by_hand = -np.mean(np.log([0.8, 0.6, 0.3, 0.5])) + ERROR
    assert value("sparse_categorical_crossentropy", truth, scores) == pytest.approx(by_hand, rel=1e-5)


def test_metrics_ignore_diameters() -> None:
    accuracy, iou = ForegroundAccuracy(), ForegroundIoU()
    truth, scores = np.concatenate([TRUTH, STEPS[..., None]], -1), np.concatenate([SCORES, TOLD[..., None]], -1)
    accuracy.update_state(truth, scores)
    iou.update_state(truth, scores)
    assert float(accuracy.result()) == pytest.approx(3 / 4)
    assert float(iou.result()) == pytest.approx(2 / 3)
