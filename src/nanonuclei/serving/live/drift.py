"""Drift: whether the last images that a server was sent are like the training images of its model. Pure, no I/O."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from nanonuclei.counted import counted
from nanonuclei.data.fingerprint.likeness import Features, Likeness

WINDOW = 50
"""Images that are looked at together."""
FEWEST = 20
"""Images before anything is said."""
LIMIT = 0.7
"""Mean strangeness of a full window from which images count as unlike those of training; 0.5 is expected. Of images
like those of training, fewer than one window of 50 in 1,000 reaches it (benchmarks/drift.py)."""


@dataclass(frozen=True)
class DriftState:
    """What the last images tell.

    Attributes:
        value: Mean strangeness, 0..1: 0.5 is expected of images like those of training; nan where nothing is known.
        num_images: Images that it was computed from.
        told: Whether the images count as unlike those of training.
        sentence: The same in words, with the largest difference.
    """

    value: float
    num_images: int
    told: bool
    sentence: str


class Drift:
    """A rolling comparison of images with the training images of a model.

    Args:
        likeness: Of the model; None where it was stored without one.
        window: Images that are looked at together.

    Attributes:
        limit: Mean strangeness from which a full window counts as unlike training.
    """

    def __init__(self, likeness: Likeness | None, *, window: int = WINDOW) -> None:
        self.limit, self._window = LIMIT, window
        self._likeness = likeness
        self._strangeness: deque[float] = deque(maxlen=window)
        self._features: deque[Features] = deque(maxlen=window)
        self._state: DriftState | None = None
        if likeness is not None:  # computes what it compares with, before the first request
            likeness.strangeness(Features(*likeness.rows[0]))

    def add(self, features: Features) -> None:
        """Takes in an image."""
        if self._likeness is not None:
            self._strangeness.append(self._likeness.strangeness(features))
            self._features.append(features)
            self._state = None

    def state(self) -> DriftState:
        """Returns what the last images tell; computed once per image."""
        if self._state is None:
            self._state = self._computed()
        return self._state

    def _computed(self) -> DriftState:
        if self._likeness is None:
            return DriftState(math.nan, 0, False, "the model does not tell what its training images look like")
        count = len(self._strangeness)
        if count < FEWEST:
            return DriftState(
                math.nan, count, False, f"{counted(count, 'image')} so far, {FEWEST} are needed to tell drift"
            )
        value, limit = math.fsum(self._strangeness) / count, limit_of(count, window=self._window)
        if value < limit:
            return DriftState(value, count, False, f"the last {count} images are like those of training")
        return DriftState(value, count, True, f"{self._likeness.difference(self._features)} (the last {count} images)")


def limit_of(count: int, *, window: int = WINDOW) -> float:
    """Returns the mean strangeness from which fewer images than a full window count as unlike those of training."""
    return 0.5 + (LIMIT - 0.5) * math.sqrt(max(1.0, window / count))
