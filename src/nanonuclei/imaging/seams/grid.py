"""The windows in which a large image is worked on: cores that meet edge to edge, each with a margin around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.types import Box

SIDE = 3072
"""Of a window with its margins, px: reading objects off its map takes less than 1 GB."""

MARGIN = 128
"""px around a core. An object that reaches further out of a core is joined of its parts."""


@dataclass(frozen=True)
class Tile:
    """One window.

    Attributes:
        core: The part of the image that it answers for.
        box: The part that is read: the core with its margin, within the image.
    """

    core: Box
    box: Box


@dataclass(frozen=True)
class Grid:
    """Windows that cover an image.

    Attributes:
        shape: Height and width of the image, px.
        side: Largest side of a window, px.
        margin: px around a core.
    """

    shape: tuple[int, int]
    side: int = SIDE
    margin: int = MARGIN

    @property
    def step(self) -> int:
        """Side of a core, px."""
        return self.side - 2 * self.margin

    def rows(self) -> Iterator[list[Tile]]:
        """Yields the windows, row by row."""
        height, width = self.shape
        for y0 in range(0, height, self.step):
            yield [self._tile(y0, x0) for x0 in range(0, width, self.step)]

    def _tile(self, y0: int, x0: int) -> Tile:
        height, width = self.shape
        y1, x1 = min(y0 + self.step, height), min(x0 + self.step, width)
        box = (
            max(0, y0 - self.margin),
            max(0, x0 - self.margin),
            min(height, y1 + self.margin),
            min(width, x1 + self.margin),
        )
        return Tile((y0, x0, y1, x1), box)


def place_order(boxes: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Returns the order of objects: row by row of squares of `step` px, and within one from the top.

    Args:
        boxes: ``(n, 4)`` y0, x0, y1, x1, px; an object belongs to the square of its box's first corner.
        step: px.
    """
    return np.lexsort((boxes[:, 1], boxes[:, 0], boxes[:, 1] // step, boxes[:, 0] // step))
