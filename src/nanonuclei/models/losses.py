"""Loss and metrics of per-pixel classes, for every backend of Keras."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from nanonuclei.config.pixels import LossConfig
from nanonuclei.imaging.sizing.estimate import OCTAVE, OCTAVES

SMOOTH = 1.0
"""Added to both sides of the Dice ratio: a patch without objects has a loss near 0 instead of 0 / 0."""

LEAST = 1e-37
"""Smaller probabilities of a softmax cost no more in training; near the smallest number of float32."""


@keras.saving.register_keras_serializable(package="nanonuclei")
class PixelLoss(keras.losses.Loss):
    """Cross-entropy, Dice loss or their weighted sum, averaged over the pixels of a batch.

    The Dice loss is ``1 - (2 sum(t p) + s) / (sum(t) + sum(p) + s)`` per class over the batch (Milletari et al. 2016,
    arXiv 1606.04797, with plain sums), averaged over the classes but the background.

    Where the target has a second channel, the diameters, the last channel of the answer is measured against it: the
    absolute error in octaves / `OCTAVES`, averaged over the pixels of objects, times `diameter_weight`.

    Args:
        kind: Of `config.pixels.LossConfig`.
        dice_weight: Weight of the Dice loss beside the cross-entropy; 1 is used where Dice stands alone.
        border_weight: Weight of class 2 in the sparse cross-entropy.
        diameter_weight: Weight of the error of the diameters.
    """

    def __init__(
        self,
        kind: str,
        dice_weight: float,
        border_weight: float,
        diameter_weight: float = 1.0,
        name: str = "pixel_loss",
    ) -> None:
        super().__init__(name=name, reduction="sum_over_batch_size")
        self.kind = kind
        self.dice_weight = dice_weight
        self.border_weight = border_weight
        self.diameter_weight = diameter_weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns ``(batch, height, width)`` from targets ``(..., 1 or 2)`` and answers ``(..., channels)``."""
        if y_true.shape[-1] == 1:
            return self._of_classes(y_true, y_pred)
        loss = self._of_classes(y_true[..., :1], y_pred[..., :-1])
        return loss + self.diameter_weight * diameter_error(y_true[..., 1], y_pred[..., -1])

    def _of_classes(self, y_true: Any, y_pred: Any) -> Any:
        parts = self.kind.split("+")
        loss: Any = 0.0
        if "binary_crossentropy" in parts:
            loss = keras.losses.binary_crossentropy(ops.cast(y_true > 0, y_pred.dtype), y_pred)
        if "sparse_categorical_crossentropy" in parts:
            loss = cross_entropy(y_true, y_pred)
            if self.border_weight != 1.0 and y_pred.shape[-1] > 2:
                border = ops.cast(ops.squeeze(y_true, -1) == 2, loss.dtype)
                loss = loss * (1.0 + (self.border_weight - 1.0) * border)
        if "dice" in parts:
            dice = dice_loss(y_true, y_pred)
            loss = loss + self.dice_weight * dice if len(parts) > 1 else ops.broadcast_to(dice, ops.shape(y_pred)[:-1])
        return loss

    def get_config(self) -> dict[str, Any]:
        """Returns what the constructor takes."""
        names = ("kind", "dice_weight", "border_weight", "diameter_weight", "name")
        return {name: getattr(self, name) for name in names}


def cross_entropy(y_true: Any, y_pred: Any) -> Any:
    """Returns ``(batch, height, width)``, as `keras.losses.sparse_categorical_crossentropy` does.

    TensorFlow's kernel goes over the pixels one by one, on one core, which a small U-Net waits for.
    Here minus the logarithm of the true class's probability is the loss, a few passes over planes, and ``probability -
    truth`` its gradient by the logits. Other backends compile Keras's own formula into as much.

    Args:
        y_true: Numbers of classes, ``(batch, height, width, 1)``.
        y_pred: Probabilities, ``(batch, height, width, classes)`` float32.
    """
    if keras.backend.backend() != "tensorflow":
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)
    import tensorflow as tf

    y_pred = tf.convert_to_tensor(y_pred)
    y_true = tf.cast(y_true, y_pred.dtype)
    logits = getattr(y_pred, "_keras_logits", None)  # Keras's softmax leaves them there, for its own losses

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def loss(_: Any) -> Any:
        chosen = y_pred[..., 0]
        for number in range(1, y_pred.shape[-1]):
            chosen = tf.where(y_true[..., 0] == number, y_pred[..., number], chosen)
        chosen = tf.maximum(chosen, keras.config.epsilon() if logits is None else LEAST)

        def gradient(upstream: Any) -> Any:
            truth = tf.one_hot(tf.cast(y_true[..., 0], tf.int32), y_pred.shape[-1], dtype=y_pred.dtype)
            if logits is not None:
                return (y_pred - truth) * upstream[..., None]
            return truth * (-upstream / chosen)[..., None]

        return -tf.math.log(chosen), gradient

    return loss(y_pred if logits is None else logits)


def dice_loss(y_true: Any, y_pred: Any) -> Any:
    """Returns the Dice loss of a batch, a scalar: see `PixelLoss`."""
    if y_pred.shape[-1] == 1:
        truth = ops.cast(y_true > 0, y_pred.dtype)
    else:
        truth = ops.one_hot(ops.cast(ops.squeeze(y_true, -1), "int32"), y_pred.shape[-1], dtype=y_pred.dtype)[..., 1:]
        y_pred = y_pred[..., 1:]
    shared = ops.sum(truth * y_pred, axis=(0, 1, 2))
    total = ops.sum(truth, axis=(0, 1, 2)) + ops.sum(y_pred, axis=(0, 1, 2))
    return ops.mean(1.0 - (2.0 * shared + SMOOTH) / (total + SMOOTH))


def diameter_error(y_true: Any, y_pred: Any) -> Any:
    """Returns the mean absolute error of diameters over the pixels of objects, in octaves / 8; 0 without objects.

    Args:
        y_true: ``(batch, height, width)``: `OCTAVE` steps of ``log2(diameter)``, 0 in the background.
        y_pred: The same shape: ``log2(diameter) / OCTAVES``.
    """
    steps = ops.cast(y_true, y_pred.dtype)
    inside = ops.cast(steps > 0, y_pred.dtype)
    error = ops.abs(y_pred - steps / (OCTAVES * OCTAVE)) * inside
    return ops.sum(error) / ops.maximum(ops.sum(inside), 1.0)


def pixel_loss(config: LossConfig) -> PixelLoss:
    """Builds the loss that a config names."""
    return PixelLoss(config.kind, config.dice_weight, config.border_weight, config.diameter_weight)


def foreground_score(y_pred: Any) -> Any:
    """Returns ``(..., 1)``: the one score, or 1 - background where there are classes."""
    return y_pred if y_pred.shape[-1] == 1 else 1.0 - y_pred[..., :1]


@keras.saving.register_keras_serializable(package="nanonuclei")
class ForegroundAccuracy(keras.metrics.Mean):
    """Share of pixels that are on the right side of 0.5, nucleus or not, whatever the number of classes."""

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch."""
        right = (foreground_score(y_pred) >= 0.5) == (y_true[..., :1] > 0)
        super().update_state(ops.cast(right, "float32"), sample_weight=sample_weight)


@keras.saving.register_keras_serializable(package="nanonuclei")
class ForegroundIoU(keras.metrics.Metric):
    """Intersection over union of the foreground at 0.5, pooled over all pixels seen; 1 where both are empty."""

    def __init__(self, name: str = "iou", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.shared = self.add_weight(name="shared", initializer="zeros")
        self.either = self.add_weight(name="either", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch."""
        found, true = foreground_score(y_pred) >= 0.5, y_true[..., :1] > 0
        self.shared.assign_add(ops.sum(ops.cast(ops.logical_and(found, true), "float32")))
        self.either.assign_add(ops.sum(ops.cast(ops.logical_or(found, true), "float32")))

    def result(self) -> Any:
        """Returns the ratio, a scalar."""
        return ops.where(self.either > 0, self.shared / ops.maximum(self.either, 1.0), 1.0)
