"""Does `correct` show the images first that need it most: errors found in the first half of its order, against chance.

    PYTHONPATH=src python benchmarks/correction_order.py PREPARED [--model nuclei] [--split val]

PREPARED is a folder of prepared images, whose truth is known. An error is a nucleus that is missed or wrongly found, at
IoU 0.5. Chance is the share of errors in half of the images, drawn at random 10,000 times: its mean and its 97.5th
percentile. The same is told of the share of wrong nuclei per image, so that images with many nuclei do not decide.
Beside the order of `correct`, by the mean score, stand two others: by the pixels whose score is within 0.2 of the
threshold, as a share of the foreground, and by the sum of what the scores lack to 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from nanonuclei.data.catalog import load_catalog
from nanonuclei.imaging.matching import match_counts
from nanonuclei.imaging.postprocess import foreground_of
from nanonuclei.serving.named import open_model
from nanonuclei.stages.correct.correct import Predicted, ranked
from nanonuclei.stages.places import PARAMS
from nanonuclei.tasks import create_reader

DRAWS = 10_000
NEAR = 0.2
"""Difference to the threshold below which a pixel is uncertain."""


def main() -> None:
    """Runs the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--split", default="val")
    options = parser.parse_args()
    opened = open_model(options.model, missing_from=PARAMS)
    reader = create_reader(opened.config)
    predicted, errors, shares = [], {}, {}
    near: dict[str, float] = {}
    for sample in load_catalog(options.prepared).split(options.split):
        labels = sample.labels()
        score_map = next(iter(reader.score_maps(opened.network, [reader.network_input(sample.image())])))
        found = reader.instances(score_map, labels.shape)
        counts = match_counts(labels, found.pixels(), (0.5,))
        errors[sample.sample_id] = int(counts.fp[0] + counts.fn[0])
        shares[sample.sample_id] = errors[sample.sample_id] / max(1, counts.n_true + int(counts.fp[0]))
        score, threshold = foreground_of(reader.classes(score_map)), opened.config.instances.threshold
        near[sample.sample_id] = np.mean(np.abs(score - threshold) < NEAR) / max(np.mean(score >= threshold), 1e-9)
        predicted.append(Predicted(sample.sample_id, tuple(found.scores.tolist())))
    lacking = {one.name: sum(1.0 - score for score in one.scores) for one in predicted}
    orders = {
        "mean score": [one.name for one in ranked(predicted)],
        "pixels near the threshold": sorted(near, key=lambda name: -near[name]),
        "sum over the nuclei": sorted(lacking, key=lambda name: -lacking[name]),
    }
    half = len(predicted) // 2
    print(f"{len(predicted)} images, {sum(errors.values())} errors; of them in the first half of the order:")
    for what, values in (("errors", errors), ("share of wrong nuclei", shares)):
        rng, numbers = np.random.default_rng(0), np.array(list(values.values()), np.float64)
        chance = [rng.permutation(numbers)[:half].sum() / numbers.sum() for _ in range(DRAWS)]
        print(f"{what}, at random: {np.mean(chance):.3f}, at most {np.percentile(chance, 97.5):.3f} in 97.5 % of draws")
        for name, order in orders.items():
            print(f"{what}, {name}: {sum(values[one] for one in order[:half]) / numbers.sum():.3f}")


if __name__ == "__main__":
    main()
