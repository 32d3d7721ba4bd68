"""Batches reach `fit` in order, without waiting at its end, and are let go of."""

from __future__ import annotations

import gc
import time
import weakref

import keras
import numpy as np
import pytest
from keras.src.utils.tracking import is_tracking_enabled

from nanonuclei.data.batches import BYTE, TrainBatches
from nanonuclei.engine.feeding import AHEAD, Feed, NotTracked, OnDevice

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


@pytest.mark.parametrize("number", [None, 5])
def test_batches_for_jax_lie_on_the_device_before_they_are_asked_for(number: int | None) -> None:
    batches = Numbers(number)
    moved = OnDevice(batches)
    assert moved.num_batches == number
    for index in (0, 0, 1, 2, 3, 4, 0):  # Keras draws the first one twice, and validation begins anew
        images, targets = moved[index]
        assert type(images).__module__.startswith("jax")
        assert (int(images[0, 0]), int(targets[0, 0])) == (index, index)
    moved.close()
    assert batches.closed == 1
    assert set(batches.asked[: AHEAD + 1]) == {0, 1, 2}
    if number is not None:
        assert max(batches.asked) == number - 1


def test_bytes_travel_as_bytes_and_become_the_same_floats_on_the_device() -> None:
    class Ramps:
        def batch(self, number: int) -> tuple[np.ndarray, ...]:
            return np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), np.full((1, 1), number, np.uint8)

    batches = TrainBatches(Ramps(), workers=1)
    expected, _ = batches[0]
    images, number = OnDevice(batches)[1]
    np.testing.assert_array_equal(np.asarray(images), expected)
    np.testing.assert_array_equal(expected.ravel(), np.arange(256, dtype=np.float32) * BYTE)
    assert int(number[0, 0]) == 1
    batches.close()


def test_weights_are_not_looked_through_at_each_step_under_jax_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = NotTracked()
    for backend in ("tensorflow", "jax"):
        monkeypatch.setattr(keras.backend, "backend", lambda backend=backend: backend)
        quiet.on_epoch_begin(0)
        assert is_tracking_enabled() == (backend == "tensorflow")
        quiet.on_epoch_end(0)
        assert is_tracking_enabled()
        quiet.on_epoch_begin(1)
        quiet.close()  # an epoch was cut off
        assert is_tracking_enabled()


@pytest.mark.parametrize("number", [None, 2])
def test_batches_are_handed_on_as_they_are_where_neither_tensorflow_nor_jax_trains(
    number: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    batches = Numbers(number)
    assert Feed(batches).data is batches
    assert batches.asked == []
