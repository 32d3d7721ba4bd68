"""How batches reach `fit`: under TensorFlow as a dataset that is not tuned while it runs, under JAX on the device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
from keras.src.utils.tracking import DotNotTrackScope

from nanonuclei.data.batches import BYTE, TrainBatches

AHEAD = 2
"""Batches that lie ready between the batches' own workers and the training step."""


class NotTracked(keras.callbacks.Callback):
    """Keeps Keras, while an epoch runs under JAX, from looking through all weights of a model for layers at each step.

    The training step's state is an attribute of the model, and to set one wraps what it holds: milliseconds of a step.
    """

    def __init__(self) -> None:
        super().__init__()
        self._scope = contextlib.ExitStack()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begins, once everything is built."""
        if keras.backend.backend() == "jax":
            self._scope.enter_context(DotNotTrackScope())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Ends, before other callbacks store the model."""
        self._scope.close()

    def close(self) -> None:
        """Ends, also where an epoch was cut off."""
        self._scope.close()


class OnDevice(keras.utils.PyDataset):
    """Batches that a thread moves to JAX's device before they are asked for.

    Images that workers made as bytes travel as bytes, and become float32 there.

    Args:
        batches: Endless where its `num_batches` is None.
    """

    def __init__(self, batches: keras.utils.PyDataset) -> None:
        super().__init__()
        self._batches = batches
        self._mover = ThreadPoolExecutor(1, thread_name_prefix="to the device")
        self._ahead: dict[int, Future[tuple[Any, ...]]] = {}

    @property
    def num_batches(self) -> int | None:
        """As the batches say."""
        return self._batches.num_batches

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Returns batch `index`, and lets the thread move those behind it."""
        end = index + AHEAD + 1 if self.num_batches is None else min(index + AHEAD + 1, self.num_batches)
        for later in range(index, end):
            if later not in self._ahead:
                self._ahead[later] = self._mover.submit(self._moved, later)
        return self._ahead.pop(index).result()

    def close(self) -> None:
        """Ends the thread, and the batches behind it."""
        self._mover.shutdown(wait=True, cancel_futures=True)
        self._ahead.clear()
        if callable(close := getattr(self._batches, "close", None)):
            close()

    def _moved(self, index: int) -> tuple[Any, ...]:
        import jax

        if not isinstance(self._batches, TrainBatches):
            return tuple(jax.device_put(self._batches[index]))
        images, *rest = jax.device_put(self._batches.packed(index))
        return (images * BYTE if images.dtype == np.uint8 else images, *rest)


class Feed:
    """Batches in the form in which `fit` reads them without waiting.

    TensorFlow's own way tunes buffers in a thread that is waited for when an iterator ends, up to as long as the
    iterator has lived, and never lets go of what it drew batches from. Here nothing is tuned, and `close` lets go.

    Args:
        batches: Endless where its `num_batches` is None; a batch is a tuple of arrays that share their first axis.
    """

    def __init__(self, batches: keras.utils.PyDataset) -> None:
        self._batches: keras.utils.PyDataset | None = batches
        if keras.backend.backend() == "jax" and keras.distribution.distribution() is None:
            self._batches = OnDevice(batches)
        self.data = self._dataset() if keras.backend.backend() == "tensorflow" else self._batches

    def close(self) -> None:
        """Ends the stream, and frees what the batches hold."""
        if (batches := self._batches) is not None and callable(close := getattr(batches, "close", None)):
            close()
        self._batches = None
        self.data = None

    def _drawn(self) -> Iterator[tuple[Any, ...]]:
        number = 0
        while (batches := self._batches) is not None and (batches.num_batches is None or number < batches.num_batches):
            yield batches[number]
            number += 1

    def _dataset(self) -> Any:
        import tensorflow as tf

        assert self._batches is not None
        signature = tuple(
            tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in map(np.asarray, self._batches[0])
        )
        options = tf.data.Options()
        options.autotune.enabled = False
        data = tf.data.Dataset.from_generator(self._drawn, output_signature=signature).prefetch(AHEAD)
        if (number := self._batches.num_batches) is not None:
            data = data.apply(tf.data.experimental.assert_cardinality(number))
        return data.with_options(options)
