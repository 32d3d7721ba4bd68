"""Which images are tiles of one field of view, found from their pixels alone.

Neighbouring tiles look alike, so a split that separates them lets a network be tested on what it has seen. Nobody wrote
down which tiles belong together, so the borders have to tell:

1. **Seams.** Where tile b lies right of tile a, the last column of a and the first column of b were neighbours in one
   picture, and differ no more than neighbouring columns within the tiles do. The mean absolute difference across a seam
   over the one inside is its *step*: about 1 at a true seam. Grey values enter as square roots, which makes photon
   noise alike in dark and bright places (Anscombe, Biometrika 35, 1948), and differences enter unsquared, so that one
   bright nucleus on the border cannot outvote all of the dark rest.
2. **Gaps.** A smooth dark border continues every other smooth dark border; a small step or a high correlation proves
   nothing. So a seam must be better than its rivals: its *gap* is the smallest rival step over its own step. Rivals are
   the other tiles at the same two borders, and the seam's own two lines slid along each other or mirrored. Noise and
   vignettes survive the sliding (gap about 1); a nucleus that is cut in two does not.
3. **Puzzle.** Seams are joined from the largest gap down, every tile keeping a place on a grid; a seam that would put
   two tiles in one place, or one tile in two, is refused (after Gallagher, Jigsaw puzzles with pieces of unknown
   orientation, CVPR 2012). A seam with a clear gap joins alone. Weaker seams join only as a square of four tiles whose
   four seams together are as clear: four rather weak witnesses that agree.
4. **Duplicates.** Images of equal content, and frames of one place taken twice, belong together as well.

Images are compared with images of the same shape and type only. They are sorted by content first, so the grouping does
not depend on their order.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Float32Array, Image

MAX_STEP = 1.3
"""Largest step of a seam; the 304 known seams of DSB 2018 lie at 0.85..1.18."""
MIN_GAP = 1.25
"""Smallest gap of a seam that joins by itself, for borders of `FULL_LENGTH` and more.

The known seams of DSB 2018 have 0.94..9.4, half of them above 3.3 and 95 % above 1.17. Where every start border is
mirrored, so that all seams are chance, not one image is joined to another at these limits.
"""
MIN_GAP_IN_SQUARE = 0.9
"""Smallest gap of each of the four seams of a square; below 1 a rival was slightly better."""
MIN_GAP_OF_SQUARE = 1.8
"""Smallest product of the four gaps of a square, for borders of `FULL_LENGTH` and more."""
FULL_LENGTH = 256
"""Length of a border, px, from which on the smallest gaps hold as they stand.

A step is a mean over the border, so the logarithm of a gap that comes by chance grows as one over the root of the
border's length, and so do the logarithms that are asked for.
"""
MIN_LIKENESS = 0.95
"""Smallest correlation of the fine structure of two thumbnails that show the same place."""
MIN_SIDE = 32
"""Shorter borders, px, carry too little to tell chance from continuation."""

_FLOOR = 0.05  # in square roots of grey values, less than 8-bit noise: flat borders have a step of 1, not 0/0
_CANDIDATES = 8  # seams kept per border; the true one is among the best
_ROWS = 256  # rows of the distance matrix held at a time
_THUMBNAIL = 32  # px
_SLIDES = (32, 16, 8)  # the two lines of a seam are slid by 1/32, 1/16 and 1/8 of their length, both ways


@dataclass(frozen=True)
class _Seam:
    """Tile `second` lies `(down, right)` of tile `first`: `(0, 1)` or `(1, 0)`."""

    first: int
    second: int
    offset: tuple[int, int]
    step: float
    gap: float


def find_fields(images: Sequence[Image]) -> NDArray[np.int64]:
    """Finds the field of view that each image was cut from.

    Args:
        images: ``(height, width)`` or ``(height, width, 3)`` RGB, uint8 or uint16, of any sizes.

    Returns:
        ``(n,)`` int64, numbers 0..k-1 by first appearance; images of one field share a number. Which images share one
        does not depend on the order of the images.

    Raises:
        DataError: An image has another shape or type.
    """
    for place, image in enumerate(images):
        _check(image, place)
    order = sorted(range(len(images)), key=lambda place: _digest(images[place]))
    puzzle = _Puzzle(len(images))
    alike: dict[tuple[tuple[int, ...], str], list[int]] = defaultdict(list)
    for place in order:
        alike[images[place].shape, str(images[place].dtype)].append(place)
    for places in alike.values():
        if len(places) > 1:
            _join_tiles(puzzle, [images[place] for place in places], np.array(places))
    numbers: dict[int, int] = {}
    fields = [numbers.setdefault(puzzle.group(place), len(numbers)) for place in range(len(images))]
    return np.array(fields, np.int64)


class _Puzzle:
    """Groups of tiles, each tile with a place on the grid of its group."""

    def __init__(self, num_tiles: int) -> None:
        self._groups = list(range(num_tiles))
        self._places: dict[int, dict[int, tuple[int, int]]] = {tile: {tile: (0, 0)} for tile in range(num_tiles)}

    def group(self, tile: int) -> int:
        return self._groups[tile]

    def join(self, first: int, second: int, offset: tuple[int, int] | None) -> None:
        """Puts `second` at `offset` from `first` with all that hangs on it, unless a place is taken.

        Without an offset the two show the same place and their groups are joined whatever the places.
        """
        target, source = self._groups[first], self._groups[second]
        if target == source:
            return
        down, right = offset or (0, 0)
        y, x = self._places[target][first]
        v, u = self._places[source][second]
        moved = {tile: (ty + y + down - v, tx + x + right - u) for tile, (ty, tx) in self._places[source].items()}
        if offset is not None and set(moved.values()) & set(self._places[target].values()):
            return
        self._places[target].update(moved)
        del self._places[source]
        for tile in moved:
            self._groups[tile] = target


def _join_tiles(puzzle: _Puzzle, images: Sequence[Image], places: NDArray[np.int64]) -> None:
    """Joins those of some images, all of one shape and type and sorted by content, that belong to one field."""
    later: set[int] = set()
    for first, second in _duplicates(images):
        puzzle.join(int(places[first]), int(places[second]), None)
        later.add(second)
    once = [place for place in range(len(images)) if place not in later]  # a duplicate would be a rival of its twin
    if len(once) < 2 or min(images[0].shape[:2]) < MIN_SIDE:
        return
    images, places = [images[place] for place in once], places[once]
    caution = max(1.0, FULL_LENGTH / min(images[0].shape[:2])) ** 0.5
    seams = [*_seams(_borders(images, "right"), _borders(images, "left"), (0, 1))]
    seams += _seams(_borders(images, "bottom"), _borders(images, "top"), (1, 0))
    clear = [seam for seam in seams if seam.gap >= MIN_GAP**caution]
    for seam in sorted(clear, key=lambda seam: -seam.gap):
        puzzle.join(int(places[seam.first]), int(places[seam.second]), seam.offset)
    squares = [(gap, square) for gap, square in _squares(seams) if gap >= MIN_GAP_OF_SQUARE**caution]
    for _, square in sorted(squares, key=lambda weighed: -weighed[0]):
        for seam in square:
            puzzle.join(int(places[seam.first]), int(places[seam.second]), seam.offset)


def _borders(images: Sequence[Image], side: str) -> Float32Array:
    """The outermost line and the next one of each image, ``(n, 2, length, channel)``, square roots of grey values."""
    cuts = {
        "left": lambda image: np.swapaxes(image[:, :2], 0, 1),
        "right": lambda image: np.swapaxes(image[:, :-3:-1], 0, 1),
        "top": lambda image: image[:2],
        "bottom": lambda image: image[:-3:-1],
    }
    lines = np.stack([cuts[side](image) for image in images]).astype(np.float32)
    return np.sqrt(lines if lines.ndim == 4 else lines[..., np.newaxis])


def _seams(ends: Float32Array, starts: Float32Array, offset: tuple[int, int]) -> Iterator[_Seam]:
    """The seams from an end border to a start border that are worth a look: small step, no rival clearly better."""
    from scipy.spatial.distance import cdist  # takes a third of a second

    num, length = len(ends), ends[0, 0].size
    last, first = ends[:, 0].reshape(num, length), starts[:, 0].reshape(num, length)
    inside_ends = np.abs(ends[:, 0] - ends[:, 1]).mean((1, 2))
    inside_starts = np.abs(starts[:, 0] - starts[:, 1]).mean((1, 2))
    kept = min(_CANDIDATES, num)
    best_in_row = np.empty((num, kept))
    best_in_column = np.full((kept, num), np.inf)
    found: list[tuple[int, int, float]] = []
    for top in range(0, num, _ROWS):
        rows = np.arange(top, min(top + _ROWS, num))
        across = cdist(last[rows], first, "cityblock") / length
        steps = (across + _FLOOR) / ((inside_ends[rows, np.newaxis] + inside_starts) / 2 + _FLOOR)
        steps[rows - top, rows] = np.inf
        nearest = np.argpartition(steps, kept - 1, axis=1)[:, :kept]
        best_in_row[rows] = np.sort(np.take_along_axis(steps, nearest, axis=1), axis=1)
        best_in_column = np.sort(np.partition(np.vstack([best_in_column, steps]), kept - 1, axis=0)[:kept], axis=0)
        found += [
            (row, column, float(steps[row - top, column]))
            for row in rows.tolist()
            for column in nearest[row - top].tolist()
            if steps[row - top, column] <= MAX_STEP
        ]
    for row, column, step in found:
        if step > best_in_column[-1, column]:
            continue
        rivals = [best[1] if step <= best[0] else best[0] for best in (best_in_row[row], best_in_column[:, column])]
        gap = min(rivals) / step
        if gap >= MIN_GAP_IN_SQUARE:
            gap = min(gap, _gap_when_slid(ends[row, 0], starts[column, 0]))
        if gap >= MIN_GAP_IN_SQUARE:
            yield _Seam(row, column, offset, step, gap)


def _gap_when_slid(last: Float32Array, first: Float32Array) -> float:
    """How much worse two lines, ``(length, channel)``, fit when slid along each other or mirrored, at best."""
    length = len(last)
    slid = [np.abs(last - first[::-1]).mean()]
    for part in _SLIDES:
        shift = max(1, length // part)
        slid += [np.abs(last[shift:] - first[:-shift]).mean(), np.abs(last[:-shift] - first[shift:]).mean()]
    return float((min(slid) + _FLOOR) / (np.abs(last - first).mean() + _FLOOR))


def _squares(seams: Sequence[_Seam]) -> Iterator[tuple[float, tuple[_Seam, _Seam, _Seam, _Seam]]]:
    """Squares of four tiles held by four seams, with the product of their gaps."""
    beside: dict[int, dict[int, _Seam]] = defaultdict(dict)
    below: dict[int, dict[int, _Seam]] = defaultdict(dict)
    for seam in seams:
        (beside if seam.offset == (0, 1) else below)[seam.first][seam.second] = seam
    for corner in sorted(beside):
        for east, top in beside[corner].items():
            for south, left in below.get(corner, {}).items():
                for far, bottom in beside.get(south, {}).items():
                    right = below.get(east, {}).get(far)
                    if right is not None and len({corner, east, south, far}) == 4:
                        yield top.gap * left.gap * bottom.gap * right.gap, (top, left, bottom, right)


def _duplicates(images: Sequence[Image]) -> Iterator[tuple[int, int]]:
    """Pairs of images, all of one shape and type and sorted by content, that show the same place."""
    size = (_THUMBNAIL, _THUMBNAIL)
    small = [np.sqrt(cv2.resize(image.astype(np.float32), size, interpolation=cv2.INTER_AREA)) for image in images]
    fine = np.stack([(thumb - cv2.GaussianBlur(thumb, (0, 0), _THUMBNAIL / 8)).reshape(-1) for thumb in small])
    fine -= fine.mean(1, keepdims=True)
    norms = np.linalg.norm(fine, axis=1, keepdims=True)
    fine = np.divide(fine, norms, out=np.zeros_like(fine), where=norms > 1e-3)
    for top in range(0, len(images), _ROWS):
        for row, column in np.argwhere(fine[top : top + _ROWS] @ fine.T >= MIN_LIKENESS):
            if top + row < column:
                yield int(top + row), int(column)
    for place in range(1, len(images)):
        if np.array_equal(images[place - 1], images[place]):  # also where an image is too flat for a correlation
            yield place - 1, place


def _digest(image: Image) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest()


def _check(image: Image, place: int) -> None:
    shape_fits = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if not shape_fits or min(image.shape[:2]) < 1 or image.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"images must be (height, width) or (height, width, 3), uint8 or uint16, not empty: number {place} is "
            f"{image.shape} {image.dtype}. Convert it to grey or RGB without alpha"
        )
