"""From the config to a Keras optimizer with its learning-rate schedule and moving average."""

from __future__ import annotations

from typing import Any

import keras

from nanonuclei.config.shared import TrainConfig
from nanonuclei.models.phases import Phase

COSINE_END = 0.01
"""A cosine schedule ends at this share of the learning rate."""


class _InOneKernel:
    """Under TensorFlow on one device, Adam's step of a variable in one kernel, where Keras takes many passes."""

    def update_step(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates a variable and its two moments; the formula is Keras's."""
        if keras.backend.backend() != "tensorflow" or self._distribution_strategy.num_replicas_in_sync > 1:
            super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]
            return
        import tensorflow as tf

        place = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].value.handle,
            v=self._velocities[place].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=tf.cast(self.beta_1, variable.dtype),
            beta2=tf.cast(self.beta_2, variable.dtype),
            epsilon=tf.cast(self.epsilon, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
        )


@keras.saving.register_keras_serializable(package="nanonuclei")
class Adam(_InOneKernel, keras.optimizers.Adam):  # type: ignore[misc]
    """Adam."""


@keras.saving.register_keras_serializable(package="nanonuclei")
class AdamW(_InOneKernel, keras.optimizers.AdamW):  # type: ignore[misc]
    """Adam with decoupled weight decay."""


def optimizer(config: TrainConfig, phase: Phase) -> keras.optimizers.Optimizer:
    """Builds a new optimizer; a plateau schedule is a callback of the training and starts from a constant rate.

    Args:
        config: Which optimizer, schedule, clipping and moving average.
        phase: The epochs that the schedule spans, and the rate that it starts from.
    """
    options = {
        "learning_rate": _schedule(config, phase),
        "global_clipnorm": config.clip_norm or None,
        "use_ema": config.ema_momentum > 0,
    }
    if config.ema_momentum > 0:
        options["ema_momentum"] = config.ema_momentum
    if config.optimizer == "adamw":
        return AdamW(weight_decay=config.weight_decay, **options)
    if config.optimizer == "adam":
        return Adam(**options)
    return keras.optimizers.SGD(momentum=0.9, nesterov=True, **options)


def _schedule(config: TrainConfig, phase: Phase) -> float | keras.optimizers.schedules.LearningRateSchedule:
    if config.schedule != "cosine":
        return phase.learning_rate
    warmup = min(config.warmup_epochs, phase.num_epochs // 2) * config.steps_per_epoch
    decay = phase.num_epochs * config.steps_per_epoch - warmup
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(phase.learning_rate, decay, alpha=COSINE_END)
    return keras.optimizers.schedules.CosineDecay(
        0.0, decay, alpha=COSINE_END, warmup_target=phase.learning_rate, warmup_steps=warmup
    )
