"""What people changed of a prediction: objects that were added, removed and reshaped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nanonuclei.imaging.types import Labels

SAME_OBJECT = 0.5
"""IoU above which a predicted and a corrected object are the same: no object has two such partners."""


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
