"""Objects of overlapping windows become objects of the whole image: each once, and whole.

A window paints the objects that reach into its core. What an earlier window has painted stays as it is, so that an
object on a seam is there once; one that is larger than the margin, and was cut by its window, is completed by the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.seams.grid import Tile, place_order
from nanonuclei.imaging.types import Int32Array

SAME = 0.5
"""Share of the smaller of two objects, as far as both are seen, from which on they are one."""


@dataclass(slots=True)
class _Painted:
    """An object of the whole image, as far as it is known."""

    box: tuple[int, int, int, int]
    area: int
    score: float
    cut: bool


class Stitcher:
    """Takes the objects of windows, row by row from the top, and paints them onto a band of the image.

    Attributes:
        top: First row of the band.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.top = 0
        self._shape = shape
        self._band: Int32Array = np.zeros((0, shape[1]), np.int32)
        self._painted: list[_Painted] = []
        self._roots: list[int] = [0]
        """Of each painted number: the object of the whole image that it belongs to."""

    def advance(self, top: int, bottom: int) -> Int32Array:
        """Moves the band to the rows of the next windows.

        Args:
            top: Its new first row; rows above are finished.
            bottom: The row after its last.

        Returns:
            The finished rows, ``(rows, width)``, with numbers that `numbers` translates.
        """
        done = self._band[: top - self.top]
        kept = self._band[top - self.top :]
        more = np.zeros((bottom - top - len(kept), self._shape[1]), np.int32)
        self._band, self.top = np.concatenate([kept, more]), top
        return done

    def add(self, found: Instances, tile: Tile) -> None:
        """Paints the objects of a window that reach into its core.

        Args:
            found: In the window `tile.box`, with labels.
            tile: The window; the band holds its rows.
        """
        y0, x0, y1, x1 = tile.box
        view = self._band[y0 - self.top : y1 - self.top, x0:x1]
        labels = found.pixels()
        areas = np.bincount(labels.ravel(), minlength=len(found) + 1)
        painted = np.array(self._roots, np.int32)[view]
        before = _counted(painted)
        cut = self._cut(found, tile)
        wanted = set(np.unique(labels[_within(tile.core, tile.box)]).tolist()) - {0}
        meets = _meetings(labels, painted)
        for number in sorted(wanted):
            rows, columns = (slice(*found.boxes[number - 1, [place, place + 2]]) for place in (0, 1))
            inside = labels[rows, columns] == number
            here = view[rows, columns]
            free = inside & (here == 0)
            shares = meets.get(number, {})
            same = [
                other for other, share in shares.items() if share >= SAME * min(areas[number], before.get(other, share))
            ]
            if any(not self._painted[other - 1].cut for other in same) or not free.any():
                continue
            if not same and np.count_nonzero(free) < SAME * areas[number]:
                continue
            known = self._joined(same) if same else self._new()
            here[free] = known
            self._extend(known, free, (y0 + rows.start, x0 + columns.start), score=float(found.scores[number - 1]))
            self._painted[known - 1].cut |= bool(cut[number - 1])

    def numbers(self, step: int) -> tuple[Int32Array, NDArray[np.int64], NDArray[np.float32]]:
        """Numbers the objects of the whole image, once all windows were added.

        Args:
            step: Side of the squares by which objects are ordered, see `place_order`.

        Returns:
            ``(n + 1,)`` new numbers by those in the rows of `advance`, 0 for the background; ``(m, 4)`` boxes and
            ``(m,)`` scores in the order of the new numbers.
        """
        alive = [number for number, root in enumerate(self._roots) if root == number > 0]
        boxes = np.array([self._painted[number - 1].box for number in alive], np.int64).reshape(-1, 4)
        order = place_order(boxes, step)
        new = np.zeros(len(self._roots), np.int32)
        new[np.array(alive, np.int64)[order]] = np.arange(1, len(alive) + 1)
        scores = np.array([self._painted[number - 1].score for number in alive], np.float32)
        return new[np.array(self._roots)], boxes[order], scores[order]

    def _cut(self, found: Instances, tile: Tile) -> NDArray[np.bool_]:
        """Returns which objects touch a side of the window that is no side of the image."""
        y0, x0, y1, x1 = found.boxes.T
        top, left, bottom, right = tile.box
        height, width = self._shape
        return np.asarray(
            ((y0 == 0) & (top > 0))
            | ((x0 == 0) & (left > 0))
            | ((y1 == bottom - top) & (bottom < height))
            | ((x1 == right - left) & (right < width))
        )

    def _new(self) -> int:
        self._painted.append(_Painted((2**31, 2**31, 0, 0), 0, 0.0, False))
        self._roots.append(len(self._painted))
        return len(self._painted)

    def _joined(self, numbers: list[int]) -> int:
        """Makes objects one; returns its number."""
        first, *others = sorted(numbers)
        one = self._painted[first - 1]
        for number in others:
            other = self._painted[number - 1]
            self._roots = [first if root == number else root for root in self._roots]
            one.box = _around(one.box, other.box)
            one.score = (one.score * one.area + other.score * other.area) / (one.area + other.area)
            one.area += other.area
            one.cut |= other.cut
        return first

    def _extend(self, number: int, free: NDArray[np.bool_], corner: tuple[int, int], *, score: float) -> None:
        one = self._painted[number - 1]
        rows, columns = np.flatnonzero(free.any(axis=1)), np.flatnonzero(free.any(axis=0))
        box = (
            corner[0] + int(rows[0]),
            corner[1] + int(columns[0]),
            corner[0] + int(rows[-1]) + 1,
            corner[1] + int(columns[-1]) + 1,
        )
        area = int(np.count_nonzero(free))
        one.box = _around(one.box, box)
        one.score = (one.score * one.area + score * area) / (one.area + area)
        one.area += area


def _around(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _within(core: tuple[int, int, int, int], box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    return slice(core[0] - box[0], core[2] - box[0]), slice(core[1] - box[1], core[3] - box[1])


def _counted(labels: Int32Array) -> dict[int, int]:
    known, counts = np.unique(labels[labels > 0], return_counts=True)
    return dict(zip(known.tolist(), counts.tolist(), strict=True))


def _meetings(labels: Int32Array, painted: Int32Array) -> dict[int, dict[int, int]]:
    """Returns px that each object shares with each painted one."""
    both = (labels > 0) & (painted > 0)
    pairs, counts = np.unique(labels[both].astype(np.int64) << 32 | painted[both].astype(np.int64), return_counts=True)
    found: dict[int, dict[int, int]] = {}
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        found.setdefault(pair >> 32, {})[pair & 0xFFFFFFFF] = count
    return found
