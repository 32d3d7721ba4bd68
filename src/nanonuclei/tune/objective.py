"""One trial: trains with its settings on train and val, and turns whatever happens into an outcome."""

from __future__ import annotations

import gc
import math
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.legal import trial_config
from nanonuclei.data.catalog import SampleRef
from nanonuclei.engine.networks import for_inference
from nanonuclei.engine.train import OnEpoch, fit
from nanonuclei.interrupts import interrupted
from nanonuclei.tasks import create_task
from nanonuclei.tasks.base import Task
from nanonuclei.tune.base import (
    COMPLETE,
    FAILED,
    OUT_OF_MEMORY,
    PRUNED,
    Outcome,
    Proposal,
    PrunedError,
    Report,
    TakenOverError,
    UnreachableError,
)

OUT_OF_MEMORY_NAMES = ("ResourceExhaustedError", "OutOfMemoryError")
OUT_OF_MEMORY_WORDS = ("RESOURCE_EXHAUSTED", "out of memory", "OOM when allocating")
"""How TensorFlow, PyTorch and JAX say it, each with an error of its own."""
NUM_TIMINGS = 3
_timings: dict[tuple[str, int, str], float] = {}


@dataclass(frozen=True)
class TrialData:
    """What every trial of a search learns from and is measured on; there is no test split in it."""

    train: Sequence[SampleRef]
    val: Sequence[SampleRef]


class _NotANumberError(Exception):
    """The metric is NaN or infinite."""


def run_trial(
    config: ExperimentConfig,
    proposal: Proposal,
    data: TrialData,
    *,
    folder: Path,
    report: Report,
    on_epoch: OnEpoch,
) -> Outcome:
    """Trains once.

    Args:
        config: What the proposal's settings go on top of.
        proposal: The settings.
        data: Images.
        folder: For checkpoints; removed at the end.
        report: Told the metric of each epoch; may end the trial.
        on_epoch: Told all metrics of each epoch.

    Returns:
        How it ended. A failed training, a metric that is no number, settings that do not fit together and exhausted
        memory are outcomes, not errors.

    Raises:
        TakenOverError: From `report`.
        UnreachableError: From `report`.
    """
    values: list[float] = []
    clock = _Clock()

    def tell(epoch: int, metrics: Mapping[str, float]) -> None:
        on_epoch(epoch, metrics)
        value = metrics[config.tune.metric]
        if not math.isfinite(value):
            raise _NotANumberError(f"{config.tune.metric} must be a finite number, got {value} in epoch {epoch}")
        values.append(value)
        report(epoch, value)

    def trained() -> dict[str, float]:  # when it returns, nothing refers to the network, and `_free_memory` frees it
        trial = trial_config(config, proposal.settings)
        task = create_task(trial)
        with clock:
            result = fit(task, data.train, data.val, workdir=folder, on_epoch=tell)
        speed = _timed_once(task, result.model, size=task.training_side)
        return {"num_params": float(result.model.count_params()), "inference_ms": speed}

    best = min if config.tune.metric == "val/loss" else max
    more: dict[str, float] = {}
    state, error = COMPLETE, ""
    try:
        more = trained()
    except (TakenOverError, UnreachableError):
        raise
    except PrunedError:
        state = PRUNED
    except Exception as caught:
        if interrupted(caught):
            raise KeyboardInterrupt from caught
        state = OUT_OF_MEMORY if ran_out_of_memory(caught) else FAILED
        error = f"{type(caught).__name__}: {' '.join(str(caught).split())}"[:500]
    finally:
        _free_memory(exhausted=state == OUT_OF_MEMORY)
        shutil.rmtree(folder, ignore_errors=True)
    reached = {"best_epoch": float(values.index(best(values)) + 1)} if values else {}
    figures = {**reached, **more, "num_epochs": float(len(values)), "fit_seconds": clock.seconds}
    value = best(values) if values and state in (COMPLETE, PRUNED) else None
    return Outcome(state, value, error, {**figures, "seconds": clock.since_start()})


def _free_memory(*, exhausted: bool) -> None:
    """Frees the memory of a trial. Objects that survive are exempt from later garbage collections, which stay fast.

    Args:
        exhausted: Whether the trial ran out of memory: then the exempt objects are examined again too.
    """
    if exhausted:
        gc.unfreeze()
    keras.backend.clear_session()
    gc.collect()
    gc.freeze()


def ran_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error of any backend says that memory was exhausted."""
    told = type(error).__name__ in OUT_OF_MEMORY_NAMES or any(word in str(error) for word in OUT_OF_MEMORY_WORDS)
    return told or isinstance(error, MemoryError)


def inference_ms(model: keras.Model, *, size: int) -> float:
    """Returns the time that a network takes for a megapixel, ms: the median of a few single images of `size` px."""
    window = np.zeros((1, size, size, 3), np.float32)
    model.predict_on_batch(window)
    seconds = []
    for _ in range(NUM_TIMINGS):
        started = time.perf_counter()
        model.predict_on_batch(window)
        seconds.append(time.perf_counter() - started)
    return 1000.0 * statistics.median(seconds) / (size * size / 1e6)


def _timed_once(task: Task, model: keras.Model, *, size: int) -> float:
    """Returns `inference_ms` in the precision of a prediction; networks of one architecture are timed once."""
    layers = [(type(layer).__name__, *(tuple(w.shape) for w in layer.weights)) for layer in model.layers]
    key = (str(layers), size, task.config.windows.precision)
    if key not in _timings:
        _timings[key] = inference_ms(for_inference(task, model), size=size)
    return _timings[key]


class _Clock:
    """Counts the seconds within its context, and since it was made."""

    def __init__(self) -> None:
        self._made = time.perf_counter()
        self.seconds = 0.0

    def __enter__(self) -> Callable[[], float]:
        self._entered = time.perf_counter()
        return self.since_start

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._entered

    def since_start(self) -> float:
        return time.perf_counter() - self._made
