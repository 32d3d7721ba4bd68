"""Patches per second that the workers of a training prepare, without a network.

    PYTHONPATH=src python benchmarks/pipeline.py [--task nuclei] [--workers 1 2 ...] [--batches 40] [--rounds 3]
        [--prepared FOLDER] [--set PATH=VALUE ...]

One and two workers are threads, more are processes, as in a training (`train.workers`). The arms take turns, and the
table tells medians: patches per second of the clock; per second of the processor, which is what one core does in a
second (threads of libraries, and the process that reads the patches, count too); per core of the machine.
What is drawn first, which reads and decodes images, does not count. The images are those of the settings, or of a
folder of prepared images, which needs neither MLflow nor DVC.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import psutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import load_experiment, parse_settings, with_settings
from nanonuclei.data.catalog import SampleRef, load_catalog
from nanonuclei.drawing.tables import table
from nanonuclei.stages.places import PARAMS
from nanonuclei.tasks import create_task

WARM_UP = 12
"""Batches that are drawn before the clock starts, beside two patches of each image for each worker."""


def main() -> None:
    """Runs the benchmark from the command line."""
    options = _options()
    config, samples = images_of_folder(options) if options.prepared else images_of_settings(options)
    samples = samples[: options.images]
    rates: dict[int, list[tuple[float, float]]] = {number: [] for number in options.workers}
    for _ in range(options.rounds):
        for number in options.workers:
            task = create_task(with_settings(config, {"train.workers": number}))
            batches = task.batches(samples, training=True)
            try:
                first = WARM_UP + number * 2 * len(samples) // config.train.batch_size
                for place in range(first):
                    batches[place]
                began, worked = time.perf_counter(), processor_seconds()
                for place in range(first, first + options.batches):
                    batches[place]
                seconds, work = time.perf_counter() - began, processor_seconds() - worked
            finally:
                batches.close()
            patches = options.batches * config.train.batch_size
            rates[number].append((patches / seconds, patches / work))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    rows = []
    for number, found in rates.items():
        by_clock, by_work = zip(*found, strict=True)
        rate = statistics.median(by_clock)
        spread = f"{min(by_clock):.0f}-{max(by_clock):.0f}"
        rows.append([str(number), f"{rate:.0f}", spread, f"{statistics.median(by_work):.0f}", f"{rate / cores:.0f}"])
    patch = config.train.patch_size
    print(
        f"{options.task}: {len(samples)} images, batches of {config.train.batch_size} patches of {patch} px, "
        f"{cores} cores"
    )
    print(table(rows, header=["workers", "patches/s", "range", "per processor s", "per core of the machine"]))


def images_of_folder(options: argparse.Namespace) -> tuple[ExperimentConfig, tuple[SampleRef, ...]]:
    """Returns the config and the training images of a folder of prepared images."""
    catalog = load_catalog(options.prepared)
    settings = {"data.dataset": catalog.name, **parse_settings(options.settings)}
    return load_experiment(options.task, path=PARAMS, settings=settings), catalog.split("train")


def images_of_settings(options: argparse.Namespace) -> tuple[ExperimentConfig, tuple[SampleRef, ...]]:
    """Returns the config and the training images that a training would have, prepared where they are not."""
    from nanonuclei.stages.prepare import prepared_dataset
    from nanonuclei.stages.samples import training_samples
    from nanonuclei.stages.settings import Choices, resolve

    config = resolve(Choices(options.task, settings=tuple(options.settings)))
    return config, training_samples(prepared_dataset(config)[0], config)


def processor_seconds() -> float:
    """Returns the seconds of the processor that this process and its workers have used."""
    own = psutil.Process()
    times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="nuclei", help="%(default)s")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="%(default)s")
    parser.add_argument("--batches", type=int, default=40, help="of each arm and round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="%(default)s")
    parser.add_argument("--images", type=int, default=64, help="training images, the first (%(default)s)")
    parser.add_argument("--prepared", type=Path, help="folder of a prepared data set (default: of the settings)")
    parser.add_argument("--set", dest="settings", nargs="*", default=[], metavar="PATH=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
