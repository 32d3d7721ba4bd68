"""Drift: how soon a server tells that its images are no longer like training, and how often it does so for nothing.

    python benchmarks/drift.py --prepared build/nuclei/prepared [--model nuclei] [--images 60]

Answers the test images as they are and changed in known ways, then draws windows of 50 of them with replacement. Prints
the table of docs/results.md.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from tabulate import tabulate

from nanonuclei.data.catalog import SampleRef, load_catalog
from nanonuclei.data.fingerprint.likeness import Features, Likeness, measure
from nanonuclei.data.fingerprint.stored import read_fingerprint
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Image
from nanonuclei.serving.live.drift import WINDOW, Drift
from nanonuclei.serving.named import OpenedModel, open_model
from nanonuclei.tasks import create_reader

Change = Callable[[Image], Image]


def gamma(power: float) -> Change:
    return lambda image: (255.0 * (image / 255.0) ** power).round().astype(np.uint8)


def gain(factor: float) -> Change:
    return lambda image: np.clip(image * factor, 0, 255).round().astype(np.uint8)


def zoom(factor: float) -> Change:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return lambda image: cv2.resize(image, None, fx=factor, fy=factor, interpolation=how)


CHANGES: dict[str, Change] = {
    "as they are": lambda image: image,
    "gamma 0.5": gamma(0.5),
    "gamma 1.5": gamma(1.5),
    "gamma 2": gamma(2.0),
    "a third of the light": gain(1 / 3),
    "half of the size": zoom(0.5),
    "1.5 times the size": zoom(1.5),
    "twice the size": zoom(2.0),
    "inverted (another modality)": lambda image: 255 - image,
}


def features_of(model: OpenedModel, samples: Sequence[SampleRef], change: Change) -> list[Features]:
    """Returns what a server notes of each image, after the model has answered it."""
    reader = create_reader(model.config)
    images = [change(sample.image()) for sample in samples]
    maps = reader.score_maps(model.network, (reader.network_input(image) for image in images))
    return [
        measure(image, boxes=reader.instances(score_map, image.shape[:2]).boxes)
        for image, score_map in zip(images, maps, strict=True)
    ]


def told_share(likeness: Likeness, pool: Sequence[Features], *, windows: int, rng: np.random.Generator) -> float:
    """Returns the share of windows of `WINDOW` images, drawn with replacement, that are told as unlike training."""
    drift, strangeness = Drift(likeness), np.array([likeness.strangeness(features) for features in pool])
    means = strangeness[rng.integers(0, len(pool), (windows, WINDOW))].mean(axis=1)
    return float((means >= drift.limit).mean())


def images_until_told(likeness: Likeness, pool: Sequence[Features], *, repeats: int, rng: np.random.Generator) -> float:
    """Returns the median number of images until a new server tells; infinite where it does not within a window."""
    found = []
    for _ in range(repeats):
        drift = Drift(likeness)
        for count in itertools.count(1):
            drift.add(pool[int(rng.integers(len(pool)))])
            if drift.state().told or count == WINDOW:
                found.append(count if drift.state().told else np.inf)
                break
    return float(np.median(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--images", type=int, default=60, help="test images that are changed")
    options = parser.parse_args()
    model, catalog = open_model(options.model), load_catalog(options.prepared)
    fingerprint = read_fingerprint(model.named.folder)
    if fingerprint is None or fingerprint.likeness is None:
        raise DataError(f"{options.model} must tell what its training images look like, but does not. Train it anew")
    likeness = fingerprint.likeness
    rng, rows = np.random.default_rng(0), []
    tested = catalog.split("test")
    for name, change in CHANGES.items():
        samples = (
            tested if not rows else tuple(tested[place] for place in rng.permutation(len(tested))[: options.images])
        )
        pool = features_of(model, samples, change)
        mean = float(np.mean([likeness.strangeness(features) for features in pool]))
        share = told_share(likeness, pool, windows=100_000, rng=rng)
        until = images_until_told(likeness, pool, repeats=50, rng=rng)
        rows.append([name, len(pool), mean, share, until, likeness.difference(pool) if rows else ""])
        if not rows[1:]:
            kinds = sorted({sample.modality for sample in samples})
            for kind in kinds:
                part = [row for row, sample in zip(pool, samples, strict=True) if sample.modality == kind]
                share = told_share(likeness, part, windows=100_000, rng=rng)
                mean = float(np.mean([likeness.strangeness(features) for features in part]))
                rows.append([f"as they are, {kind} only", len(part), mean, share, np.inf, ""])
    head = ["test images", "images", "mean strangeness", "windows told", "images until told", "said"]
    print(tabulate(rows, head, tablefmt="github", floatfmt=("", "", ".2f", ".5f", ".0f", "")))


if __name__ == "__main__":
    main()
