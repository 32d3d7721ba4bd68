"""Images per second of four ways to train the same network, in one process.

a. a plain Keras script in the style of TensorFlow's image segmentation tutorial (tf.data, flips, float32),
b. `engine.train.fit` with everything on: augmentation, averaged weights, checkpoints, event files, best precision,
c. bare `model.fit` on batches that lie ready in memory, at the precision of b,
d. `engine.train.fit` on those same ready batches.

    PYTHONPATH=src python benchmarks/train_throughput.py [--steps 12] [--rounds 3] [--dataset auto]

Network, images, patch size, batch size and validation patches are the same in all four. Each arm trains
`rounds` times in turn (a b c d a b c d ...) for three epochs; the first, which compiles, does not count. The
ratios wanted: b / a >= 1.3 and d / c >= 0.97.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from nanonuclei.config.params import load_experiment
from nanonuclei.data.catalog import Catalog
from nanonuclei.engine.devices import detect, seeded_devices
from nanonuclei.engine.train import fit
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.prepare import prepared_dataset as prepared_data
from nanonuclei.stages.settings import Choices, resolve
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tasks.nuclei.network import NucleiTask

EPOCHS = 3
NUM_VAL = 4
"""Validation images; few, so that the figure is about training."""


class Clock(keras.callbacks.Callback):
    """Measures whole epochs, validation and everything else that happens in them included."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = [time.perf_counter()]

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        if epoch == 0:
            self.ends = [time.perf_counter()]

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.ends.append(time.perf_counter())

    def images_per_second(self, images: int) -> float:
        """Returns the rate over the epochs after the first."""
        return images * (len(self.ends) - 2) / (self.ends[-1] - self.ends[1])


class Ready(keras.utils.PyDataset):
    """Batches in memory."""

    def __init__(self, batches: list[tuple[np.ndarray, np.ndarray]]) -> None:
        super().__init__()
        self._batches = batches

    @property
    def num_batches(self) -> None:
        return None

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self._batches[index % len(self._batches)]


class ReadyTask(NucleiTask):
    """The nuclei task on ready batches."""

    def __init__(self, config: NucleiExperiment, train: keras.utils.PyDataset, val: keras.utils.PyDataset) -> None:
        super().__init__(config)
        self._ready = {True: train, False: val}

    def batches(self, samples: object, *, training: bool) -> keras.utils.PyDataset:
        return self._ready[training]


def tutorial(config: NucleiExperiment, catalog: Catalog) -> float:
    """Arm a."""
    size, batch = config.train.patch_size, config.train.batch_size
    task = NucleiTask(config)

    def load(samples: object) -> tuple[np.ndarray, np.ndarray]:
        images, masks = [], []
        for sample in samples:
            image = task.network_input(sample.image())
            images.append(tf.image.resize(image, (size, size)).numpy())
            mask = task.target(sample.labels()).astype(np.float32)
            masks.append(tf.image.resize(mask, (size, size), method="nearest").numpy().astype(np.uint8))
        return np.stack(images), np.stack(masks)

    def flip(image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        chance = tf.random.uniform(()) > 0.5
        return (
            tf.cond(chance, lambda: tf.image.flip_left_right(image), lambda: image),
            tf.cond(chance, lambda: tf.image.flip_left_right(mask), lambda: mask),
        )

    train = tf.data.Dataset.from_tensor_slices(load(catalog.split("train")[: 8 * batch]))
    train = train.cache().shuffle(1000).repeat().map(flip, num_parallel_calls=tf.data.AUTOTUNE)
    val = NucleiTask(config).batches(catalog.split("val")[:NUM_VAL], training=False)
    model = task.build_network()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    clock = Clock()
    model.fit(
        train.batch(batch).prefetch(tf.data.AUTOTUNE),
        epochs=EPOCHS,
        steps_per_epoch=config.train.steps_per_epoch,
        validation_data=val,
        callbacks=[clock],
        verbose=0,
    )
    return clock.images_per_second(config.train.steps_per_epoch * batch)


def everything_on(config: NucleiExperiment, catalog: Catalog) -> float:
    """Arm b."""
    return _timed_fit(NucleiTask(config), config, catalog)


def bare(config: NucleiExperiment, train: keras.utils.PyDataset, val: keras.utils.PyDataset) -> float:
    """Arm c."""
    clock = Clock()
    with seeded_devices(detect(config.train), seed=config.seed, deterministic=False):
        model = NucleiTask(config).build_model()
        model.fit(
            train,
            epochs=EPOCHS,
            steps_per_epoch=config.train.steps_per_epoch,
            validation_data=val,
            callbacks=[clock],
            verbose=0,
            shuffle=False,
        )
    return clock.images_per_second(config.train.steps_per_epoch * config.train.batch_size)


def _timed_fit(task: NucleiTask, config: NucleiExperiment, catalog: Catalog) -> float:
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        fit(
            task,
            catalog.split("train"),
            catalog.split("val")[:NUM_VAL],
            workdir=Path(folder),
            on_epoch=lambda number, metrics: None,
            callbacks=[clock],
        )
    return clock.images_per_second(config.train.steps_per_epoch * config.train.batch_size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12, help="batches per epoch (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="trainings per arm (%(default)s)")
    parser.add_argument("--dataset", default="auto", help="auto | dsb2018 | simulated (%(default)s)")
    options = parser.parse_args()
    dataset = resolve(Choices("nuclei", options.dataset)).data.dataset
    settings = {"data.dataset": dataset, "train.epochs": EPOCHS, "train.steps_per_epoch": options.steps}
    config = load_experiment("nuclei", path=PARAMS, settings=settings)
    catalog, _ = prepared_data(config)
    task = NucleiTask(config)
    stream = task.batches(catalog.split("train"), training=True)
    ready = Ready([stream[number] for number in range(options.steps)])
    stream.close()
    val = task.batches(catalog.split("val")[:NUM_VAL], training=False)
    ready_val = ReadyValidation([val[number] for number in range(val.num_batches)])
    arms: dict[str, Callable[[], float]] = {
        "a tutorial script": lambda: tutorial(config, catalog),
        "b fit, everything on": lambda: everything_on(config, catalog),
        "c bare model.fit, ready batches": lambda: bare(config, ready, ready_val),
        "d fit, ready batches": lambda: _timed_fit(ReadyTask(config, ready, ready_val), config, catalog),
    }
    rates: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(options.rounds):
        for name, arm in arms.items():
            keras.backend.clear_session()
            rates[name].append(arm())
    hardware = detect(config.train)
    print(f"\n{hardware.name}, {os.cpu_count()} cores, {hardware.backend}, {hardware.precision}, {config.data.dataset}")
    for name, values in rates.items():
        print(f"{name:34} {statistics.median(values):6.2f} images/s   ({', '.join(f'{v:.2f}' for v in values)})")
    a, b, c, d = (values for values in rates.values())
    for name, above, below in (("b / a", b, a), ("d / c", d, c)):
        ratios = [x / y for x, y in zip(above, below, strict=True)]
        print(f"{name} {statistics.median(ratios):.3f}   (per round: {', '.join(f'{r:.3f}' for r in ratios)})")


class ReadyValidation(Ready):
    """A finite set of ready batches."""

    @property
    def num_batches(self) -> int:
        return len(self._batches)


if __name__ == "__main__":
    main()
