"""The score of the nuclei task: what one image adds to it, and metrics from the sums over images. No Keras."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.matching import MatchCounts, match_counts
from nanonuclei.imaging.postprocess import foreground_of
from nanonuclei.imaging.types import Float32Array, Labels
from nanonuclei.tasks.values import Statistics

THRESHOLDS = (0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90, 0.95)
"""IoU thresholds of the competition; the mean over every second one, 0.5:0.1:0.9, is StarDist's."""

ABOVE = 1e-6
"""The competition matches where IoU > t. No two objects of less than 50,000 px have an IoU this near to a threshold
without being at it."""

EPSILON = 1e-7
"""Scores are kept this far from 0 and 1 in the cross-entropy, as Keras does."""


METRIC_NAMES = {
    "accuracy": "pixel accuracy",
    "binary_crossentropy": "binary cross-entropy",
    "iou": "foreground IoU",
    "dice": "Dice",
    "ap50_pooled": "AP at IoU 0.5, pooled",
    "ap50_image": "AP at IoU 0.5, per image",
    "map_pooled": "mean AP 0.5:0.1:0.9",
    "map_competition": "competition score",
    "pq": "panoptic quality",
    "f1": "F1 at IoU 0.5",
    "count_error": "count error",
}
"""The metrics that tables show, in order."""

LOWER_IS_BETTER = frozenset({"loss", "binary_crossentropy", "count_error"})


def threshold_names() -> list[str]:
    """Returns the IoU thresholds as names of metrics have them: ``50``, ``55``..."""
    return [f"{round(threshold * 100)}" for threshold in THRESHOLDS]


def statistics(
    labels: Labels, score_map: Float32Array, found: Instances, *, threshold: float, loss: float
) -> Statistics:
    """Returns pixel counts, losses and match counts of one image.

    Args:
        labels: The true nuclei.
        score_map: ``(height, width, channels)``.
        found: The nuclei that were read off it, with labels.
        threshold: Score from which a pixel counts as foreground in IoU and Dice.
        loss: The training's loss on this image.
    """
    true, score = labels > 0, foreground_of(score_map)
    mask = score >= threshold
    clipped = np.clip(score, EPSILON, 1.0 - EPSILON)
    shared, either = int(np.sum(mask & true)), int(np.sum(mask | true))
    extent = int(mask.sum() + true.sum())
    counts = match_counts(labels, found.pixels(), THRESHOLDS)
    above = match_counts(labels, found.pixels(), np.add(THRESHOLDS, ABOVE))
    figures: Statistics = {
        "images": 1.0,
        "pixels": float(labels.size),
        "loss": loss,
        "accuracy": float(np.mean((score >= 0.5) == true)),
        "binary_crossentropy": float(np.mean(-np.log(np.where(true, clipped, 1.0 - clipped)))),
        "iou": shared / either if either else 1.0,
        "dice": 2 * shared / extent if extent else 1.0,
        "shared_pixels": float(shared),
        "either_pixels": float(either),
        "num_true": float(counts.n_true),
        "num_found": float(counts.n_pred),
        "count_difference": float(abs(counts.n_pred - counts.n_true)),
        "iou_sum_50": float(counts.iou_sum[0]),
        "competition": float(np.mean(_ratios(above))),
    }
    for place, name in enumerate(threshold_names()):
        figures[f"tp_{name}"] = float(counts.tp[place])
        figures[f"fp_{name}"] = float(counts.fp[place])
        figures[f"fn_{name}"] = float(counts.fn[place])
        figures[f"ap_{name}"] = float(_ratios(counts)[place])
    return figures


def score(sums: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Returns the metrics of a set of images.

    Pixel metrics are means over images (every image counts alike, as in published figures on images resized to one
    size); `iou_pooled` is over all pixels. AP is TP / (TP + FP + FN): `_pooled` from summed counts, `_image` the
    mean of each image's ratio; `stardist.matching` with `by_image` False and True. `map_competition` is the score
    of the Data Science Bowl 2018: the mean of `_image` over 0.50:0.05:0.95 with matches where IoU > t.
    """
    images = sums["images"]
    means = ("loss", "accuracy", "binary_crossentropy", "iou", "dice")
    metrics = {name: sums[name] / images for name in means}
    metrics["iou_pooled"] = _ratio(sums["shared_pixels"], sums["either_pixels"])
    names = threshold_names()
    pooled = {}
    for name in names:
        tp, fp, fn = (sums[f"{kind}_{name}"] for kind in ("tp", "fp", "fn"))
        pooled[name] = _ratio(tp, tp + fp + fn)
        metrics[f"ap{name}_pooled"] = pooled[name]
        metrics[f"ap{name}_image"] = sums[f"ap_{name}"] / images
    metrics["map_pooled"] = np.mean([pooled[name] for name in names[::2]], axis=0)
    metrics["map_image"] = np.mean([sums[f"ap_{name}"] / images for name in names[::2]], axis=0)
    metrics["map_competition"] = sums["competition"] / images
    tp, fp, fn = sums["tp_50"], sums["fp_50"], sums["fn_50"]
    metrics["precision"] = _ratio(tp, tp + fp)
    metrics["recall"] = _ratio(tp, tp + fn)
    metrics["f1"] = _ratio(2 * tp, 2 * tp + fp + fn)
    metrics["pq"] = _ratio(sums["iou_sum_50"], tp + 0.5 * fp + 0.5 * fn)
    metrics["count_error"] = _ratio(sums["count_difference"], sums["num_true"])
    return metrics


def by_threshold(per_image: pd.DataFrame) -> pd.DataFrame:
    """Returns AP, precision and recall per IoU threshold over all images, rounded to 6 digits."""
    rows = []
    for threshold, name in zip(THRESHOLDS, threshold_names(), strict=True):
        tp, fp, fn = (per_image[f"{kind}_{name}"].sum() for kind in ("tp", "fp", "fn"))
        rows.append(
            {
                "threshold": threshold,
                "ap": tp / max(tp + fp + fn, 1),
                "precision": tp / max(tp + fp, 1),
                "recall": tp / max(tp + fn, 1),
            }
        )
    return pd.DataFrame(rows).round(6)


def _ratios(counts: MatchCounts) -> NDArray[np.float64]:
    ratios: NDArray[np.float64] = counts.tp / np.maximum(counts.tp + counts.fp + counts.fn, 1)
    return ratios


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros_like(np.asarray(whole, np.float64)), where=np.asarray(whole) > 0)
