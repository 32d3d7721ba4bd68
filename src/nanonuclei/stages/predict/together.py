"""How many images are worked on at a time, by memory and cores, and the network for each."""

from __future__ import annotations

from nanonuclei.imaging.networks import Network
from nanonuclei.serving.named import OpenedModel
from nanonuclei.stages.predict.shown import Shown

MOST_AT_ONCE = 4
"""Images at a time at most."""

MOST_PIXELS = 2**24
"""Pixels of these images together at most, since each needs memory; a larger one is worked on alone."""

LEAST_SHARE = 1 / 16
"""Of the memory, per image: of tiny ones these many wait at most."""


class Together:
    """Images of a call that are worked on at a time.

    Args:
        opened: The model.
        several: Whether there is more than one file. Images that share the cores, instead of each taking all in turn,
            are done faster; a single one would take longer.
    """

    def __init__(self, opened: OpenedModel, *, several: bool) -> None:
        self.workers = max(1, min(opened.cores, MOST_AT_ONCE))
        self._whole = self._part = opened.network
        if several and self.workers > 1 and opened.load is not None:
            self._part = opened.load(opened.cores // self.workers)

    def network(self, image: Shown) -> Network:
        """Returns the network for an image: on its share of the cores, or on all where it is worked on alone."""
        return self._whole if self.share(image) > 0.5 else self._part

    def share(self, image: Shown) -> float:
        """Returns which share of the memory an image needs; one of 1 or more is worked on alone."""
        if image.large is not None:
            return 1.0
        pixels = 0 if image.pixels is None else image.pixels.shape[0] * image.pixels.shape[1]
        return max(pixels / MOST_PIXELS, LEAST_SHARE)
