"""Trains without MLflow and DVC, where there is only Keras: on a lent GPU, say, with JAX and no network.

    PYTHONPATH=src KERAS_BACKEND=jax python benchmarks/train_here.py PREPARED OUT --recipe recipes/nuclei.yaml
    PYTHONPATH=src python benchmarks/train_here.py PREPARED OUT --task nanotubes --recipe recipes/nanotubes.yaml

PREPARED is a folder of prepared images as the prepare stage writes it. OUT receives the network's weights
(`weights-N.npz`, parts of at most 14 MB, in the order of `model.get_weights()`), the config, and the history of the
training. A training that was cut off goes on from the state that lies in `--workdir`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

PART_BYTES = 14_000_000
"""Weights are written in parts of at most this size."""

MOST_EPOCHS = 1000
"""Epochs of a training that ends by the clock."""

WARM_UP = 0.2
"""Share of the learning rate that the first epoch gets."""

LAST_RATE = 0.01
"""Share of the learning rate at the end of the cosine."""


def main() -> None:
    """Trains and writes what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--task", default="nuclei", help="%(default)s")
    parser.add_argument("--recipe", type=Path)
    parser.add_argument("--set", dest="settings", nargs="*", default=[])
    parser.add_argument("--workdir", type=Path, default=Path("scratch/train-here"))
    parser.add_argument("--budget", type=float, default=0.0, help="seconds; the training ends by the clock")
    parser.add_argument("--leave-out", type=Path, help="a text file: ids of samples that are not trained on")
    words = parser.parse_args()
    started = time.time()

    from nanonuclei.config.params import load_experiment, parse_settings, to_yaml, with_settings
    from nanonuclei.config.recipes import load_recipe
    from nanonuclei.data.catalog import load_catalog
    from nanonuclei.engine.train import fit
    from nanonuclei.tasks import create_task

    catalog = load_catalog(words.prepared)
    settings = {"data.dataset": catalog.name, "train.tensorboard": False}
    if words.recipe:
        settings |= load_recipe(words.recipe)
    settings |= parse_settings(words.settings)
    config = load_experiment(words.task, path=Path("params.yaml"), settings=settings)
    train, val = catalog.split("train"), catalog.split("val")
    if words.leave_out:
        left_out = set(words.leave_out.read_text(encoding="utf-8").split())
        train = tuple(sample for sample in train if sample.sample_id not in left_out)
    words.out.mkdir(parents=True, exist_ok=True)
    if words.budget:
        config = with_settings(config, {"train.schedule": "constant", "train.epochs": MOST_EPOCHS})
    (words.out / "config.yaml").write_text(to_yaml(config), encoding="utf-8")

    def tell(epoch: int, metrics: object) -> None:
        shown = {name: round(float(value), 4) for name, value in dict(metrics).items()}  # type: ignore[call-overload]
        print(f"{time.time() - started:.1f} s epoch {epoch} {shown}", flush=True)

    print(
        f"{time.time() - started:.1f} s to start, {len(train)} training images, {len(val)} for validation", flush=True
    )
    clock = [by_the_clock(started + words.budget, rate=config.train.learning_rate)] if words.budget else []
    result = fit(create_task(config), train, val, workdir=words.workdir, on_epoch=tell, callbacks=clock)
    print(f"fit took {result.seconds:.1f} s on {result.hardware}", flush=True)
    write_weights(result.model.get_weights(), words.out)
    (words.out / "history.json").write_text(
        json.dumps({"seconds": result.seconds, "hardware": vars(result.hardware), "history": result.history}),
        encoding="utf-8",
    )


def by_the_clock(end: float, *, rate: float) -> Any:
    """Returns a callback that lets the rate fall along a cosine until `end`, epoch by epoch, and stops there.

    Args:
        end: Seconds since 1970.
        rate: The highest learning rate, of the second epoch.
    """
    import keras

    class ByTheClock(keras.callbacks.Callback):
        first: float | None = None
        took = 0.0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.began = time.time()
            if epoch > 0 and self.first is None:  # a training that goes on has its first epoch behind it
                self.first = self.began
            first = self.began if self.first is None else self.first
            part = min(1.0, (self.began - first) / max(1.0, end - self.took - first))
            share = WARM_UP if epoch == 0 else LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * part)) / 2
            self.model.optimizer.learning_rate = rate * share

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.took = time.time() - self.began
            if time.time() + 1.1 * self.took > end:
                self.model.stop_training = True

    return ByTheClock()


def write_weights(weights: list[np.ndarray], folder: Path) -> None:
    """Writes arrays in parts of at most `PART_BYTES`, named by their place."""
    part: dict[str, np.ndarray] = {}
    number = 0
    for place, array in enumerate(weights):
        if part and sum(a.nbytes for a in part.values()) + array.nbytes > PART_BYTES:
            np.savez(folder / f"weights-{number}.npz", **part)
            part, number = {}, number + 1
        part[f"{place:04}"] = np.asarray(array)
    np.savez(folder / f"weights-{number}.npz", **part)


if __name__ == "__main__":
    main()
