"""Batches reach `fit` in order, without waiting at its end, and are let go of."""

from __future__ import annotations

import gc
import time
import weakref

import keras
import numpy as np
import pytest

from nanonuclei.engine.feeding import Feed

SECONDS = 0.03


class Numbers(keras.utils.PyDataset):
    """Batches whose pixels tell their number."""

    def __init__(self, number: int | None) -> None:
        super().__init__()
        self._number, self.asked, self.closed = number, [], 0

    @property
    def num_batches(self) -> int | None:
        return self._number

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        self.asked.append(index)
        time.sleep(SECONDS)
        rows = 1 if self._number == index + 1 else 2  # the last one is smaller
        return np.full((rows, 3), index, np.float32), np.full((rows, 1), index, np.uint8)

    def close(self) -> None:
        self.closed += 1


def test_batches_come_in_order_and_as_often_as_there_are() -> None:
    feed = Feed(Numbers(4))
    shapes = [(int(images[0, 0]), images.shape[0], targets.dtype.name) for images, targets in feed.data]
    assert shapes == [(0, 2, "uint8"), (1, 2, "uint8"), (2, 2, "uint8"), (3, 1, "uint8")]
    assert feed.data.cardinality() == 4


def test_a_training_does_not_wait_for_what_fed_it() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    ended = keras.callbacks.LambdaCallback(on_train_end=lambda logs: times.append(time.perf_counter()))
    feed, check = Feed(Numbers(None)), Feed(Numbers(3))
    times = [time.perf_counter()]
    model.fit(
        feed.data, validation_data=check.data, steps_per_epoch=30, epochs=2, shuffle=False, verbose=0, callbacks=[ended]
    )
    begin, end = times
    assert time.perf_counter() - end < (end - begin) / 2  # TensorFlow's own way waits as long as it has drawn


def test_a_closed_feed_closes_its_batches_once_and_lets_them_go() -> None:
    batches = Numbers(None)
    feed = Feed(batches)
    drawn = iter(feed.data)
    next(drawn)
    feed.close()
    feed.close()
    assert batches.closed == 1
    alive = weakref.ref(batches)
    del batches, drawn
    for _ in range(100):
        gc.collect()
        if alive() is None:
            break
        time.sleep(0.05)
    assert alive() is None


@pytest.mark.parametrize("number", [None, 2])
def test_batches_are_handed_on_as_they_are_where_tensorflow_does_not_train(
    number: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    batches = Numbers(number)
    assert Feed(batches).data is batches
    assert batches.asked == []
