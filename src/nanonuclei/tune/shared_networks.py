"""Networks that trials share: to build one and trace its training step costs as much as several epochs of a trial.

The numbers of a step that a search draws most (`SETTABLE`) are held in variables, so that one traced step serves all
trials that differ in them alone. Every trial begins with the values that the variables had at first.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import keras
from keras import ops
from numpy.typing import NDArray

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import flatten
from nanonuclei.config.space import FloatRange, IntRange, SearchSpace
from nanonuclei.data.catalog import SampleRef
from nanonuclei.engine.devices import detect
from nanonuclei.models.optimizers import optimizer
from nanonuclei.models.phases import phases
from nanonuclei.tasks.base import Task

MOST = 8
"""Networks that a process keeps; where the trials of a space need more, each builds its own."""
SETTABLE = ("train.learning_rate", "train.schedule", "train.warmup_epochs", "train.weight_decay", "network.dropout")
OUTSIDE = ("augment.", "train.balance")
"""Settings of the batches: no part of a network or of its step."""


class SharedNetworks:
    """The networks of one search in one process.

    Args:
        space: What the search sets.
        most: Networks that may be kept; 0: each trial builds its own.
    """

    def __init__(self, space: SearchSpace, *, most: int = MOST) -> None:
        self._few = num_networks(space) <= most
        self._kept: dict[str, _Network] = {}

    @property
    def any_kept(self) -> bool:
        """Whether there are networks for trials to come."""
        return bool(self._kept)

    @contextlib.contextmanager
    def lend(self, task: Task) -> Iterator[tuple[Task, list[keras.callbacks.Callback]]]:
        """Yields a task that trains like the one given, in a kept network where there can be one, and its callbacks.

        Its batches are emptied at the end: TensorFlow never lets go of them, and they hold decoded images.

        It takes TensorFlow on one device and one optimizer for all epochs: elsewhere (another backend, copies of the
        network, a scaled loss, an encoder that is unfrozen on the way) a training has state beside the variables.
        Rounding apart, what is learnt is the same.
        """
        hardware = detect(task.config.train)
        alone = hardware.backend == "tensorflow" and hardware.num_devices == 1 and hardware.precision != "float16"
        shared = self._few and alone and len(phases(task.config.train)) == 1
        lent = _Lent(task, self._kept if shared else None)
        try:
            yield cast("Task", lent), [_ScheduledRate(task.config)] if shared else []
        finally:
            for batches in lent.handed_out:
                vars(batches).clear()

    def clear(self) -> None:
        """Lets all networks go."""
        self._kept.clear()


def num_networks(space: SearchSpace) -> float:
    """Returns how many networks the trials of a space need, infinity where one of them has a range without steps."""
    counts = [1.0]
    for path, span in space.items():
        if _free(path):
            continue
        if isinstance(span, FloatRange):
            counts.append(math.inf)
        else:
            counts.append(1 + (span.high - span.low) // span.step if isinstance(span, IntRange) else len(span.values))
    return math.prod(counts)


def _free(path: str) -> bool:
    return path in SETTABLE or path.startswith(OUTSIDE)


class _Lent:
    """A task whose networks are kept, where there is a place for them, and which remembers the batches it made."""

    def __init__(self, task: Task, kept: dict[str, _Network] | None) -> None:
        self._task = task
        self._kept = kept
        self.handed_out: list[keras.utils.PyDataset] = []
        fixed = {path: value for path, value in flatten(task.config).items() if not _free(path)}
        self._key = str((fixed, getattr(task.config.network, "dropout", 0.0) > 0))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def batches(self, samples: Sequence[SampleRef], *, training: bool) -> keras.utils.PyDataset:
        self.handed_out.append(self._task.batches(samples, training=training))
        return self.handed_out[-1]

    def build_network(self) -> keras.Model:
        kept = (self._kept or {}).get(self._key)
        return kept.portable if kept else self._task.build_network()

    def build_model(self) -> keras.Model:
        if self._kept is None:
            return self._task.build_model()
        if self._key not in self._kept:
            self._kept[self._key] = _Network(self._task)
        return self._kept[self._key].begin(self._task.config)


class _Numbers:
    """What a step reads beside the optimizer's rate. A plain object, so that Keras finds no weights in it."""

    def __init__(self) -> None:
        self.weight_decay = keras.Variable(0.0, trainable=False, dtype="float32", name="shared_weight_decay")
        self.dropout = keras.Variable(0.0, trainable=False, dtype="float32", name="shared_dropout")


class _ScheduledRate(keras.callbacks.Callback):
    """Sets the optimizer's rate before each step to what the schedule of a config says.

    A rate without a schedule is left to others, as a plateau lowers it.
    """

    def __init__(self, config: ExperimentConfig) -> None:
        super().__init__()
        (phase,) = phases(config.train)
        rate = optimizer(config.train, phase).get_config()["learning_rate"]
        self._schedule = keras.optimizers.schedules.deserialize(rate) if isinstance(rate, dict) else None

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Sets the rate of the first step."""
        self._set()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Sets the rate of the next step."""
        self._set()

    def _set(self) -> None:
        if self._schedule is not None:
            self.model.optimizer.learning_rate = self._schedule(self.model.optimizer.iterations)


class _Network:
    """A compiled network whose step reads `numbers`, and the values that its variables began with."""

    def __init__(self, task: Task) -> None:
        self._numbers = _Numbers()
        self._model = task.build_model()
        for layer in self._model.layers:
            if type(layer) is keras.layers.Dropout:
                layer.__class__ = _Dropout
                layer.numbers = self._numbers
        self._model.optimizer = _settable(self._model.optimizer, self._numbers)
        self._model.optimizer.build(self._model.trainable_variables)
        self.portable = task.build_network()  # after the model, which is to draw the weights that any training draws
        self._first: list[NDArray[Any]] = [ops.convert_to_numpy(variable) for variable in self._variables()]

    def begin(self, config: ExperimentConfig) -> keras.Model:
        """Returns the network as a training with these settings begins."""
        for variable, value in zip(self._variables(), self._first, strict=True):
            variable.assign(value)
        self._numbers.weight_decay.assign(config.train.weight_decay)
        self._numbers.dropout.assign(getattr(config.network, "dropout", 0.0))
        self._model.optimizer.learning_rate = config.train.learning_rate
        return self._model

    def _variables(self) -> list[keras.Variable]:
        return [*self._model.variables, *self._model.optimizer.variables]


def _settable(like: keras.optimizers.Optimizer, numbers: _Numbers) -> keras.optimizers.Optimizer:
    """Returns an optimizer like the one given, but with a rate to be set and the weight decay of `numbers`."""
    config = {**like.get_config(), "learning_rate": 1.0}
    return _AdamW(numbers, **config) if isinstance(like, keras.optimizers.AdamW) else type(like)(**config)


class _AdamW(keras.optimizers.AdamW):
    """AdamW whose weight decay is a variable."""

    def __init__(self, numbers: _Numbers, **options: Any) -> None:
        super().__init__(**options)
        self._numbers = numbers

    @property
    def weight_decay(self) -> keras.Variable | float:
        numbers: _Numbers | None = vars(self).get("_numbers")
        return numbers.weight_decay if numbers else 0.0

    @weight_decay.setter
    def weight_decay(self, value: float) -> None:
        """What Keras sets is not used: `_numbers` has it."""

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weight_decay": float(self._numbers.weight_decay)}


class _Dropout(keras.layers.Dropout):
    """Dropout at a rate that is a variable; it drops what Keras's own drops at that rate."""

    numbers: _Numbers

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        rate = ops.cast(self.numbers.dropout, inputs.dtype)
        drawn = keras.random.uniform(ops.shape(inputs), dtype=inputs.dtype, seed=self.seed_generator)
        return ops.where(drawn >= rate, inputs / (1.0 - rate), 0.0)
