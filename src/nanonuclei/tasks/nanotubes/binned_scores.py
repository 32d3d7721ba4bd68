"""Scores of two classes counted up in bins, so that curves and areas of many images come from sums over images.

The bins are equal in ``log(s / (1 - s))``, which tells scores near 0 and 1 apart as well as those between. Areas from
bins differ from those of the scores themselves by some thousandths at most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.types import Float32Array

NUM_BINS = 128
REACH = 8.0
"""Scores beyond ``1 / (1 + exp(-+8))``, 0.0003 and 0.9997, share the first and last bin."""

Counts = NDArray[np.float64]
"""``(..., NUM_BINS)``, from the lowest score up."""


def lower_edges() -> NDArray[np.float64]:
    """Returns the least score of each bin, ``(NUM_BINS,)``, the first 0."""
    edges = 1.0 / (1.0 + np.exp(-np.linspace(-REACH, REACH, NUM_BINS + 1)[:-1]))
    edges[0] = 0.0
    return edges


def count(scores: Float32Array) -> Counts:
    """Counts scores in 0..1, ``(n,)``, per bin."""
    places = np.searchsorted(lower_edges(), scores.astype(np.float64), side="right") - 1
    return np.bincount(places, minlength=NUM_BINS).astype(np.float64)


def roc_auc(positive: Counts, negative: Counts) -> NDArray[np.float64]:
    """Returns the chance that a positive scores above a negative, a tie counting half; NaN where a class is empty."""
    below = np.cumsum(negative, axis=-1) - negative
    wins = (positive * (below + 0.5 * negative)).sum(axis=-1)
    return _ratio(wins, positive.sum(axis=-1) * negative.sum(axis=-1))


def pr_auc(positive: Counts, negative: Counts) -> NDArray[np.float64]:
    """Returns the average precision: precision at each bin times its step of recall; NaN without positives.

    As `sklearn.metrics.average_precision_score` does for scores that are the bins' own. Its baseline is the share of
    positives.
    """
    found, claimed = _above(positive), _above(positive) + _above(negative)
    precision = np.divide(found, claimed, out=np.zeros_like(claimed), where=claimed > 0)
    return _ratio((precision * positive).sum(axis=-1), positive.sum(axis=-1))


def precision_recall(positive: Counts, negative: Counts) -> tuple[Counts, Counts]:
    """Returns precision and recall of the scores in or above each bin; NaN where nothing is claimed or positive."""
    found = _above(positive)
    return _ratio(found, found + _above(negative)), _ratio(found, positive.sum(axis=-1, keepdims=True))


def best_threshold(positive: Counts, negative: Counts) -> float:
    """Returns the threshold of the highest F1, a bin's lower edge, the middle one of several; 0.5 without positives."""
    found = _above(positive)
    claimed = found + _above(negative)
    if not positive.sum():
        return 0.5
    scores = 2.0 * found / (claimed + positive.sum())
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    return float(lower_edges()[best[len(best) // 2]])


def _above(counts: Counts) -> Counts:
    return np.asarray(np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1], np.float64)


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.asarray(np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0), np.float64)
