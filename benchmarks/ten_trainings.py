"""Does a process that trains again and again grow, as a search does: memory after each of some trainings.

    PYTHONPATH=src python benchmarks/ten_trainings.py PREPARED [--task nuclei] [--number 10] [--steps 10]
        [--set PATH=VALUE ...]

PREPARED is a folder of prepared images as the prepare stage writes it. Each training is one of `engine.train.fit` with
the settings of `params.yaml`, one epoch of `--steps` batches, after which its network is dropped. Memory is resident,
MB. Wanted: after the last at most 10 % above that after the second, which has compiled and decoded all.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import psutil

from nanonuclei.config.params import load_experiment, parse_settings
from nanonuclei.data.catalog import load_catalog
from nanonuclei.engine.train import fit
from nanonuclei.stages.places import PARAMS
from nanonuclei.tasks import create_task


def main() -> None:
    """Runs the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--task", default="nuclei", help="%(default)s")
    parser.add_argument("--number", type=int, default=10, help="trainings, at least 2 (%(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="batches of a training (%(default)s)")
    parser.add_argument("--set", dest="settings", nargs="*", default=[], metavar="PATH=VALUE")
    options = parser.parse_args()
    catalog = load_catalog(options.prepared)
    short = {"train.epochs": 1, "train.steps_per_epoch": options.steps, "train.tensorboard": False}
    settings = {"data.dataset": catalog.name, **short, **parse_settings(options.settings)}
    config = load_experiment(options.task, path=PARAMS, settings=settings)
    train, val = catalog.split("train")[:64], catalog.split("val")[:8]
    megabytes = []
    for number in range(options.number):
        with tempfile.TemporaryDirectory() as folder:
            fit(create_task(config), train, val, workdir=Path(folder))
        keras.backend.clear_session()
        gc.collect()
        megabytes.append(psutil.Process().memory_info().rss / 2**20)
        print(f"training {number + 1}: {megabytes[-1]:.0f} MB", flush=True)
    print(f"after {options.number} trainings {megabytes[-1] / megabytes[1]:.3f} times the memory after two")


if __name__ == "__main__":
    main()
