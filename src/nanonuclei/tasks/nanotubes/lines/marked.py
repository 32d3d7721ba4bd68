"""Candidates read off a map that marks the centre lines of nanotubes pixel by pixel.

Where the map is sure enough it is thinned to lines, which are cut where they branch. Lines that go on beyond a gap are
joined. What is too short, crooked or unsure is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import scipy
import skimage
from numpy.typing import NDArray

from nanonuclei.imaging.types import Float32Array, Labels
from nanonuclei.tasks.nanotubes.config import TubesConfig
from nanonuclei.tasks.nanotubes.lines.candidates import LEAST_NOISE, Candidate, apart
from nanonuclei.tasks.nanotubes.lines.line import Line, cells_joined, resample, trace
from nanonuclei.tasks.nanotubes.lines.ridges import NORMAL_MAD
from nanonuclei.tasks.nanotubes.lines.rules import width_across

SPECK = 6
"""Pieces of a thinned map of fewer pixels are dropped."""

LOW = 0.5
"""A line of the map goes on down to this share of the threshold that it reaches somewhere."""

DIRECTION = 10.0
"""Length of the end of a line that its direction is taken from, px."""

TURN = 0.5
"""Largest angle between two lines that are joined, and to the gap between them, radians."""

FROM_EDGE = 3.0
"""Distance from the edge of a line at which its surroundings are measured, px."""

_Points = NDArray[np.float64]


def marked_candidates(
    scores: Float32Array, grey: Float32Array, config: TubesConfig, *, cells: Labels, threshold: float
) -> list[Candidate]:
    """Finds the candidates of one image, of any score.

    Args:
        scores: ``(height, width)`` float32 in 0..1, how surely a pixel lies on a centre line.
        grey: ``(height, width)`` float32, the image.
        config: `gap`, `min_length` and `min_straightness` are read.
        cells: ``(height, width)`` labels of the cells.
        threshold: Score that a line reaches somewhere; it goes on down to `LOW` of it.

    Returns:
        Sorted by score, then strength, highest first. The score of a candidate is the mean along it.
    """
    pieces = joined(
        _pieces(skimage.filters.apply_hysteresis_threshold(scores, LOW * threshold, threshold)), gap=config.gap
    )
    noise = max(_noise(grey), LEAST_NOISE)
    found = []
    for points in pieces:
        line = Line(resample(points), 0.0)
        if line.length < config.min_length or line.straightness < config.min_straightness:
            continue
        line = replace(line, width=max(1.0, width_across(grey, line.points)))
        score = float(np.mean(_values(scores, line.points)))
        found.append(Candidate(line, score, _contrast(grey, line) / noise, cells_joined(line, cells)))
    return sorted(apart(found), key=lambda candidate: (-candidate.score, -candidate.strength))


def joined(pieces: Sequence[_Points], *, gap: float) -> list[_Points]:
    """Joins pieces that go on in each other beyond a gap, the nearest first; an end is joined once.

    Args:
        pieces: ``(n, 2)`` y and x each, from end to end.
        gap: Longest gap, px.
    """
    links = _links(pieces, gap=gap)
    found: list[_Points] = []
    done: set[int] = set()
    # Chains begin at pieces with a free end.
    for end in sorted(range(2 * len(pieces)), key=lambda end: end in links):
        if end // 2 in done:
            continue
        parts = []
        at: int | None = end
        while at is not None:
            done.add(at // 2)
            parts.append(pieces[at // 2][::-1] if at % 2 else pieces[at // 2])
            at = links.get(at ^ 1)
        found.append(np.concatenate(parts))
    return found


def _links(pieces: Sequence[_Points], *, gap: float) -> dict[int, int]:
    """Returns which ends are joined, both ways: piece i has the ends 2 i, its first point, and 2 i + 1, its last."""
    if len(pieces) < 2 or gap <= 0.0:
        return {}
    ends = np.array([point for piece in pieces for point in (piece[0], piece[-1])])
    outwards = np.array([_direction(way) for piece in pieces for way in (piece, piece[::-1])])
    pairs = scipy.spatial.KDTree(ends).query_pairs(gap, output_type="ndarray")
    steps = ends[pairs[:, 1]] - ends[pairs[:, 0]]
    lengths = np.hypot(*steps.T)
    # Over a short gap the direction from end to end says nothing.
    across = np.where(lengths[:, None] > 3.0, steps / np.maximum(lengths, 1e-6)[:, None], outwards[pairs[:, 0]])
    one, other = outwards[pairs[:, 0]], -outwards[pairs[:, 1]]
    products = [(a * b).sum(axis=1) for a, b in ((one, other), (one, across), (across, other))]
    straight = np.min(products, axis=0) >= np.cos(TURN)
    chain = list(range(len(pieces)))  # the chain that each piece is in
    links: dict[int, int] = {}
    for place in np.argsort(lengths, kind="stable"):
        first, second = (int(end) for end in pairs[place])
        own, its = chain[first // 2], chain[second // 2]
        if straight[place] and own != its and first not in links and second not in links:
            links |= {first: second, second: first}
            chain = [own if each == its else each for each in chain]
    return links


def _direction(line: _Points) -> _Points:
    """Returns the unit vector that leaves a line at its first point."""
    back = line[min(len(line) - 1, int(DIRECTION))]
    step = line[0] - back
    return np.asarray(step / max(float(np.hypot(*step)), 1e-6))


def _pieces(mask: NDArray[np.bool_]) -> list[_Points]:
    """Returns the lines of a mask, cut where they branch, about one point per pixel."""
    from skimage.morphology import skeletonize

    thin = skeletonize(mask).astype(np.uint8)
    about = cv2.filter2D(thin, -1, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT)
    branches = cv2.dilate(((thin > 0) & (about > 3)).astype(np.uint8), np.ones((3, 3), np.uint8))
    thin[branches > 0] = 0
    _, labels, figures, _ = cv2.connectedComponentsWithStats(thin, connectivity=8)
    pieces = []
    for label, box in enumerate(scipy.ndimage.find_objects(labels), start=1):
        if figures[label, cv2.CC_STAT_AREA] >= SPECK:
            corner = np.array([part.start for part in box], np.float64)
            pieces.append(trace(labels[box] == label).points[::2].astype(np.float64) + corner)
    return pieces


def _values(image: Float32Array, points: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(scipy.ndimage.map_coordinates(image, points.T, order=1, mode="nearest"), np.float64)


def _contrast(grey: Float32Array, line: Line) -> float:
    """Returns how much brighter a line is than what lies on both sides of it, mean along it; dark lines likewise."""
    along = np.gradient(line.points.astype(np.float64), axis=0) if len(line.points) > 1 else np.array([[0.0, 1.0]])
    across = along[:, ::-1] * np.array([1.0, -1.0])
    across *= (line.width / 2.0 + FROM_EDGE) / np.maximum(np.hypot(*across.T), 1e-6)[:, None]
    beside = (_values(grey, line.points - across) + _values(grey, line.points + across)) / 2.0
    return abs(float(np.mean(_values(grey, line.points) - beside)))


def _noise(grey: Float32Array) -> float:
    """Returns the standard deviation of the noise of a pixel, from differences of neighbours."""
    return NORMAL_MAD * float(np.median(np.abs(np.diff(grey[::2], axis=1)))) / float(np.sqrt(2.0))
