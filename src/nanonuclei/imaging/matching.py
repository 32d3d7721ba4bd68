"""How well predicted objects agree with true ones: IoU matching and its ratios, under the names of `stardist.matching`.

The definition is that of StarDist 0.9.1, `matching.py` (Schmidt et al. 2018, arXiv 1806.03535), criterion IoU: the
one-to-one pairs that first maximise how many have IoU >= threshold, then the sum of all IoUs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from nanonuclei.errors import ConfigError, DataError
from nanonuclei.imaging.instances import sequential
from nanonuclei.imaging.types import Labels

_RATIOS = ("precision", "recall", "accuracy", "f1", "mean_true_score", "mean_matched_score", "panoptic_quality")


@dataclass(frozen=True)
class Matching:
    """Agreement of two label images, or of a dataset of them, at one IoU threshold.

    Attributes:
        thresh: A pair matches where IoU >= thresh.
        fp: Predicted objects without a match.
        tp: Matched pairs.
        fn: True objects without a match.
        precision: tp / (tp + fp).
        recall: tp / (tp + fn).
        accuracy: tp / (tp + fp + fn), called AP at this threshold elsewhere.
        f1: 2 tp / (2 tp + fp + fn).
        n_true: True objects.
        n_pred: Predicted objects.
        mean_true_score: Sum of matched IoUs / n_true.
        mean_matched_score: Sum of matched IoUs / tp.
        panoptic_quality: Sum of matched IoUs / (tp + fp/2 + fn/2), Kirillov et al. 2019, eq. 1.
    """

    thresh: float
    fp: int
    tp: int
    fn: int
    precision: float
    recall: float
    accuracy: float
    f1: float
    n_true: int
    n_pred: int
    mean_true_score: float
    mean_matched_score: float
    panoptic_quality: float


@dataclass(frozen=True)
class MatchCounts:
    """What all ratios are made of, at T thresholds. Counts add up over images: ``sum(counts[1:], counts[0])``.

    Attributes:
        thresholds: The T IoU thresholds, in the order asked for.
        tp: ``(T,)`` int64, matched pairs.
        fp: ``(T,)`` int64, predicted objects without a match.
        fn: ``(T,)`` int64, true objects without a match.
        iou_sum: ``(T,)`` float64, sum of the IoUs of the matched pairs.
        n_true: True objects.
        n_pred: Predicted objects.
    """

    thresholds: tuple[float, ...]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]
    iou_sum: NDArray[np.float64]
    n_true: int
    n_pred: int

    def __add__(self, other: MatchCounts) -> MatchCounts:
        """Adds the counts of another image at the same thresholds.

        Raises:
            ConfigError: The thresholds differ.
        """
        if self.thresholds != other.thresholds:
            raise ConfigError(
                f"counts add up at equal thresholds only, got {self.thresholds} and {other.thresholds}. "
                f"Count all images at the same thresholds"
            )
        return MatchCounts(
            self.thresholds,
            self.tp + other.tp,
            self.fp + other.fp,
            self.fn + other.fn,
            self.iou_sum + other.iou_sum,
            self.n_true + other.n_true,
            self.n_pred + other.n_pred,
        )

    def matchings(self) -> tuple[Matching, ...]:
        """Returns the ratios of these counts, one `Matching` per threshold; a ratio is 0 where its denominator is."""
        return tuple(
            _matching(thresh, (int(tp), int(fp), int(fn)), float(iou_sum))
            for thresh, tp, fp, fn, iou_sum in zip(
                self.thresholds, self.tp, self.fp, self.fn, self.iou_sum, strict=True
            )
        )


def match_counts(y_true: Labels, y_pred: Labels, thresholds: Iterable[float]) -> MatchCounts:
    """Matches the objects of two label images at several IoU thresholds, from one table of overlaps.

    Args:
        y_true: ``(height, width)`` integers, 0 background, labels with or without gaps.
        y_pred: The same, of the same shape.
        thresholds: IoU in 0..1 from which on a pair matches.

    Raises:
        DataError: The shapes differ, or one of the two is no label image.
        ConfigError: A threshold is outside 0..1.
    """
    thresholds = tuple(float(thresh) for thresh in thresholds)
    if not all(0.0 <= thresh <= 1.0 for thresh in thresholds):
        raise ConfigError(f"IoU thresholds must be in 0..1, got {thresholds}. Correct them")
    if y_true.shape != y_pred.shape:
        raise DataError(
            f"true and predicted labels must have one shape, got {y_true.shape} and {y_pred.shape}. "
            f"Bring the prediction back to the shape of its image"
        )
    rows, columns, ious, shape = _overlaps(y_true, y_pred)
    tp = np.zeros(len(thresholds), np.int64)
    iou_sum = np.zeros(len(thresholds), np.float64)
    for place, thresh in enumerate(thresholds):
        good = ious >= thresh
        if thresh > 0.0 and _one_to_one(rows[good], columns[good]):
            tp[place], iou_sum[place] = np.count_nonzero(good), ious[good].sum()
        elif min(shape) > 0:
            table = np.zeros(shape, np.float64)
            table[rows, columns] = ious
            tp[place], iou_sum[place] = _assign(table, thresh)
    return MatchCounts(thresholds, tp, shape[1] - tp, shape[0] - tp, iou_sum, *shape)


def is_matched(y_true: Labels, y_pred: Labels) -> NDArray[np.bool_]:
    """Tells of each predicted object, in the order of the labels, whether its IoU with a true one is above 0.5.

    Above 0.5 no two objects can claim the same true one, so every such object is a true positive on its own.
    """
    _, columns, ious, (_, n_pred) = _overlaps(y_true, y_pred)
    matched = np.zeros(n_pred, np.bool_)
    matched[columns[ious > 0.5]] = True
    return matched


@overload
def matching(y_true: Labels, y_pred: Labels, thresh: float = 0.5) -> Matching: ...
@overload
def matching(y_true: Labels, y_pred: Labels, thresh: Iterable[float]) -> tuple[Matching, ...]: ...
def matching(y_true: Labels, y_pred: Labels, thresh: float | Iterable[float] = 0.5) -> Matching | tuple[Matching, ...]:
    """Compares two label images.

    Args:
        y_true: ``(height, width)`` integers, 0 background.
        y_pred: The same, of the same shape.
        thresh: One IoU threshold, or several.

    Returns:
        One `Matching`, or one per threshold where several were given.

    Raises:
        DataError: The shapes differ, or one of the two is no label image.
        ConfigError: A threshold is outside 0..1.
    """
    if isinstance(thresh, Iterable):
        return match_counts(y_true, y_pred, thresh).matchings()
    return match_counts(y_true, y_pred, (thresh,)).matchings()[0]


@overload
def matching_dataset(
    y_true: Sequence[Labels], y_pred: Sequence[Labels], thresh: float = 0.5, *, by_image: bool = False
) -> Matching: ...
@overload
def matching_dataset(
    y_true: Sequence[Labels], y_pred: Sequence[Labels], thresh: Iterable[float], *, by_image: bool = False
) -> tuple[Matching, ...]: ...
def matching_dataset(
    y_true: Sequence[Labels],
    y_pred: Sequence[Labels],
    thresh: float | Iterable[float] = 0.5,
    *,
    by_image: bool = False,
) -> Matching | tuple[Matching, ...]:
    """Compares the label images of a dataset pair by pair.

    Args:
        y_true: Label images, each ``(height, width)`` integers.
        y_pred: As many, each of the shape of its partner.
        thresh: One IoU threshold, or several.
        by_image: False pools: counts are summed over the images, then every ratio is taken once. True takes the ratios
            per image and then their mean, in which an image without any object in truth and prediction counts 0. Counts
            are sums in both cases.

    Returns:
        One `Matching`, or one per threshold where several were given.

    Raises:
        DataError: No images, unequal numbers of them, or a pair that does not fit together.
        ConfigError: A threshold is outside 0..1.
    """
    if len(y_true) != len(y_pred) or not y_true:
        raise DataError(
            f"a dataset is scored on one or more pairs, got {len(y_true)} true and {len(y_pred)} predicted label "
            f"images. Predict every image once"
        )
    thresholds = tuple(thresh) if isinstance(thresh, Iterable) else (thresh,)
    counts = [match_counts(true, pred, thresholds) for true, pred in zip(y_true, y_pred, strict=True)]
    results = sum(counts[1:], counts[0]).matchings()
    if by_image:
        images = [image.matchings() for image in counts]
        results = tuple(
            _mean_ratios(pooled, [image[place] for image in images]) for place, pooled in enumerate(results)
        )
    return results if isinstance(thresh, Iterable) else results[0]


def _matching(thresh: float, counts: tuple[int, int, int], iou_sum: float) -> Matching:
    tp, fp, fn = counts
    return Matching(
        thresh=thresh,
        fp=fp,
        tp=tp,
        fn=fn,
        precision=_ratio(tp, tp + fp),
        recall=_ratio(tp, tp + fn),
        accuracy=_ratio(tp, tp + fp + fn),
        f1=_ratio(2 * tp, 2 * tp + fp + fn),
        n_true=tp + fn,
        n_pred=tp + fp,
        mean_true_score=_ratio(iou_sum, tp + fn),
        mean_matched_score=_ratio(iou_sum, tp),
        panoptic_quality=_ratio(iou_sum, tp + fp / 2 + fn / 2),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _mean_ratios(pooled: Matching, images: Sequence[Matching]) -> Matching:
    # one after the other, as StarDist adds them, for the same last digit
    means: dict[str, Any] = {name: sum(getattr(image, name) for image in images) / len(images) for name in _RATIOS}
    return replace(pooled, **means)


def _overlaps(
    y_true: Labels, y_pred: Labels
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], tuple[int, int]]:
    """Returns rows, columns and IoUs of the pairs of objects that share a pixel, and the numbers of objects."""
    true, n_true = sequential(y_true)
    pred, n_pred = sequential(y_pred)
    true_flat, pred_flat = true.ravel(), pred.ravel()
    true_areas = np.bincount(true_flat, minlength=n_true + 1)
    pred_areas = np.bincount(pred_flat, minlength=n_pred + 1)
    width = n_pred + 1
    if (n_true + 1) * width <= max(4 * true.size, 1 << 16):  # a table that is cheaper than sorting the pixels
        counts = np.bincount(true_flat * np.int64(width) + pred_flat, minlength=(n_true + 1) * width)
        pairs = np.flatnonzero(counts)
        shared = counts[pairs]
    else:
        pairs, shared = np.unique(true_flat * np.int64(width) + pred_flat, return_counts=True)
    rows, columns = np.divmod(pairs, width)
    objects = (rows > 0) & (columns > 0)
    rows, columns, shared = rows[objects], columns[objects], shared[objects]
    ious = shared / (true_areas[rows] + pred_areas[columns] - shared)
    return rows - 1, columns - 1, ious, (n_true, n_pred)


def _one_to_one(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> bool:
    """Whether no object is in two of these pairs.

    Then they are the matches: the assignment maximises their number first, and all of them fit into one assignment.
    Above IoU 0.5 it always holds: of two objects without a common pixel, only one can hold over half of a third.
    """
    return len(set(rows.tolist())) == len(rows) and len(set(columns.tolist())) == len(columns)


def _assign(ious: NDArray[np.float64], thresh: float) -> tuple[int, float]:
    """Returns the number of matches and the sum of their IoUs by an optimal assignment over ``(n_true, n_pred)``."""
    good = ious >= thresh
    rows, columns = linear_sum_assignment(-good.astype(np.float64) - ious / (2 * min(ious.shape)))
    matched = good[rows, columns]
    return int(np.count_nonzero(matched)), float(ious[rows, columns][matched].sum())
