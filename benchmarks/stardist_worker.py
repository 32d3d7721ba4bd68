"""Trains StarDist for a given time and predicts: runs in the environment that `stardist_peer.py` makes for it.

    python stardist_worker.py FOLDER

`FOLDER/manifest.json` names the images and label maps of each split, the minutes and the seed; labels of the test
images, times and thresholds are written beside it. Where there is no manifest, `FOLDER/pairs.npz` holds label images to
compare, and what `stardist.matching` says of them is written. Nothing of Nanonuclei is imported here.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from csbdeep.utils import normalize
from skimage.io import imread
from stardist import fill_label_holes
from stardist.matching import matching, matching_dataset
from stardist.models import Config2D, StarDist2D

CHECKED = (0.1, 0.3, 0.5, 0.6, 0.75, 0.9, 1.0)
"""IoU thresholds at which matchings are compared; the caller takes the same."""

NAME = "stardist"

STEPS = 100
"""Batches per epoch."""


class Deadline(keras.callbacks.Callback):
    """Ends a training when its time is over, and knows how long it took."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.steps = 0

    def on_train_begin(self, logs: object = None) -> None:
        self.started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.steps += 1

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        taken = time.perf_counter() - self.started
        if taken + taken / (epoch + 1) > self.seconds:  # the next epoch would end too late
            self.model.stop_training = True
        self.taken = taken


def augment(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flips, turns, changes of brightness and noise: the augmentation of StarDist's own training example."""
    turns, flip = np.random.randint(4), np.random.rand() < 0.5
    image, labels = np.rot90(image, turns), np.rot90(labels, turns)
    if flip:
        image, labels = image[:, ::-1], labels[:, ::-1]
    image = image * np.random.uniform(0.6, 2.0) + np.random.uniform(-0.2, 0.2)
    return image + 0.02 * np.random.uniform(0, 1) * np.random.normal(0, 1, image.shape), labels


def grey(path: str) -> np.ndarray:
    """Reads an image whose channels are equal, as those of fluorescence images are."""
    image = imread(path)
    return image if image.ndim == 2 else image[..., 0]


def read(pairs: list[list[str]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Reads grey images, their percentiles 1 and 99.8 at 0 and 1, and label maps without holes."""
    images = [normalize(grey(image), 1, 99.8) for image, _ in pairs]
    labels = [fill_label_holes(imread(labels).astype(np.int32)) for _, labels in pairs]
    return images, labels


def check(folder: Path) -> None:
    """Writes what `stardist.matching` says of pairs of label images."""
    with np.load(folder / "pairs.npz") as stored:
        count = len(stored.files) // 2
        true, pred = ([stored[f"{number}-{kind}"] for number in range(count)] for kind in ("true", "pred"))
    results = {
        "single": [matching(*pair, thresh=t) for pair in zip(true, pred, strict=True) for t in CHECKED],
        "pooled": matching_dataset(true, pred, thresh=CHECKED, show_progress=False),
        "by_image": matching_dataset(true, pred, thresh=CHECKED, by_image=True, show_progress=False),
    }
    chosen = ("tp", "fp", "fn", "n_true", "n_pred", "precision", "recall", "accuracy", "f1")
    chosen += ("mean_true_score", "mean_matched_score", "panoptic_quality")
    plain = {
        name: [{key: float(getattr(row, key)) for key in chosen} for row in rows] for name, rows in results.items()
    }
    (folder / "matching.json").write_text(json.dumps(plain))


def main(folder: Path) -> None:
    """Trains and tunes the thresholds, unless that was done before; predicts the test images."""
    manifest = json.loads((folder / "manifest.json").read_text())
    if not (folder / "result.json").exists():
        train(folder, manifest)
    predict(folder, manifest)


def train(folder: Path, manifest: dict[str, Any]) -> None:
    """Trains for the given time, and tunes the thresholds."""
    keras.utils.set_random_seed(manifest["seed"])
    epochs = manifest["epochs"]
    config = Config2D(
        n_rays=32,
        grid=(2, 2),
        n_channel_in=1,
        train_patch_size=(256, 256),
        train_batch_size=4,
        train_epochs=epochs,
        train_steps_per_epoch=STEPS,
        train_learning_rate=3e-4,
        train_reduce_lr={"factor": 0.5, "patience": max(1, epochs // 10), "min_delta": 0},
        train_tensorboard=False,
    )
    model = StarDist2D(config, name=NAME, basedir=str(folder))
    model.prepare_for_training()
    deadline = Deadline(60 * manifest["minutes"])
    model.callbacks.append(deadline)
    images, val = read(manifest["train"]), read(manifest["val"])
    model.train(*images, validation_data=val, augmenter=augment, seed=manifest["seed"])
    started = time.perf_counter()
    thresholds = model.optimize_thresholds(*val)
    result = {
        "steps": deadline.steps,
        "train_seconds": deadline.taken,
        "tuning_seconds": time.perf_counter() - started,
        "thresholds": {name: float(value) for name, value in thresholds.items()},
        "parameters": int(model.keras_model.count_params()),
    }
    (folder / "result.json").write_text(json.dumps(result, indent=2))


def predict(folder: Path, manifest: dict[str, Any]) -> None:
    """Predicts the test images, one after the other, and writes labels and speed."""
    model = StarDist2D(None, name=NAME, basedir=str(folder))
    images = [grey(image) for image, _ in manifest["test"]]
    for shape in {image.shape for image in images}:  # compiled before the clock runs
        model.predict_instances(np.zeros(shape, np.float32))
    found, seconds = [], []
    for image in images:
        started = time.perf_counter()
        labels, _ = model.predict_instances(normalize(image, 1, 99.8))
        seconds.append(time.perf_counter() - started)
        found.append(labels.astype(np.int32))
    np.savez_compressed(folder / "labels.npz", *found)
    speed = {"seconds_per_megapixel": sum(seconds) / sum(image.size for image in images) * 1e6}
    (folder / "speed.json").write_text(json.dumps(speed))


if __name__ == "__main__":
    given = Path(sys.argv[1])
    (main if (given / "manifest.json").exists() else check)(given)
