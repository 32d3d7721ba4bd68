"""Candidates for nanotubes: lines of the image itself, where the classifier of windows says that there are some.

Scores of windows tell roughly where; at their stride they blur neighbouring nanotubes. So the lines are taken from the
image. They are candidates: a 2-D image cannot show that a line hovers above the substrate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray

from nanonuclei.errors import DataError
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.types import Float32Array, Labels
from nanonuclei.tasks.nanotubes.config import TubesConfig
from nanonuclei.tasks.nanotubes.lines.following import Ground, follow, line_contrast, make_ground, straight_contrasts
from nanonuclei.tasks.nanotubes.lines.line import STEP, Line, pixels_near, resample
from nanonuclei.tasks.nanotubes.lines.ridges import DIRECTIONS, filled, ridge_points
from nanonuclei.tasks.nanotubes.lines.rules import (
    STEADY,
    WOBBLE,
    is_bridge,
    is_clear,
    is_even,
    is_slender,
    least_contrast,
    width_across,
)

SEED, SPACING = 4.0, 8.0
"""Half the length of what is followed at first, and the distance between such seeds on a line, px."""

FRINGE = 0.25
"""A seed within `SPACING` of a brighter one has at least this share of its contrast."""

NEAR = 2.0
"""Lines run together where they are this near to each other, px."""

SAME = 0.6
"""Share of a line near another one from which they are the same."""

DRAWN = 3.0
"""Lines are drawn at most so wide in a label image, px, so that neighbours stay apart."""

LEAST_NOISE = 1.0 / 255.0 / 12.0**0.5
"""Standard deviation of what rounding to 8 bits leaves, share of the range: no image is told to have less noise."""

HALO = 2
"""Pixels about a cell in which its own light outshines a nanotube's."""

_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Candidate:
    """A line that may be a nanotube.

    Attributes:
        line: Centre line, and its width: full width at half maximum of the mean profile, px, which holds the blur of
            the microscope.
        score: In 0..1: mean score of the windows along it.
        strength: Mean contrast along it, standard deviations of the noise of a pixel.
        cells: Labels of the cells at the first and at the last end, 0 where it meets none.
    """

    line: Line
    score: float
    strength: float
    cells: tuple[int, int]

    @property
    def clarity(self) -> float:
        """How much of it is seen: strength times length."""
        return self.strength * self.line.length

    @property
    def joins(self) -> bool:
        """Whether it runs from one cell to another."""
        return 0 not in self.cells and self.cells[0] != self.cells[1]


def find_candidates(
    scores: Float32Array,
    grey: Float32Array,
    config: TubesConfig,
    *,
    cells: Labels,
    threshold: float,
    bridges: bool = True,
) -> list[Candidate]:
    """Finds the candidates of one image, of any score.

    Outside of cells, in windows of a score at or above the threshold, crests of thin bright lines are followed both
    ways as far as the image shows them, until they meet a cell. What is too short, broad, crooked or uneven, or joins
    too little, is dropped, and of those that run together all but the clearest.

    Args:
        scores: ``(height, width)`` float32 in 0..1, score of the window about each pixel.
        grey: ``(height, width)`` float32, the image, lines bright.
        config: Read-out; `min_score` is left to the caller.
        cells: ``(height, width)`` labels of the cells, see `cell_bodies`.
        threshold: Score of a positive window.
        bridges: With `joins` slender, whether lines that join two cells are looked for, or slender ones alone.

    Returns:
        Sorted by score, then strength, highest first.

    Raises:
        DataError: The shapes differ.
    """
    if not scores.shape == grey.shape == cells.shape or scores.ndim != 2:
        raise DataError(
            f"scores, image and cells must have one (height, width), got {scores.shape}, {grey.shape} and "
            f"{cells.shape}. Take them from one image"
        )
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * HALO + 1, 2 * HALO + 1))
    near = cv2.dilate(cells.astype(np.float32), disc).astype(np.int32)
    free = near == 0
    if not (free & (scores >= threshold)).any():
        return []
    ground = make_ground(filled(grey, free), near)
    seeds = _seeds(grey, free, scores >= threshold, config)
    found = [
        _to_edges(candidate, cells, straight=config.min_straightness)
        for candidate in _followed(seeds, ground, (scores, grey), config, bridges=bridges)
    ]
    kept = [candidate for candidate in found if _is_wanted(candidate, config)]
    return sorted(apart(kept), key=lambda candidate: (-candidate.score, -candidate.strength))


def to_instances(candidates: Sequence[Candidate], shape: tuple[int, int]) -> Instances:
    """Draws candidates into a label image, the surest on top; where two cross, the boxes still hold all of both.

    Args:
        candidates: Sorted by score, highest first.
        shape: Height and width of the image, px.
    """
    labels = np.zeros(shape, np.int32)
    boxes = np.zeros((len(candidates), 4), np.int32)
    for place in range(len(candidates) - 1, -1, -1):
        pixels = candidates[place].line.pixels(shape)
        line = candidates[place].line
        labels[tuple(Line(line.points, min(line.width, DRAWN)).pixels(shape).T)] = place + 1
        boxes[place] = (*pixels.min(axis=0), *(pixels.max(axis=0) + 1))
    scores = np.array([candidate.score for candidate in candidates], np.float32)
    return Instances(boxes, scores, labels)


def _seeds(grey: Float32Array, free: _Mask, wanted: _Mask, config: TubesConfig) -> list[Float32Array]:
    """Returns short straight lines on the crests of the image, the strongest of those that are near each other."""
    points = ridge_points(grey, free, narrow=config.narrow, broad=config.broad, least=config.ridge, wanted=wanted)
    places, directions, strengths = points.places, points.directions, points.strengths
    if not len(places):
        return []
    open_ = np.ones(len(places), bool)
    near = scipy.spatial.KDTree(places).query_ball_point(places, SPACING)
    seeds = []
    offsets = np.arange(-SEED, SEED + STEP / 2, STEP)
    for first in np.argsort(-strengths, kind="stable"):
        if not open_[first]:
            continue
        others = np.array(near[first])
        turn = np.abs(directions[others] - directions[first])
        open_[others[np.minimum(turn, DIRECTIONS - turn) <= 1]] = False
        angle = np.pi * directions[first] / DIRECTIONS
        along = np.array([np.sin(angle), np.cos(angle)])
        seed = places[first] + offsets[:, None] * along
        pixels = np.clip(np.rint(seed).astype(int), 0, np.array(free.shape) - 1)
        seeds.append(seed[_about_middle(free[tuple(pixels.T)])].astype(np.float32))
    return seeds


def _about_middle(good: _Mask) -> slice:
    """Returns the run of good ones about the middle one."""
    middle = len(good) // 2
    before, after = np.flatnonzero(~good[:middle]), np.flatnonzero(~good[middle + 1 :])
    return slice(before[-1] + 1 if len(before) else 0, middle + 1 + (after[0] if len(after) else len(good)))


def _followed(
    seeds: list[Float32Array],
    ground: Ground,
    maps: tuple[Float32Array, Float32Array],
    config: TubesConfig,
    *,
    bridges: bool,
) -> list[Candidate]:
    scores, grey = maps
    noise = max(ground.noise, LEAST_NOISE)
    levels = straight_contrasts(ground, seeds)
    good = _outshining(seeds, levels)
    lines, levels = [seed for seed, kept in zip(seeds, good, strict=True) if kept], levels[good]
    ahead = follow(ground, lines, levels=levels, share=config.kept)
    back = follow(ground, [line[::-1] for line in lines], levels=levels, share=config.kept)
    found = []
    for seed, before, after in zip(lines, back, ahead, strict=True):
        points = resample(np.concatenate([before[0][::-1], seed, after[0]]))
        line = Line(points, 0.0)
        if line.straightness < config.min_straightness:
            continue
        values = line_contrast(ground, points)
        even = is_even(line, values, wobble=WOBBLE, steady=STEADY)
        if config.joins == "slender":
            least = least_contrast(line, values, ground, config)
            joins, clear = bridges and even and 0 < before[1] != after[1] > 0, is_clear(line, values, least)
            if not joins and not clear:  # most lines: their width need not be measured
                continue
            line = Line(points, width_across(grey, points))
            if not (joins and is_bridge(line, values, least, config)) and not (clear and is_slender(line, config)):
                continue
        elif even:
            line = Line(points, width_across(grey, points))
        else:
            continue
        inside = np.clip(np.rint(points).astype(int), 0, np.array(scores.shape) - 1)
        score, strength = float(scores[tuple(inside.T)].mean()), float(values.mean()) / noise
        found.append(Candidate(line, score, strength, (before[1], after[1])))
    return found


def _to_edges(candidate: Candidate, cells: Labels, *, straight: float) -> Candidate:
    """Draws the ends of a candidate on to the edges of the cells that it meets, whose light hides the last of it.

    What the way to the nearest pixel of a cell would make more crooked than `straight` allows is left as it is.
    """
    first, last = candidate.cells
    points = candidate.line.points
    before = _nearest(points[0], cells, first) if first else points[:0]
    after = _nearest(points[-1], cells, last) if last else points[:0]
    line = Line(resample(np.concatenate([before, points, after])), candidate.line.width)
    return candidate if line.straightness < straight else replace(candidate, line=line)


def _nearest(end: Float32Array, cells: Labels, label: int) -> Float32Array:
    """Returns the nearest pixel of a cell to the end of a line, ``(1, 2)``; none where it is further than its light."""
    _, places = pixels_near(end[None], HALO + 2.0, (cells.shape[0], cells.shape[1]))
    places = places[cells[tuple(places.T)] == label]
    if not len(places):
        return np.zeros((0, 2), np.float32)
    return np.asarray(places[[int(np.argmin(np.hypot(*(places - end).T)))]], np.float32)


def _outshining(seeds: list[Float32Array], levels: NDArray[np.float64]) -> _Mask:
    """Whether seeds are no fringes of much brighter ones: a filter answers about a bright line and its ends too."""
    if not seeds:
        return np.zeros(0, bool)
    middles = np.array([seed[len(seed) // 2] for seed in seeds])
    brightest = [levels[near].max() for near in scipy.spatial.KDTree(middles).query_ball_point(middles, SPACING)]
    return (levels > 0.0) & (levels >= FRINGE * np.array(brightest))


def apart(
    candidates: Sequence[Candidate],
    others: Sequence[Candidate] = (),
    *,
    near: float = NEAR,
    first: Callable[[Candidate], float] = lambda one: one.clarity,
) -> list[Candidate]:
    """Keeps the clearest of candidates that run together: all seeds of a line are followed to the same ends.

    Args:
        candidates: In any order.
        others: Candidates that stay whatever is beside them; they are no part of the result.
        near: Lines run together where they are this near to each other, px.
        first: What is highest stays, and what lies on it goes.
    """
    in_order = sorted(candidates, key=first, reverse=True)
    lines = [one.line.points for one in (*others, *in_order)]
    if not in_order:
        return []
    mins, maxes = np.array([each.min(axis=0) for each in lines]), np.array([each.max(axis=0) for each in lines])
    trees = {place: scipy.spatial.KDTree(lines[place]) for place in range(len(others))}
    stays = np.zeros(len(lines), bool)
    stays[: len(others)] = True
    for place in range(len(others), len(lines)):
        reach = stays & (maxes[place] >= mins - near).all(axis=1) & (mins[place] <= maxes + near).all(axis=1)
        shared = (
            float((trees[other].query(lines[place], distance_upper_bound=near)[0] <= near).mean())
            for other in np.flatnonzero(reach).tolist()
        )
        if all(share < SAME for share in shared):
            stays[place] = True
            trees[place] = scipy.spatial.KDTree(lines[place])
    return [one for place, one in enumerate(in_order, start=len(others)) if stays[place]]


def _is_wanted(candidate: Candidate, config: TubesConfig) -> bool:
    line = candidate.line
    if line.length < config.min_length or line.width > config.max_width:
        return False
    if config.joins == "two":
        return candidate.joins
    return config.joins in ("all", "slender") or any(candidate.cells)
