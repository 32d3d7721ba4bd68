"""How well found objects agree with true lines such as nanotubes: coverage, one-to-one matches, precision and recall.

A true line counts as found where one candidate covers at least half of it. Thin lines hardly overlap by area, so that
the IoU of `matching.py` would ask for more than an expert's line can give.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanonuclei.errors import ConfigError, DataError
from nanonuclei.imaging.instances import Instances
from nanonuclei.tasks.nanotubes.lines.line import Line, pixels_near

_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class LineCounts:
    """What precision and recall are made of. Counts add up over images.

    Attributes:
        tp: True lines with a candidate of their own.
        fp: Candidates without a true line of their own.
        fn: True lines without a candidate of their own.
    """

    tp: int
    fp: int
    fn: int

    def __add__(self, other: LineCounts) -> LineCounts:
        """Adds the counts of another image."""
        return LineCounts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def precision(self) -> float:
        """Right candidates, tp / (tp + fp). Without candidates it is 1 where there was nothing to find, else 0."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else float(self.fn == 0)

    @property
    def recall(self) -> float:
        """Found lines, tp / (tp + fn). Without true lines it is 1 where nothing was claimed, else 0."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else float(self.fp == 0)

    @property
    def f1(self) -> float:
        """Harmonic mean, 2 tp / (2 tp + fp + fn). It is 1 where there was nothing to find and nothing was claimed."""
        claims = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / claims if claims else 1.0


@dataclass(frozen=True)
class LineMatches:
    """The candidates of one image against its true lines.

    Attributes:
        scores: ``(n,)`` float32, of the candidates, in their order.
        hits: ``(n,)`` bool. Of the candidates at or above any score, as many are hits as can be matched one to one.
        true: ``(n,)`` int32, index of the line that a candidate is matched to when all take part, -1 without one.
        num_true: True lines.
        num_splits: Lines without a match that candidates cover together.
        num_doubles: Candidates without a match that cover a line: another one has it.
        num_merges: Lines without a match that one candidate covers: it is matched to another line.
    """

    scores: NDArray[np.float32]
    hits: _Mask
    true: NDArray[np.int32]
    num_true: int
    num_splits: int
    num_doubles: int
    num_merges: int

    def counts(self, threshold: float = 0.0) -> LineCounts:
        """Returns the counts over candidates whose score is at or above a threshold."""
        kept = self.scores >= np.float32(threshold)
        tp = int(np.count_nonzero(self.hits & kept))
        return LineCounts(tp, int(np.count_nonzero(kept)) - tp, self.num_true - tp)


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall over all thresholds, from the highest score down.

    Attributes:
        thresholds: ``(k,)`` float64, the scores that occur, descending.
        precision: ``(k,)`` float64, of the candidates at or above the threshold.
        recall: ``(k,)`` float64, ascending.
        f1: ``(k,)`` float64.
        average_precision: Sum of precision times the step of recall, without interpolation, in 0..1: its baseline is
            not the share of positives, as it is for windows, but 0.
    """

    thresholds: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    average_precision: float


def match_lines(true: Sequence[Line], found: Instances, *, least: float = 0.5, tolerance: float = 2.0) -> LineMatches:
    """Matches candidates to the true lines of one image, one to one.

    A candidate may be matched to a line where it covers at least the share `least` of its centre line. Candidates join
    in descending order of their scores; each joins the matching if that can grow by it, others being matched anew
    where needed (augmenting paths), so that at every threshold the number of matches is the largest possible.

    Args:
        true: The true lines.
        found: The candidates. Those with labels cover what lies within `tolerance` of their pixels, those without
            what lies within `tolerance` of their boxes, which is generous to slanting lines.
        least: Share of a line's points that must be covered, above 0, at most 1.
        tolerance: px, 0 or more; a point that is on a pixel of the candidate is covered in any case.

    Raises:
        ConfigError: `least` or `tolerance` is out of its range.
    """
    if not 0.0 < least <= 1.0 or tolerance < 0.0:
        raise ConfigError(
            f"a match needs a share in 0..1, above 0, and a tolerance of 0 px or more, got {least} and {tolerance}. "
            f"Correct them"
        )
    covered = [_covered(line, found, tolerance) for line in true]
    shares = np.array([points.mean(axis=0) for points in covered]).reshape(len(true), len(found))
    # 10 of 20 points must count as half, whatever the rounding.
    good = shares >= least - 1e-9
    owners, hits = _assign(shares, good, found.scores)
    lines_of = np.full(len(found), -1, np.int32)
    for line, candidate in enumerate(owners):
        if candidate >= 0:
            lines_of[candidate] = line
    missed = owners < 0
    together = np.array([points.any(axis=1).mean() if len(found) else 0.0 for points in covered]) >= least - 1e-9
    alone = good.any(axis=1)
    return LineMatches(
        scores=found.scores.astype(np.float32),
        hits=hits,
        true=lines_of,
        num_true=len(true),
        num_splits=int(np.count_nonzero(missed & together & ~alone)),
        num_doubles=int(np.count_nonzero((lines_of < 0) & good.any(axis=0))),
        num_merges=int(np.count_nonzero(missed & alone)),
    )


def precision_recall(matches: Sequence[LineMatches]) -> PrecisionRecall:
    """Pools images and returns precision and recall over all thresholds; empty where there is no candidate.

    Raises:
        DataError: There is no true line, so that recall has no meaning.
    """
    num_true = sum(image.num_true for image in matches)
    if num_true == 0:
        raise DataError(
            f"recall needs at least one true line, got none in {len(matches)} images. Score images that have some"
        )
    scores = np.concatenate([image.scores for image in matches]).astype(np.float64)
    hits = np.concatenate([image.hits for image in matches])
    order = np.argsort(-scores, kind="stable")
    scores, tp = scores[order], np.cumsum(hits[order])
    last = np.flatnonzero(np.diff(scores, append=-np.inf) != 0) if len(scores) else np.zeros(0, np.int64)
    tp, claimed = tp[last].astype(np.float64), last + 1.0
    precision, recall = tp / claimed, tp / num_true
    return PrecisionRecall(
        thresholds=scores[last],
        precision=precision,
        recall=recall,
        f1=2.0 * tp / (claimed + num_true),
        average_precision=float((np.diff(recall, prepend=0.0) * precision).sum()),
    )


def _covered(line: Line, found: Instances, tolerance: float) -> _Mask:
    """Which candidate covers which point of a line, ``(points, candidates)``."""
    if found.labels is None:
        points = line.points[:, None, :]
        low, high = found.boxes[:, :2] - 0.5 - tolerance, found.boxes[:, 2:] - 0.5 + tolerance
        within: _Mask = np.all((points >= low) & (points <= high), axis=-1)
        return within
    # A point on a pixel is at most half its diagonal from its middle.
    height, width = found.labels.shape
    rows, pixels = pixels_near(line.points, max(tolerance, math.sqrt(0.5)), (height, width))
    covered = np.zeros((len(line.points), len(found) + 1), bool)
    covered[rows, found.labels[pixels[:, 0], pixels[:, 1]]] = True
    return covered[:, 1:]


def _assign(shares: NDArray[np.float64], good: _Mask, scores: NDArray[np.float32]) -> tuple[NDArray[np.int64], _Mask]:
    """Returns the candidate of each line, -1 without one, and which candidates made the matching grow."""
    owners = np.full(len(shares), -1, np.int64)
    hits = np.zeros(shares.shape[1], bool)

    def join(candidate: int, seen: set[int]) -> bool:
        for line in np.argsort(-shares[:, candidate], kind="stable"):
            if good[line, candidate] and line not in seen:
                seen.add(int(line))
                if owners[line] < 0 or join(int(owners[line]), seen):
                    owners[line] = candidate
                    return True
        return False

    for candidate in np.argsort(-scores, kind="stable"):
        hits[candidate] = join(int(candidate), set())
    return owners, hits
