"""The score of the nanotubes task: windows, candidates and counts, and metrics from their sums. No Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from nanonuclei.imaging.instances import Instances
from nanonuclei.tasks.nanotubes import binned_scores
from nanonuclei.tasks.nanotubes.lines.candidates import Candidate, to_instances
from nanonuclei.tasks.nanotubes.lines.matching import LineMatches, match_lines
from nanonuclei.tasks.nanotubes.sources.samples import TubeTruth
from nanonuclei.tasks.values import Statistics

AGREEMENT = 1.96
"""Standard deviations of the differences within the limits of agreement (Bland and Altman 1986, Lancet 327, 307)."""

DOUBTFUL = 4.0
"""Distance within which a candidate lies on a doubtful nanotube, px: ends and bends are marked no better."""

BINS = {kind: [f"{kind}_windows_{place:03}" for place in range(binned_scores.NUM_BINS)] for kind in ("with", "without")}
"""Statistics that count windows with and without nanotubes per bin of scores."""

METRIC_NAMES = {
    "window_pr_auc": "area under precision-recall of windows",
    "window_roc_auc": "area under ROC of windows",
    "window_baseline": "share of positive windows",
    "window_accuracy": "accuracy of windows",
    "object_precision": "precision of nanotubes",
    "object_recall": "recall of nanotubes",
    "object_f1": "F1 of nanotubes",
    "false_alarms": "false candidates per megapixel",
    "count_error": "count error",
    "tcr_error": "error of nanotubes per cell",
    "tcr_bias": "bias of nanotubes per cell",
    "tcr_limit_below": "lower limit of agreement",
    "tcr_limit_above": "upper limit of agreement",
}
"""The metrics that tables show, in order."""

LOWER_IS_BETTER = frozenset({"false_alarms", "count_error", "tcr_error"})


def score(sums: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Returns the metrics of a set of images; NaN where one has no meaning, such as recall without nanotubes.

    Of windows: areas under the curves, the share of positives, which is the baseline of the one over precision and
    recall, and accuracy at the threshold. Of candidates against true lines: counts summed over images. Of counts:
    nanotubes per cell, TCR, over all cells of all images, and limits of agreement of the images' own.
    """
    positive, negative = bins_of(sums)
    windows = sums["positive_windows"] + sums["negative_windows"]
    tp, fp, fn = sums["tp"], sums["fp"], sums["fn"]
    mean = _ratio(sums["tcr_difference"], sums["tcr_images"])
    spread = _ratio(sums["tcr_square"], sums["tcr_images"]) - mean**2
    deviation = np.sqrt(np.maximum(spread, 0.0) * _ratio(sums["tcr_images"], np.maximum(sums["tcr_images"] - 1, 1)))
    true_tcr = _ratio(sums["tcr_num_true"], sums["tcr_true_cells"])
    return {
        "window_pr_auc": binned_scores.pr_auc(positive, negative),
        "window_roc_auc": binned_scores.roc_auc(positive, negative),
        "window_baseline": _ratio(sums["positive_windows"], windows),
        "window_accuracy": _ratio(sums["right_windows"], windows),
        "object_precision": _ratio(tp, tp + fp),
        "object_recall": _ratio(tp, tp + fn),
        "object_f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "false_alarms": _ratio(fp, sums["megapixels"]),
        "count_error": _ratio(sums["count_difference"], sums["num_true"]),
        "tcr_true": true_tcr,
        "tcr_found": _ratio(sums["tcr_num_found"], sums["tcr_found_cells"]),
        "tcr_error": _ratio(np.abs(_ratio(sums["tcr_num_found"], sums["tcr_found_cells"]) - true_tcr), true_tcr),
        "tcr_bias": mean,
        "tcr_limit_below": mean - AGREEMENT * deviation,
        "tcr_limit_above": mean + AGREEMENT * deviation,
    }


def window_statistics(labels: NDArray[np.int8], scores: NDArray[np.float32], *, threshold: float) -> Statistics:
    """Counts windows: of both classes, rightly told apart, and per bin of scores.

    Args:
        labels: Per window 1 positive, 0 negative, -1 left out.
        scores: Per window.
        threshold: Score from which a window counts as positive.
    """
    positive, negative = scores[labels == 1], scores[labels == 0]
    figures = {
        "positive_windows": float(len(positive)),
        "negative_windows": float(len(negative)),
        "right_windows": float(np.count_nonzero(positive >= threshold) + np.count_nonzero(negative < threshold)),
    }
    for kind, part in (("with", positive), ("without", negative)):
        figures |= dict(zip(BINS[kind], binned_scores.count(part).tolist(), strict=True))
    return figures


def match(truth: TubeTruth, found: Sequence[Candidate]) -> tuple[NDArray[np.bool_], int]:
    """Returns which candidates have a nanotube of their own, and how many nanotubes there are.

    A candidate has a line where it covers at least half of it, and a box where at least half of it lies in the box.
    """
    shape = (truth.labels.shape[0], truth.labels.shape[1])
    if truth.kind == "mask":
        matches: LineMatches = match_lines(truth.lines, to_instances(found, shape))
        return matches.hits, matches.num_true
    if truth.kind == "boxes":
        boxes = Instances(np.rint(truth.boxes).astype(np.int32), np.ones(len(truth.boxes), np.float32), None)
        matches = match_lines([candidate.line for candidate in found], boxes)
        hits = np.zeros(len(found), bool)
        hits[matches.true[matches.true >= 0]] = True
        return hits, len(truth.boxes)
    return np.zeros(len(found), bool), 0


def counted(truth: TubeTruth, found: Sequence[Candidate], hits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns which candidates count: all but those without a nanotube of their own that lie on a doubtful one.

    A candidate lies on it where at least half of its points are within `DOUBTFUL` px of doubtful lines.
    """
    if not truth.doubtful or not found:
        return np.ones(len(found), bool)
    tree = scipy.spatial.KDTree(np.concatenate([line.points for line in truth.doubtful]))
    near = [np.mean(tree.query(one.line.points, distance_upper_bound=DOUBTFUL)[0] <= DOUBTFUL) >= 0.5 for one in found]
    return np.asarray(hits | ~np.array(near), bool)


def line_statistics(hits: NDArray[np.bool_], num_true: int) -> Statistics:
    """Counts candidates that have a nanotube of their own, candidates that have none, and nanotubes without one."""
    tp = float(np.count_nonzero(hits))
    return {"tp": tp, "fp": float(len(hits)) - tp, "fn": num_true - tp}


def count_statistics(truth: TubeTruth, *, num_true: int, num_found: int, num_cells: int) -> Statistics:
    """Counts nanotubes and cells; TCR, nanotubes per cell, only where the true number of cells is known."""
    known = truth.kind != "patch" and bool(truth.num_cells)
    true_cells, found_cells = (truth.num_cells or 0) * known, num_cells * known
    difference = num_found / max(found_cells, 1) - num_true / max(true_cells, 1) if known else 0.0
    return {
        "num_true": float(num_true),
        "num_found": float(num_found),
        "num_cells": float(num_cells),
        "count_difference": float(abs(num_found - num_true)) if truth.kind != "patch" else 0.0,
        "tcr_images": float(known),
        "tcr_num_true": float(num_true * known),
        "tcr_num_found": float(num_found * known),
        "tcr_true_cells": float(true_cells),
        "tcr_found_cells": float(found_cells),
        "tcr_difference": float(difference),
        "tcr_square": float(difference**2),
    }


def bins_of(sums: Mapping[str, NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns counts of windows with and without nanotubes per bin of scores, ``(..., bins)`` each."""
    positive, negative = (np.stack([sums[name] for name in BINS[kind]], axis=-1) for kind in ("with", "without"))
    return positive, negative


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    whole = np.asarray(whole, np.float64)
    ratio: NDArray[np.float64] = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return ratio
