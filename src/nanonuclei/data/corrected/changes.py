"""What people changed of a prediction: objects that were added, removed and reshaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from nanonuclei.imaging.types import Labels

SAME_OBJECT = 0.5
"""IoU above which a predicted and a corrected object are the same: no object has two such partners."""

REACH = 3.0
"""Distance within which a point of a line lies on another one, px."""

UNMOVED = 0.5
"""Largest distance of two lines that are the same, px: programs round."""


@dataclass(frozen=True)
class Changes:
    """Counts of one image, or of several.

    Attributes:
        kept: Objects that are as predicted, to the pixel.
        added: Corrected objects that were not predicted.
        removed: Predicted objects that are gone.
        reshaped: Objects with other pixels than predicted.
    """

    kept: int = 0
    added: int = 0
    removed: int = 0
    reshaped: int = 0

    def __add__(self, other: Changes) -> Changes:
        return Changes(
            self.kept + other.kept,
            self.added + other.added,
            self.removed + other.removed,
            self.reshaped + other.reshaped,
        )

    def __str__(self) -> str:
        return f"{self.added} added, {self.removed} removed, {self.reshaped} reshaped, {self.kept} as predicted"

    @property
    def number(self) -> int:
        """Changed objects."""
        return self.added + self.removed + self.reshaped


def changes(predicted: Labels, corrected: Labels) -> Changes:
    """Compares the objects of one image.

    Args:
        predicted: ``(height, width)`` integers, 0 background.
        corrected: The same shape.
    """
    before, after = np.bincount(predicted.ravel()), np.bincount(corrected.ravel())
    pairs, shared = np.unique(
        np.stack([predicted.ravel(), corrected.ravel()], axis=1)[(predicted.ravel() > 0) & (corrected.ravel() > 0)],
        axis=0,
        return_counts=True,
    )
    either = before[pairs[:, 0]] + after[pairs[:, 1]] - shared
    matched = shared > SAME_OBJECT * either
    kept = int(np.count_nonzero(matched & (shared == either)))
    num_matched = int(np.count_nonzero(matched))
    num_before, num_after = (int(np.count_nonzero(counts[1:])) for counts in (before, after))
    return Changes(kept, num_after - num_matched, num_before - num_matched, num_matched - kept)


def line_changes(predicted: Sequence[NDArray[np.float64]], corrected: Sequence[NDArray[np.float64]]) -> Changes:
    """Compares the objects of one image that are lines.

    Two are the same where the areas about them have an IoU above `SAME_OBJECT`, and as predicted where none of them
    leaves the other by more than `UNMOVED`.

    Args:
        predicted: ``(n, 2)`` points of each, px.
        corrected: The same.
    """
    before, after = ([shapely.linestrings(line) for line in lines] for lines in (predicted, corrected))
    areas_before, areas_after = ([line.buffer(REACH) for line in lines] for lines in (before, after))
    pairs = []
    for i, one in enumerate(areas_before):
        for j, other in enumerate(areas_after):
            if one.intersects(other):
                shared = one.intersection(other).area
                pairs.append((shared / (one.area + other.area - shared), i, j))
    partner: dict[int, int] = {}
    for iou, i, j in sorted(pairs, reverse=True):
        if iou > SAME_OBJECT and i not in partner and j not in partner.values():
            partner[i] = j
    kept = sum(float(shapely.hausdorff_distance(before[i], after[j])) <= UNMOVED for i, j in partner.items())
    return Changes(kept, len(after) - len(partner), len(before) - len(partner), len(partner) - kept)
