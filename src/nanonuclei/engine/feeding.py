"""How batches reach `fit`: under TensorFlow as a dataset that is not tuned while it runs, else as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

AHEAD = 2
"""Batches that lie ready between the batches' own workers and the training step."""


class Feed:
    """Batches in the form in which `fit` reads them without waiting.

    TensorFlow's own way tunes buffers in a thread that is waited for when an iterator ends, up to as long as the
    iterator has lived, and never lets go of what it drew batches from. Here nothing is tuned, and `close` lets go.

    Args:
        batches: Endless where its `num_batches` is None; a batch is a tuple of arrays that share their first axis.
    """

    def __init__(self, batches: keras.utils.PyDataset) -> None:
        self._batches: keras.utils.PyDataset | None = batches
        self.data = self._dataset() if keras.backend.backend() == "tensorflow" else batches

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
