"""Compares the speed of trainings with an earlier commit: patches alone, and images of a training, in turns.

    git worktree add ../earlier COMMIT
    python benchmarks/beside_earlier.py PREPARED ../earlier [--task nuclei] [--rounds 3] [--what patches fit]

Each measurement is a process of its own, with the sources and the `params.yaml` of one of the two trees.

* *patches*: what one worker prepares per second of the processor, without a network. A second of the processor is what
  one core does in a second of the clock, however busy the machine is.
* *fit*: images per second of `engine.train.fit` over the two epochs after the first, with validation and all that
  happens at the ends of epochs: a default training, cut short. By the clock: on a busy machine trust the ratio alone.

PREPARED is a folder of prepared images that both can read.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

CHILD = """
import sys, tempfile, time
from pathlib import Path
from nanonuclei.config.params import load_experiment, parse_settings
from nanonuclei.data.catalog import load_catalog
import keras
from nanonuclei.engine.train import fit
from nanonuclei.tasks import create_task

what, task_name, prepared, images, *settings = sys.argv[1:]
catalog = load_catalog(Path(prepared))
config = load_experiment(task_name, path=Path("params.yaml"), settings=parse_settings(settings))
task, size = create_task(config), config.train.batch_size
train, val = (catalog.split(name)[: int(number) or None] for name, number in zip(("train", "val"), images.split(",")))
if what == "patches":
    batches = task.batches(train, training=True)
    first = 12 + 2 * len(train) // size
    for number in range(first):
        batches[number]
    began = time.process_time()
    for number in range(first, first + 60):
        batches[number]
    print(60 * size / (time.process_time() - began))
else:
    ends = []
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
    with tempfile.TemporaryDirectory() as folder:
        fit(task, train, val, workdir=Path(folder), callbacks=[clock])
    print((len(ends) - 1) * config.train.steps_per_epoch * size / (ends[-1] - ends[0]))
"""


def measured(tree: Path, what: str, options: argparse.Namespace) -> float:
    """Returns what a process with the sources of a tree measures."""
    settings, images = [f"data.dataset={options.dataset}", *options.settings], "0,0"
    if what == "patches":
        images = "64,1"
        settings.append("train.workers=1")
    else:
        settings += ["train.epochs=3", "train.tensorboard=false"]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, what, options.task, str(options.prepared.absolute()), images, *settings],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": "src", "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    """Runs the benchmark from the command line."""
    options = _options()
    here = Path(__file__).resolve().parents[1]
    for what in options.what:
        ratios, rates = [], []
        for _ in range(options.rounds):
            before, now = (measured(tree, what, options) for tree in (options.earlier, here))
            ratios.append(now / before)
            rates.append((before, now))
            print(f"{what}: {before:.1f} before, {now:.1f} now, per second; ratio {ratios[-1]:.2f}", flush=True)
        before, now = (statistics.median(side) for side in zip(*rates, strict=True))
        middle = statistics.median(ratios)
        print(f"{options.task}, {what}: {before:.1f} and {now:.1f} per second, median ratio {middle:.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("earlier", type=Path, help="working tree of the earlier commit")
    parser.add_argument("--task", default="nuclei", help="%(default)s")
    parser.add_argument("--dataset", default="dsb2018", help="that PREPARED holds (%(default)s)")
    parser.add_argument("--what", nargs="+", default=["patches", "fit"], choices=["patches", "fit"])
    parser.add_argument("--rounds", type=int, default=3, help="%(default)s")
    parser.add_argument("--set", dest="settings", nargs="*", default=[], metavar="PATH=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
