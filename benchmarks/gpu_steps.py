"""What `gpu.py` times: steps of a training on batches in memory and on those of its workers.

A module of its own, as workers that are processes read the file that was called, which is to be light.
"""

from __future__ import annotations

import statistics
import time

import keras

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.data.batches import TrainBatches
from nanonuclei.data.catalog import Catalog
from nanonuclei.data.workers import number_of_workers
from nanonuclei.engine.devices import detect, seeded_devices
from nanonuclei.engine.feeding import Feed, NotTracked
from nanonuclei.tasks import create_task

WARM_UP = 300
"""Patches that each worker prepares before the clock starts."""

NUM_READY = 20
"""Batches that lie in memory for the bare step; they are shown again and again."""


class Ready(keras.utils.PyDataset):
    """Batches in memory."""

    def __init__(self, batches: list[tuple]) -> None:
        super().__init__()
        self._batches = batches

    @property
    def num_batches(self) -> None:
        return None

    def __getitem__(self, index: int) -> tuple:
        return self._batches[index % len(self._batches)]


class Clock(keras.callbacks.Callback):
    """Notes when the first batch and each epoch end; logs of an epoch are numbers, so the device is done by then."""

    def __init__(self) -> None:
        super().__init__()
        self.began = self.first = 0.0
        self.ends: list[float] = []

    def on_train_begin(self, logs: object = None) -> None:
        self.began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if not self.first:
            float((logs or {})["loss"])  # waits for the device
            self.first = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.ends.append(time.perf_counter())


def step_seconds(config: ExperimentConfig, catalog: Catalog, *, steps: int, rounds: int) -> tuple[float, float]:
    """Returns the medians of a bare and of a fed step."""
    task = create_task(config)
    samples = catalog.split("train")
    with seeded_devices(detect(config.train), seed=config.seed, deterministic=False):
        batches = task.batches(samples, training=True)
        batches.start_at(0, gpu=detect(config.train).device == "gpu")
        ready = Ready([batches[number] for number in range(NUM_READY)])
        seconds = []
        for data in (ready, batches):  # each with a network of its own: under JAX a second fit of one may not donate
            if data is batches:
                warm(batches, config)
            feed, clock = Feed(data), Clock()
            try:
                task.build_model().fit(
                    feed.data,
                    epochs=rounds + 1,
                    steps_per_epoch=steps,
                    shuffle=False,
                    callbacks=[clock, NotTracked()],
                    verbose=0,
                )
            finally:
                feed.close()
            pairs = zip(clock.ends, clock.ends[1:], strict=False)
            seconds.append(statistics.median(end - begin for begin, end in pairs) / steps)
    return seconds[0], seconds[1]


def warm(batches: TrainBatches, config: ExperimentConfig) -> None:
    """Draws batches until most of the images that workers come across are in their memory."""
    number = number_of_workers(config.train.workers, gpu=detect(config.train).device == "gpu")
    for place in range(WARM_UP * number // config.train.batch_size):
        batches[place]


def first_step(config: ExperimentConfig, catalog: Catalog) -> float:
    """Returns the seconds up to the end of the first batch, without those for the batch itself."""
    task = create_task(config)
    with seeded_devices(detect(config.train), seed=config.seed, deterministic=False):
        batches = task.batches(catalog.split("train"), training=True)
        ready = Feed(Ready([batches[0]]))
        batches.close()
        clock = Clock()
        task.build_model().fit(ready.data, epochs=1, steps_per_epoch=1, shuffle=False, callbacks=[clock], verbose=0)
        ready.close()
    return clock.first - clock.began
