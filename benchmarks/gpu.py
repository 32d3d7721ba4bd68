"""How well a training feeds the accelerator: bare and fed steps, compilation, and the default training, in one table.

    KERAS_BACKEND=jax PYTHONPATH=src python benchmarks/gpu.py PREPARED [--task nuclei] [--batches 8 32] [--steps 100]
        [--no-training] [--set PATH=VALUE ...]

PREPARED is a folder of prepared images as the prepare stage writes it. No MLflow, no DVC, and no TensorFlow where the
backend is JAX. Per size of a batch:

* **bare step**: `model.fit` on batches that lie ready in memory; **fed step**: on batches that the workers of a
  training prepare meanwhile (`train.workers`). The median of `--rounds` epochs after the one that compiles. Wanted:
  fed / bare at most 1.25.
* **first step**: from the beginning of `fit` to the end of the first batch, in a process of its own: as the caches of
  this machine are, and once more. Wanted the second time: at most 5 s.

At last **the default training**: seconds that `fit` takes with the settings of `params.yaml` (wanted on an H100: 45).
The whole is planned for under 6 minutes on an H100 and 16 cores; it has been run on a CPU alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import load_experiment, parse_settings, with_settings
from nanonuclei.data.catalog import Catalog, load_catalog
from nanonuclei.drawing.tables import table
from nanonuclei.engine.devices import detect, seeded_devices
from nanonuclei.engine.feeding import Feed
from nanonuclei.engine.train import fit
from nanonuclei.stages.places import PARAMS
from nanonuclei.tasks import create_task

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
        ready = Ready([batches[number] for number in range(NUM_READY)])
        seconds = []
        for data in (ready, batches):  # each with a network of its own: under JAX a second fit of one may not donate
            feed, clock = Feed(data), Clock()
            try:
                task.build_model().fit(
                    feed.data, epochs=rounds + 1, steps_per_epoch=steps, shuffle=False, callbacks=[clock], verbose=0
                )
            finally:
                feed.close()
            pairs = zip(clock.ends, clock.ends[1:], strict=False)
            seconds.append(statistics.median(end - begin for begin, end in pairs) / steps)
    return seconds[0], seconds[1]


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


def main() -> None:
    """Runs the benchmark from the command line."""
    options = _options()
    catalog = load_catalog(options.prepared)
    settings = {"data.dataset": catalog.name, "train.tensorboard": False, **parse_settings(options.settings)}
    config = load_experiment(options.task, path=PARAMS, settings=settings)
    if options.first_step:
        sized = with_settings(config, {"train.batch_size": options.batches[0]})
        print(first_step(sized, catalog))
        return
    hardware = detect(config.train)
    print(
        f"{hardware.name}, {os.cpu_count()} cores, {hardware.backend}, {hardware.precision}, {options.task}", flush=True
    )
    rows = []
    for size in options.batches:
        again = [sys.executable, __file__, *sys.argv[1:], "--first-step", "--batches", str(size)]
        firsts = [float(subprocess.run(again, check=True, stdout=subprocess.PIPE, text=True).stdout) for _ in range(2)]
        sized = with_settings(config, {"train.batch_size": size})
        bare, fed = step_seconds(sized, catalog, steps=options.steps, rounds=options.rounds)
        rates = [f"{1000 * bare:.1f}", f"{size / bare:.0f}", f"{1000 * fed:.1f}", f"{size / fed:.0f}"]
        rows.append([str(size), *rates, f"{fed / bare:.2f}", *(f"{first:.1f}" for first in firsts)])
    head = [
        "batch",
        "bare step, ms",
        "patches/s",
        "fed step, ms",
        "patches/s",
        "fed / bare",
        "first step, s",
        "again, s",
    ]
    print(table(rows, header=head), flush=True)
    if not options.no_training:
        with tempfile.TemporaryDirectory() as folder:
            result = fit(create_task(config), catalog.split("train"), catalog.split("val"), workdir=Path(folder))
        print(f"the default training: {result.seconds:.0f} s of fit, {config.train.epochs} epochs at most")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--task", default="nuclei", help="%(default)s")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 32], help="sizes of a batch (%(default)s)")
    parser.add_argument("--steps", type=int, default=100, help="batches of a timed epoch (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="timed epochs of each arm (%(default)s)")
    parser.add_argument("--no-training", action="store_true", help="leave the default training out")
    parser.add_argument("--first-step", action="store_true", help="only time the first step; prints seconds")
    parser.add_argument("--set", dest="settings", nargs="*", default=[], metavar="PATH=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
