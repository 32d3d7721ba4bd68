"""Where tunneling nanotubes run between cells, and how they shine."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy

from nanonuclei.imaging.types import Float32Array, Int32Array
from nanonuclei.tasks.nanotubes.lines.line import STEP, Line
from nanonuclei.tasks.nanotubes.simulate.cells import Cells, Edge, depth
from nanonuclei.tasks.nanotubes.simulate.strokes import Ink, bow, join, spots, stroke, unevenness

TRIES_PER_BRIDGE = 25
"""Ends that are tried for one bridge before it is left out."""

CLEARANCE = 4.0
"""Least distance of a bridge to any cell, px, but for its first and last `BASE` px."""

BASE = 6.0
"""Length over which a bridge is near the cell that it leaves, px."""

SHORTEST = 18.0
"""Least distance of the ends, px: what is shorter is not told from the links of cells that have just divided, of 9 to
14 px, and from corners of cells that touch."""

APART, SHARED = 4.0, 0.25
"""Bridges nearer than this, px, are not told apart, and the largest share of its length that a bridge may be so near to
an earlier one: they cross, or two are seen."""


@dataclass(frozen=True)
class Nanotube:
    """One tunneling nanotube.

    Attributes:
        line: Its centre line from the edge of the first to the edge of the second cell, and its width.
        pixels: ``(n, 2)`` int32, y and x of the pixels outside cells that it covers, sorted. Where tubes cross, both
            have the pixel.
        cells: Labels of the two cells that it joins, in the direction of the line.
        faint: Whether it is hardly above the noise.
    """

    line: Line
    pixels: Int32Array
    cells: tuple[int, int]
    faint: bool


def build_bridges(
    cells: Cells, edge: Edge, *, num: int, longest: float, faint: float, rng: np.random.Generator
) -> list[Nanotube]:
    """Joins cells by thin lines that touch no other cell.

    Short ones are more likely than long ones; several may join the same two cells, and they may cross.

    Args:
        cells: Shapes and places.
        edge: Where lines may begin and end.
        num: How many are wanted; fewer come where no more fit.
        longest: Largest distance of the ends, px.
        faint: Share of faint ones, 0..1.
        rng: Source of all randomness.

    Returns:
        The bridges, in order of their making.
    """
    tubes: list[Nanotube] = []
    taken: list[scipy.spatial.KDTree] = []
    room = np.where(cells.labels == 0, depth(cells.labels), np.float32(0.0))
    for _ in range(TRIES_PER_BRIDGE * num if len(edge) else 0):
        if len(tubes) == num:
            break
        first = int(rng.integers(len(edge)))
        second = _partner(edge, first, longest, rng)
        if second is None:
            continue
        ends = int(edge.owners[first]), int(edge.owners[second])
        if ends in cells.sisters or ends[::-1] in cells.sisters:
            continue
        points = bow(
            edge.points[first],
            edge.points[second],
            sag=rng.normal(0.0, rng.choice([0.008, 0.03], p=[0.75, 0.25])),
            sway=rng.normal(0.0, 0.003, 2),
        )
        line = Line(points, 1.2 + 1.8 * rng.beta(1.4, 2.6))
        if not _is_clear(points, room) or not _is_free(points, cells, ends):
            continue
        pixels = line.pixels((len(room), len(room)))
        pixels = pixels[cells.labels[tuple(pixels.T)] == 0]
        tree = scipy.spatial.KDTree(points)
        if len(pixels) < 6 or any(max(_beside(tree, other), _beside(other, tree)) > SHARED for other in taken):
            continue
        tubes.append(Nanotube(line, pixels, ends, bool(rng.random() < faint)))
        taken.append(tree)
    return tubes


def paint_bridges(tubes: list[Nanotube], *, floor: float, rng: np.random.Generator) -> Ink:
    """Makes the light of bridges: uneven, beaded, with a small cone at each base.

    Args:
        tubes: The bridges.
        floor: Standard deviation of the noise beside the cells, in units of light. A usual bridge is 4 to 12 of it
            bright on its centre line, a faint one 1.8 to 3.2.
        rng: Source of all randomness.
    """
    inks = []
    usual = math.exp(rng.uniform(math.log(5.0), math.log(9.0)))
    for tube in tubes:
        points, num = tube.line.points, len(tube.line.points)
        peak = (
            rng.uniform(1.8, 3.2)
            if tube.faint
            else float(np.clip(usual * math.exp(0.35 * rng.standard_normal()), 4, 14))
        )
        peak *= floor
        along = np.exp(rng.uniform(0.15, 0.4) * unevenness(num, rng.uniform(5.0, 16.0), rng))
        from_end = np.minimum(np.arange(num), np.arange(num)[::-1]) * np.float32(STEP)
        cone = np.exp(-from_end / np.float32(rng.uniform(1.2, 2.8)))
        widths = tube.line.width * (1.0 + 0.12 * unevenness(num, 12.0, rng)) * (1.0 + 0.9 * cone)
        inks.append(stroke(points, peak * along * (1.0 + 0.8 * cone), widths))
        inks.append(_beads(points, peak, tube.line.width, rng))
    return join(inks)


def _partner(edge: Edge, first: int, longest: float, rng: np.random.Generator) -> int | None:
    """Chooses an end on another cell that faces the first end; None where there is none."""
    apart = edge.points - edge.points[first]
    distances = np.hypot(*apart.T)
    ahead = apart / np.maximum(distances, 1e-3)[:, None]
    facing = (ahead @ edge.normals[first] > 0.35) & ((ahead * edge.normals).sum(axis=1) < -0.35)
    places = np.flatnonzero(
        (edge.owners != edge.owners[first]) & (distances >= SHORTEST) & (distances <= longest) & facing
    )
    if not len(places):
        return None
    # There are more ends far away than near: density grows with the distance.
    weights = np.exp(-distances[places] / (0.25 * longest)) / distances[places]
    return int(rng.choice(places, p=weights / weights.sum()))


def _is_clear(points: Float32Array, room: Float32Array) -> bool:
    """Whether a line keeps clear of all cells between its bases."""
    at = np.rint(points).astype(np.intp)
    if at.min() < 0 or at.max() >= len(room):
        return False
    distance = room[at[:, 0], at[:, 1]]
    from_end = np.minimum(np.arange(len(points)), np.arange(len(points))[::-1]) * STEP
    needed = np.where(from_end < 1.5, -1.0, np.minimum(CLEARANCE * from_end / BASE, CLEARANCE))
    return bool((distance > needed).all())


def _is_free(points: Float32Array, cells: Cells, ends: tuple[int, int]) -> bool:
    """Whether a line within the image is on no other cell than the two it joins."""
    at = np.rint(points).astype(np.intp)
    return bool(np.isin(cells.labels[at[:, 0], at[:, 1]], (0, *ends)).all())


def _beside(line: scipy.spatial.KDTree, other: scipy.spatial.KDTree) -> float:
    """Returns the share of a line's points that another line is near."""
    return float(np.mean(other.query(line.data, distance_upper_bound=APART)[0] <= APART))


def _beads(points: Float32Array, peak: float, width: float, rng: np.random.Generator) -> Ink:
    """Swellings along a bridge."""
    places = rng.integers(0, len(points), rng.poisson(len(points) * STEP / rng.choice([25.0, 60.0])))
    sigmas = np.maximum(width / 2.355 * rng.uniform(1.1, 1.7, len(places)), 0.8)
    return spots(points[places], peak * rng.uniform(0.4, 1.6, len(places)), sigmas)
