"""Trains the network of a task, from the start or from the last finished epoch."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from nanonuclei.config.shared import TrainConfig
from nanonuclei.data.batches import TrainBatches
from nanonuclei.data.catalog import SampleRef
from nanonuclei.engine.checkpoint import BEST, GREATER_IS_BETTER, Checkpoint, load_model, load_state, named
from nanonuclei.engine.devices import Hardware, detect, seeded_devices
from nanonuclei.engine.feeding import Feed, NotTracked
from nanonuclei.errors import DataError, NanonucleiError
from nanonuclei.models.phases import Phase, phases
from nanonuclei.tasks.base import Task

OnEpoch = Callable[[int, Mapping[str, float]], None]
"""Called after each epoch with its number, from 1, and its metrics such as ``val/loss``."""

LOOK_EVERY = 20
"""Batches between two looks at the loss."""


@dataclass(frozen=True)
class FitResult:
    """A finished training.

    Attributes:
        model: The kept epoch's network in float32, not compiled.
        history: Metric to one value per epoch, over all parts of an interrupted training.
        best_epoch: The epoch that was kept, from 1.
        seconds: Wall time, over all parts of an interrupted training; what came after its last stored epoch is lost.
        hardware: What it ran on.
    """

    model: keras.Model
    history: dict[str, list[float]]
    best_epoch: int
    seconds: float
    hardware: Hardware


def fit(
    task: Task,
    train: Sequence[SampleRef],
    val: Sequence[SampleRef],
    *,
    workdir: Path,
    on_epoch: OnEpoch | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> FitResult:
    """Trains until the epochs are done or early stopping says so; the state lies in `workdir`.

    The state is that of the last epoch, or of one that ended less than `checkpoint.SECONDS_BETWEEN` before it. A
    `workdir` that holds the state of an earlier, interrupted call is gone on with: same batches, same optimizer.
    Where a frozen encoder is unfrozen on the way, a new optimizer begins there.

    Args:
        task: The task with its config.
        train: Training images.
        val: Validation images.
        workdir: Folder for checkpoints and event files; made if missing.
        on_epoch: Told the metrics of each epoch.
        callbacks: More Keras callbacks.

    Raises:
        DataError: A split is empty.
        ConfigError: Pretrained weights cannot be had.
        NanonucleiError: The loss became NaN or infinite.
    """
    for name, samples in (("train", train), ("val", val)):
        if not samples:
            raise DataError(f"the {name} split must hold at least one image, got none. Raise data.split.{name}")
    config: TrainConfig = task.config.train
    workdir.mkdir(parents=True, exist_ok=True)
    hardware = detect(config)
    seconds = _clock(workdir)
    portable = task.build_network()  # before the precision is set: what is kept runs well on any machine
    with seeded_devices(hardware, seed=task.config.seed, deterministic=config.deterministic):
        batches, validation = task.batches(train, training=True), task.batches(val, training=False)
        swap = [keras.callbacks.SwapEMAWeights()] if config.ema_momentum > 0 else []
        board = [keras.callbacks.TensorBoard(workdir / "tensorboard", write_graph=False)] if config.tensorboard else []
        feeds: list[Feed] = []
        not_tracked = NotTracked()
        try:
            for phase in _phases_left(workdir, config):
                model, state = _begun(task, phase, workdir)
                if not model.optimizer.built:  # TensorFlow traces a batch that makes these variables twice
                    model.optimizer.build(model.trainable_variables)
                initial = _first_epoch(state, config)
                if isinstance(batches, TrainBatches):
                    batches.start_at(initial * config.steps_per_epoch, gpu=hardware.device == "gpu")
                stateful = _stateful_callbacks(config, stopping=phase.last == config.epochs)
                checkpoint = Checkpoint(
                    workdir, portable, config=config, state=state, stateful=stateful, seconds=seconds
                )
                feeds += [Feed(batches), Feed(validation)]
                model.fit(
                    feeds[-2].data,
                    validation_data=feeds[-1].data,
                    epochs=phase.last,
                    initial_epoch=initial,
                    steps_per_epoch=config.steps_per_epoch,
                    shuffle=False,
                    callbacks=[
                        not_tracked,
                        StopOnNaN(),
                        *stateful,
                        checkpoint,
                        *swap,
                        _Tell(on_epoch),
                        *board,
                        *callbacks,
                    ],
                    verbose=1 if sys.stdout.isatty() else 2,
                )
        finally:
            not_tracked.close()
            for feed in feeds:
                feed.close()
    best = keras.saving.load_model(workdir / BEST)  # with the precision put back, which layers without one take
    return FitResult(best, checkpoint.history, checkpoint.best_epoch, seconds(), hardware)


class StopOnNaN(keras.callbacks.Callback):
    """Ends a training whose loss is no number any more, with a message instead of wasted hours."""

    def __init__(self) -> None:
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Notes which epoch it is."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Looks at the loss, the mean since the epoch began, now and then: each look waits for the device."""
        if (batch + 1) % LOOK_EVERY == 0:
            self._look(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Looks once more, before the weights are kept."""
        self._look(-1, logs)

    def _look(self, batch: int, logs: Mapping[str, float] | None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise NanonucleiError(
                f"the training loss must be a finite number, got {loss} in epoch {self._epoch + 1}"
                f"{f', up to batch {batch + 1}' if batch >= 0 else ''}. "
                "Lower train.learning_rate, set train.clip_norm=1.0 or train.precision=float32"
            )


class _Tell(keras.callbacks.Callback):
    """Hands each epoch's metrics on under the platform's names."""

    def __init__(self, on_epoch: OnEpoch | None) -> None:
        super().__init__()
        self._on_epoch = on_epoch

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        if self._on_epoch is not None:
            self._on_epoch(epoch + 1, named(logs or {}))


class _LogLearningRate(keras.callbacks.Callback):
    """Puts the learning rate among the logs; Keras does so only beside a plateau schedule."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))


def _clock(workdir: Path) -> Callable[[], float]:
    """Returns a function that tells how long a training has taken, with its earlier parts."""
    started, before = time.perf_counter(), float((load_state(workdir) or {}).get("seconds", 0.0))
    return lambda: before + time.perf_counter() - started


def _first_epoch(state: Mapping[str, Any] | None, config: TrainConfig) -> int:
    """Returns how many epochs are behind a training; all of them where early stopping has ended it."""
    if state is None:
        return 0
    stopped = any(kept.get("stopped_epoch", 0) > 0 for kept in state["callbacks"])
    return config.epochs if stopped else int(state["epochs"])


def _phases_left(workdir: Path, config: TrainConfig) -> list[Phase]:
    """Returns the phases that are not behind a training; always the last one, if only to give its result."""
    done = _first_epoch(load_state(workdir), config)
    *earlier, last = phases(config)
    return [*(phase for phase in earlier if phase.last > done), last]


def _begun(task: Task, phase: Phase, workdir: Path) -> tuple[keras.Model, Mapping[str, Any] | None]:
    """Returns the model to go on with and the state that it is of.

    A phase takes its weights from the files of the one before, as a resumed training does: both go the same way.
    """
    state = load_state(workdir)
    if state is None:
        return task.build_model(), None
    model = load_model(workdir, state)
    if state["epochs"] == phase.first:
        task.compile_for(model, phase)
        return model, {**state, "callbacks": []}  # patience and best value begin anew with the optimizer
    return model, state


def _stateful_callbacks(config: TrainConfig, *, stopping: bool) -> list[keras.callbacks.Callback]:
    monitor = config.monitor.replace("/", "_")
    mode = "max" if GREATER_IS_BETTER[config.monitor] else "min"
    found: list[keras.callbacks.Callback] = [_LogLearningRate()]
    if config.schedule == "plateau":
        plateau = keras.callbacks.ReduceLROnPlateau(
            monitor, mode=mode, factor=config.plateau_factor, patience=config.plateau_patience
        )
        found.append(plateau)
    if config.early_stopping_patience > 0 and stopping:  # a frozen encoder is unfrozen when it was asked for
        found.append(keras.callbacks.EarlyStopping(monitor, mode=mode, patience=config.early_stopping_patience))
    return found
