"""What survives a killed training: the whole state at the end of an epoch, and the best weights so far.

Each file is written under a temporary name and renamed, so that a kill at any moment leaves the last complete one.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from nanonuclei.config.shared import TrainConfig
from nanonuclei.writing import whole_file, write_text

MODEL = "state.keras"
STATE = "state.json"
BEST = "best.keras"

SECONDS_BETWEEN = 10.0
"""Epochs shorter than this are not stored one by one: on a GPU, storing would take longer than training."""

KEPT = ("wait", "best", "best_epoch", "stopped_epoch", "cooldown_counter")
"""What Keras's early stopping and plateau schedule remember from epoch to epoch."""

GREATER_IS_BETTER = {"val/loss": False, "val/accuracy": True, "val/iou": True}


class Checkpoint(keras.callbacks.Callback):
    """Keeps the wanted weights and the last state in a folder; to stand before the callback that swaps in averages.

    Validation sees averaged weights where there are any: the best ones are kept at its end, while they are in the
    model. They are stored at the epoch's end, and then the state, with the raw weights and the optimizer: after the
    first and the last epoch, and after those that end `SECONDS_BETWEEN` or more since the state was stored last.

    Args:
        folder: Where the files go.
        network: A network like the one in training, through which the best weights are stored: without an optimizer,
            in the precision that it was built with.
        config: `keep` says which epoch's weights are kept, `monitor` what is best.
        state: What `load_state` returned, of a training that goes on.
        stateful: Callbacks whose memory is part of the state.
        seconds: Returns how long the training has taken until now, all its parts.
    """

    def __init__(
        self,
        folder: Path,
        network: keras.Model,
        *,
        config: TrainConfig,
        state: Mapping[str, Any] | None,
        stateful: Sequence[keras.callbacks.Callback],
        seconds: Callable[[], float],
    ) -> None:
        super().__init__()
        self._folder = folder
        self._network = network
        self._monitor = config.monitor
        self._keep_last = config.keep == "last"
        self._stateful = stateful
        self._seconds = seconds
        self._restored = state
        self._epoch = state["epochs"] if state else 0
        self.history: dict[str, list[float]] = {k: list(v) for k, v in state["history"].items()} if state else {}
        self.best: float | None = state["best"] if state else None
        self.best_epoch: int = state["best_epoch"] if state else 0
        self._best_weights: list[Any] | None = None
        self._stored_at = -math.inf

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Gives the other callbacks their memory back, after Keras has reset it."""
        for callback, kept in zip(self._stateful, self._restored["callbacks"] if self._restored else [], strict=False):
            vars(callback).update(kept)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Notes which epoch it is."""
        self._epoch = epoch

    def on_test_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Keeps the weights if the validation was the best so far, or if the last ones are wanted."""
        value = float((logs or {})[self._monitor.removeprefix("val/")])
        sign = -1.0 if GREATER_IS_BETTER[self._monitor] else 1.0
        better = self.best is None or sign * value < sign * self.best
        if math.isfinite(value) and (better or self._keep_last):
            self.best, self.best_epoch = value, self._epoch + 1
            self._best_weights = self.model.get_weights()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Stores the best weights and all that the next epoch needs, unless that was done just now."""
        for name, value in named(logs or {}).items():
            self.history.setdefault(name, []).append(value)
        last = self.model.stop_training or epoch + 1 == self.params["epochs"]
        if last or time.monotonic() - self._stored_at >= SECONDS_BETWEEN:
            self._store_best()
            self._store_state(epoch)
            self._stored_at = time.monotonic()

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Stores the best weights of a training that a later callback has ended."""
        self._store_best()

    def _store_best(self) -> None:
        if self._best_weights is not None:
            self._network.set_weights(self._best_weights)
            with whole_file(self._folder / BEST) as partial:
                self._network.save(partial)
            self._best_weights = None

    def _store_state(self, epoch: int) -> None:
        """Stores what the next epoch needs. `state.json` tells which file is the model, and of which epoch."""
        state = {
            "epochs": epoch + 1,
            "history": self.history,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "seconds": self._seconds(),
            "callbacks": [{k: vars(c)[k] for k in KEPT if k in vars(c)} for c in self._stateful],
            "random": [keras.ops.convert_to_numpy(state).tolist() for state in _random_states(self.model)],
        }
        model = self._folder / f"epoch{epoch + 1}-{MODEL}"
        with whole_file(model) as partial:
            self.model.save(partial)
        state["model"] = model.name
        write_text(self._folder / STATE, json.dumps(_plain(state)))
        for old in self._folder.glob(f"*epoch*-{MODEL}"):  # also what a killed process began to write
            if old != model:
                old.unlink()


def load_state(folder: Path) -> dict[str, Any] | None:
    """Returns the state of the last finished epoch, or None where no epoch was finished."""
    path = folder / STATE
    if not path.is_file():
        return None
    state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return state


def load_model(folder: Path, state: Mapping[str, Any]) -> keras.Model:
    """Returns the compiled model of a state, its dropout going on with the random numbers that would have come next."""
    model: keras.Model = keras.saving.load_model(folder / state["model"])
    for variable, value in zip(_random_states(model), state["random"], strict=True):
        variable.assign(value)
    return model


def named(logs: Mapping[str, float]) -> dict[str, float]:
    """Returns Keras's logs under the platform's names: ``train/loss``, ``val/loss``, ``learning_rate``."""
    names = {}
    for name, value in logs.items():
        if name == "learning_rate":
            names[name] = float(value)
        elif name.startswith("val_"):
            names[f"val/{name.removeprefix('val_')}"] = float(value)
        else:
            names[f"train/{name}"] = float(value)
    return names


def _random_states(model: keras.Model) -> list[Any]:
    """Returns the counters of a model's random numbers, which Keras does not store with its weights."""
    stored = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in stored]


def _plain(value: Any) -> Any:
    """Returns NumPy scalars as numbers, all the way down."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.item() if hasattr(value, "item") else value
