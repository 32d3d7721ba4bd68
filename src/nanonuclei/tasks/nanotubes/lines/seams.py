"""Lines of a large image: those of its windows become lines of the whole, each once, and joined across the seams.

A line belongs to the window in whose core its middle lies. A line that is longer than what neighbouring windows share
is cut by its window; its parts run together there and are joined. Cells are painted as other objects are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray

from nanonuclei.imaging.instances import from_labels
from nanonuclei.imaging.seams.grid import Tile, place_order
from nanonuclei.imaging.seams.label_rows import LabelRows
from nanonuclei.imaging.seams.stitching import Stitcher
from nanonuclei.imaging.types import Box, Float32Array, Int32Array
from nanonuclei.tasks.gathering import Gathered, Gatherer
from nanonuclei.tasks.nanotubes.config import TubesConfig
from nanonuclei.tasks.nanotubes.lines.candidates import DRAWN, NEAR, SAME, Candidate
from nanonuclei.tasks.nanotubes.lines.detection import CANDIDATE_COLUMNS, CELLS, candidate_row
from nanonuclei.tasks.nanotubes.lines.line import STEP, Line, pixels_near, resample

CUT = 12.0
"""A line that ends so near to a side of its window may go on beyond it, px."""

DOUBT = 16
"""A middle so near to the side of a core may be seen on either side of it, px."""

TOGETHER = 16.0
"""Cut lines that run together for so long are parts of one, px."""

CELL = 16.0
"""How far from the end of a line the cell is looked for that it meets, px."""

Ends = tuple[bool, bool]
"""Of the first and the last end."""


@dataclass(frozen=True)
class Part:
    """A line of the whole image, as far as it is known.

    Attributes:
        line: In px of the whole image.
        score: See `Candidate`.
        strength: Likewise.
        meets: Pixels y, x of the cells at both ends; None for none.
        cut: Which ends may go on in another window.
    """

    line: Line
    score: float
    strength: float
    meets: tuple[tuple[int, int] | None, tuple[int, int] | None]
    cut: Ends


class LineGatherer(Gatherer):
    """Puts the lines of windows together.

    Args:
        read: Returns the cells of a score map, and its candidates.
        config: `min_straightness` is read.
        shape: Height and width of the image, px.
        file: Path of a file for the label image of the cells, which does not exist.
    """

    def __init__(
        self,
        read: Callable[[Float32Array], tuple[Int32Array, list[Candidate]]],
        config: TubesConfig,
        shape: tuple[int, int],
        file: Path,
    ) -> None:
        self._read, self._config, self._shape = read, config, shape
        self._cells, self._rows = Stitcher(shape), LabelRows(file, shape[1])
        self._parts: list[Part] = []
        self._boxes: NDArray[np.float64] = np.zeros((0, 4))
        self._met: dict[tuple[int, int], int] = {}
        """Pixels that lines meet cells at, and the painted number of the cell once it is known."""

    def advance(self, top: int, bottom: int) -> None:
        """Writes the finished rows of the cells, and looks the cells up that lines meet in them."""
        first = self._cells.top
        done = self._cells.advance(top, bottom)
        self._rows.append(done)
        for y, x in self._met:
            if first <= y < first + len(done):
                self._met[y, x] = int(done[y - first, x])

    def add(self, score_map: Float32Array, tile: Tile) -> None:
        """Takes the lines of a window whose middle is in its core, and those that the window cuts."""
        cells, candidates = self._read(score_map)
        self._cells.add(from_labels(cells), tile)
        for candidate in candidates:
            part = _part(candidate, cells, tile, self._shape)
            if any(part.cut) or _is_within(part.line.points[len(part.line.points) // 2], tile.core, DOUBT):
                self._take(part)
        self._met |= {place: 0 for part in self._parts for place in part.meets if place and place not in self._met}

    def gathered(self, step: int) -> Gathered:
        """Returns the lines, and how they are drawn, the surest on top."""
        self.advance(self._shape[0], self._shape[0])
        numbers, cells, _ = self._cells.numbers(step)
        self._rows.translate(numbers)
        lines = [part for part in self._parts if part.line.straightness >= self._config.min_straightness]
        found = [Candidate(part.line, part.score, part.strength, self._cells_of(part, numbers)) for part in lines]
        rows = [dict(zip(CANDIDATE_COLUMNS, candidate_row(one, None, self._shape), strict=True)) for one in found]
        boxes = np.array([[row[name] for name in ("y0", "x0", "y1", "x1")] for row in rows], np.int64).reshape(-1, 4)
        order = place_order(boxes, step)
        found, rows, boxes = [found[place] for place in order], [rows[place] for place in order], boxes[order]
        drawn = Drawing(found, boxes, self._shape)
        scores = np.array([one.score for one in found], np.float32)
        per_cell = round(len(found) / len(cells), 4) if len(cells) else float("nan")
        measures = {"num_cells": len(cells), "objects_per_cell": per_cell}
        return Gathered(boxes, scores, drawn.read, rows, measures, {CELLS: self._rows.read})

    def _take(self, part: Part) -> None:
        """Adds a line, joins it with what it goes on in, or leaves it out where it is known."""
        points = part.line.points
        low, high = points.min(axis=0) - NEAR, points.max(axis=0) + NEAR
        meeting = (self._boxes[:, :2] <= high).all(axis=1) & (self._boxes[:, 2:] >= low).all(axis=1)
        joined = []
        for place in np.flatnonzero(meeting).tolist():
            known = self._parts[place]
            own, its = _run_together(part, known)
            same = max(own / max(part.line.length, 1.0), its / max(known.line.length, 1.0)) >= SAME
            if same and not any(known.cut):
                return
            if same and not any(part.cut):
                joined.append(place)
            elif (same or own >= TOGETHER) and any(part.cut) and any(known.cut):
                part = _united(known, part)
                joined.append(place)
        self._parts = [known for place, known in enumerate(self._parts) if place not in joined]
        self._boxes = np.delete(self._boxes, joined, axis=0)
        self._parts.append(part)
        points = part.line.points
        self._boxes = np.concatenate([self._boxes, [[*points.min(axis=0), *points.max(axis=0)]]])

    def _cells_of(self, part: Part, numbers: Int32Array) -> tuple[int, int]:
        first, last = (0 if place is None else int(numbers[self._met.get(place, 0)]) for place in part.meets)
        return first, last


class Drawing:
    """Lines of a large image, drawn window by window; as in `to_instances`, the surest on top."""

    def __init__(self, found: list[Candidate], boxes: NDArray[np.int64], shape: tuple[int, int]) -> None:
        self._boxes = boxes
        self._pixels = [Line(one.line.points, min(one.line.width, DRAWN)).pixels(shape) for one in found]
        self._scores = np.array([one.score for one in found])

    def read(self, box: Box) -> Int32Array:
        """Returns the label image of a window."""
        y0, x0, y1, x1 = box
        labels = np.zeros((y1 - y0, x1 - x0), np.int32)
        by0, bx0, by1, bx1 = self._boxes.T
        here = np.flatnonzero((by0 < y1) & (by1 > y0) & (bx0 < x1) & (bx1 > x0))
        for place in here[np.argsort(self._scores[here], kind="stable")].tolist():
            y, x = self._pixels[place].T
            inside = (y >= y0) & (y < y1) & (x >= x0) & (x < x1)
            labels[y[inside] - y0, x[inside] - x0] = place + 1
        return labels


def _part(candidate: Candidate, cells: Int32Array, tile: Tile, shape: tuple[int, int]) -> Part:
    """Returns a candidate of a window in px of the whole image."""
    y0, x0, y1, x1 = tile.box
    points, corner = candidate.line.points, np.array([y0, x0], np.float32)
    low, high = np.array([y0, x0]), np.array([y1, x1])
    open_ = np.concatenate([low > 0, high < np.array(shape)])

    def cut(end: Float32Array, cell: int) -> bool:
        near = np.concatenate([end < CUT, end > high - low - 1 - CUT])
        return cell == 0 and bool((near & open_).any())

    ends = (points[0], candidate.cells[0]), (points[-1], candidate.cells[1])
    first, last = (_meeting(end, cell, cells) for end, cell in ends)
    meets = tuple(None if place is None else (place[0] + y0, place[1] + x0) for place in (first, last))
    line = replace(candidate.line, points=points + corner)
    return Part(line, candidate.score, candidate.strength, (meets[0], meets[1]), (cut(*ends[0]), cut(*ends[1])))


def _meeting(end: Float32Array, cell: int, cells: Int32Array) -> tuple[int, int] | None:
    """Returns the pixel of a cell that is nearest to the end of a line."""
    if not cell:
        return None
    _, places = pixels_near(end[None], CELL, (cells.shape[0], cells.shape[1]))
    places = places[cells[tuple(places.T)] == cell]
    if not len(places):
        return None
    y, x = places[np.argmin(np.hypot(*(places - end).T))].tolist()
    return y, x


def _is_within(point: Float32Array, core: Box, margin: int) -> bool:
    y0, x0, y1, x1 = core
    return bool(y0 - margin <= point[0] < y1 + margin and x0 - margin <= point[1] < x1 + margin)


def _run_together(one: Part, other: Part) -> tuple[float, float]:
    """Returns how long each of two lines runs beside the other, px."""
    own, its = one.line.points, other.line.points
    near = [scipy.spatial.KDTree(b).query(a, distance_upper_bound=NEAR)[0] <= NEAR for a, b in ((own, its), (its, own))]
    return STEP * float(near[0].sum()), STEP * float(near[1].sum())


def _united(one: Part, other: Part) -> Part:
    """Returns the line that two parts of it make: each gives the end that it sees further."""
    points, others = one.line.points, other.line.points
    distances, places = scipy.spatial.KDTree(others).query(points, distance_upper_bound=NEAR)
    near = np.flatnonzero(distances <= NEAR)
    if places[near[-1]] < places[near[0]]:
        other = replace(
            other, line=replace(other.line, points=others[::-1]), meets=other.meets[::-1], cut=other.cut[::-1]
        )
        others, places = others[::-1], len(others) - 1 - places
    middle = int(near[len(near) // 2])
    there = int(places[middle])
    head = one if _sees_further(one.cut[0], middle, other.cut[0], there) else other
    tail = one if _sees_further(one.cut[1], len(points) - middle, other.cut[1], len(others) - there) else other
    before = points[:middle] if head is one else others[:there]
    after = points[middle:] if tail is one else others[there:]
    share = len(before) / max(len(before) + len(after), 1)

    def mean(first: float, second: float) -> float:
        return share * first + (1.0 - share) * second

    return Part(
        Line(resample(np.concatenate([before, after])), mean(head.line.width, tail.line.width)),
        mean(head.score, tail.score),
        mean(head.strength, tail.strength),
        (head.meets[0], tail.meets[1]),
        (head.cut[0], tail.cut[1]),
    )


def _sees_further(cut: bool, length: int, other_cut: bool, other_length: int) -> bool:
    """Whether the first of two parts knows the end of the line, or more of it."""
    return length >= other_length if cut == other_cut else not cut
