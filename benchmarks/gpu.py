"""How well a training feeds the accelerator: bare and fed steps, compilation, and the default training, in one table.

    KERAS_BACKEND=jax PYTHONPATH=src python benchmarks/gpu.py PREPARED [--task nuclei] [--batches 8 32] [--steps 100]
        [--no-training] [--no-first-step] [--keep FOLDER] [--set PATH=VALUE ...]

PREPARED is a folder of prepared images as the prepare stage writes it. No MLflow, no DVC, and no TensorFlow where the
backend is JAX. Per size of a batch:

* **bare step**: `model.fit` on batches that lie ready in memory; **fed step**: on batches that the workers of a
  training prepare meanwhile (`train.workers`), once all of them have read the images. The median of `--rounds` epochs
  after the one that compiles. Wanted: fed / bare at most 1.25.
* **first step**: from the beginning of `fit` to the end of the first batch, in a process of its own: as the caches of
  this machine are, and once more. Wanted the second time: at most 5 s.

At last **the default training**: seconds that `fit` takes with the settings of `params.yaml` (wanted on an H100: 45).
`--keep` is a folder for its checkpoint.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # processes take turns, each beside the first


HEAD = ["batch", "bare step, ms", "patches/s", "fed step, ms", "patches/s", "fed / bare", "first step, s", "again, s"]


def main() -> None:
    """Runs the benchmark from the command line."""
    from gpu_steps import first_step, step_seconds

    from nanonuclei.config.params import load_experiment, parse_settings, with_settings
    from nanonuclei.data.catalog import load_catalog
    from nanonuclei.drawing.tables import table
    from nanonuclei.engine.devices import detect
    from nanonuclei.engine.train import fit
    from nanonuclei.stages.places import PARAMS
    from nanonuclei.tasks import create_task

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
    rows: list[list[str]] = []
    for size in options.batches:
        again = [sys.executable, __file__, *sys.argv[1:], "--first-step", "--batches", str(size)]
        firsts = [
            float(subprocess.run(again, check=True, stdout=subprocess.PIPE, text=True).stdout)
            for _ in range(0 if options.no_first_step else 2)
        ]
        sized = with_settings(config, {"train.batch_size": size})
        bare, fed = step_seconds(sized, catalog, steps=options.steps, rounds=options.rounds)
        rates = [f"{1000 * bare:.1f}", f"{size / bare:.0f}", f"{1000 * fed:.1f}", f"{size / fed:.0f}"]
        rows.append([str(size), *rates, f"{fed / bare:.2f}", *(f"{first:.1f}" for first in firsts)])
        print(f"batches of {size}: bare step {rates[0]} ms, fed step {rates[2]} ms", flush=True)
    print(table(rows, header=HEAD[: len(rows[0])]), flush=True)
    if not options.no_training:
        with tempfile.TemporaryDirectory() as folder:
            workdir = options.keep or Path(folder)
            result = fit(create_task(config), catalog.split("train"), catalog.split("val"), workdir=workdir)
        print(f"the default training: {result.seconds:.0f} s of fit, {config.train.epochs} epochs at most")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--task", default="nuclei", help="%(default)s")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 32], help="sizes of a batch (%(default)s)")
    parser.add_argument("--steps", type=int, default=100, help="batches of a timed epoch (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="timed epochs of each arm (%(default)s)")
    parser.add_argument("--no-training", action="store_true", help="leave the default training out")
    parser.add_argument("--keep", type=Path, help="folder for the checkpoint of the default training")
    parser.add_argument("--no-first-step", action="store_true", help="do not time first steps")
    parser.add_argument("--first-step", action="store_true", help="only time the first step; prints seconds")
    parser.add_argument("--set", dest="settings", nargs="*", default=[], metavar="PATH=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
