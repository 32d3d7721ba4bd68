"""From the config to a Keras optimizer with its learning-rate schedule and moving average."""

from __future__ import annotations

import keras

from nanonuclei.config.shared import TrainConfig
from nanonuclei.models.phases import Phase

COSINE_END = 0.01
"""A cosine schedule ends at this share of the learning rate."""


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
        return keras.optimizers.AdamW(weight_decay=config.weight_decay, **options)
    if config.optimizer == "adam":
        return keras.optimizers.Adam(**options)
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
