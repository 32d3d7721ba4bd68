"""What looks like a nanotube and is none: filopodia, retraction fibres, stress fibres, debris, lint and scratches."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.nanotubes.simulate.cells import Cells, Edge, depth
from nanonuclei.tasks.nanotubes.simulate.strokes import Ink, bow, join, render, spots, stroke, unevenness

FREE_END = 5.0
"""Least distance of the free end of a filopodium or retraction fibre to any cell, px; along it, half of that."""


def grow_filopodia(cells: Cells, edge: Edge, *, amount: float, peak: float, rng: np.random.Generator) -> Ink:
    """Draws groups of short spikes that leave a cell and end free.

    Args:
        cells: Shapes and places.
        edge: Where they may begin.
        amount: Groups per cell, about.
        peak: Light of a usual one on its centre line.
        rng: Source of all randomness.
    """
    room = np.where(cells.labels == 0, depth(cells.labels), np.float32(0.0))
    inks = []
    for group in _groups(cells, edge, amount, rng):
        num, spread = int(rng.integers(1, 8)), rng.uniform(3.0, 20.0)
        mean = rng.uniform(6.0, 18.0)
        for at in _near(edge, group, spread, num, rng):
            length = float(np.clip(mean * rng.gamma(3.0, 0.33), 4.0, 32.0))
            end = edge.points[at] + length * _turned(edge.normals[at], 0.4 * rng.standard_normal())
            points = bow(edge.points[at], end, sag=rng.normal(0.0, 0.08))
            if _ends_free(points, room):
                taper = np.linspace(1.0, rng.uniform(0.3, 0.8), len(points))
                along = np.exp(0.2 * unevenness(len(points), 6.0, rng)) * taper
                inks.append(
                    stroke(points, peak * rng.uniform(0.4, 1.4) * along, rng.uniform(1.0, 2.0) * (0.4 + 0.6 * taper))
                )
    return join(inks)


def grow_retraction_fibres(cells: Cells, edge: Edge, *, amount: float, peak: float, rng: np.random.Generator) -> Ink:
    """Draws bundles of long fibres that a cell leaves on the substrate behind it; they end free, in a dot.

    Args:
        cells: Shapes and places.
        edge: Where they may begin.
        amount: Bundles per cell, about.
        peak: Light of a usual one on its centre line.
        rng: Source of all randomness.
    """
    room = np.where(cells.labels == 0, depth(cells.labels), np.float32(0.0))
    inks = []
    for group in _groups(cells, edge, amount, rng):
        mean = rng.uniform(18.0, 55.0)
        for at in _near(edge, group, rng.uniform(6.0, 25.0), int(rng.integers(2, 9)), rng):
            ahead = _turned(edge.normals[group], rng.normal(0.0, 0.16))
            end = edge.points[at] + mean * rng.uniform(0.5, 1.4) * ahead
            inks.extend(_fibre(edge.points[at], end, peak=peak, room=room, rng=rng))
    return join(inks)


def draw_stress_fibres(cells: Cells, *, amount: float, peak: float, rng: np.random.Generator) -> Ink:
    """Draws straight parallel fibres within cells, along their long axis.

    Args:
        cells: Shapes and places.
        amount: Share of the cells that have them, about.
        peak: Light of a usual one on its centre line.
        rng: Source of all randomness.
    """
    inside = depth(cells.labels)
    inks = []
    for label in 1 + np.flatnonzero((rng.random(len(cells)) < amount) & ~cells.rounded):
        outline, direction = cells.outlines[label - 1], float(cells.directions[label - 1])
        middle = outline.mean(axis=0)
        reach = float(np.hypot(*(outline - middle).T).max())
        along, strength = np.array([math.sin(direction), math.cos(direction)]), peak * rng.uniform(0.4, 1.3)
        across = np.array([-along[1], along[0]])
        for _ in range(rng.integers(4, 18)):
            turned = _turned(along, 0.1 * rng.standard_normal())
            start = middle + across * reach * rng.uniform(-0.7, 0.7) + along * reach * rng.uniform(-0.6, 0.6)
            half = reach * rng.uniform(0.2, 0.7)
            points = bow(start - half * turned, start + half * turned, sag=rng.normal(0.0, 0.02))
            at = np.clip(np.rint(points), 0, len(inside) - 1).astype(np.intp)
            kept = (cells.labels[tuple(at.T)] == label) & (inside[tuple(at.T)] > 2.5)
            light = strength * rng.uniform(0.4, 1.2) * np.exp(0.3 * unevenness(len(points), 8.0, rng)) * kept
            inks.append(stroke(points, light, rng.uniform(1.0, 2.2)))
    return join(inks)


def link_sisters(cells: Cells, *, peak: float, rng: np.random.Generator) -> Ink:
    """Draws the links of cells that have just divided: short, thick and bright, with the midbody in the middle.

    Args:
        cells: Shapes and places.
        peak: Light of a usual one on its centre line.
        rng: Source of all randomness.
    """
    inks = []
    for first, second in cells.sisters:
        ends = np.array([cells.outlines[label - 1].mean(axis=0) for label in (first, second)])
        reach = [
            float(np.hypot(*(cells.outlines[label - 1] - end).T).min())
            for label, end in zip((first, second), ends, strict=True)
        ]
        ahead = (ends[1] - ends[0]) / max(float(np.hypot(*(ends[1] - ends[0]))), 1e-3)
        points = bow(ends[0] + (reach[0] - 1.0) * ahead, ends[1] - (reach[1] - 1.0) * ahead, sag=rng.normal(0.0, 0.03))
        t = np.linspace(-1.0, 1.0, len(points))
        light = peak * rng.uniform(0.7, 1.3)
        inks.append(stroke(points, light * (0.5 + 0.5 * t**2), rng.uniform(2.6, 3.6) + 3.0 * np.abs(t) ** 3))
        inks.append(spots(points[[len(points) // 2]], light * rng.uniform(0.6, 1.5), rng.uniform(1.2, 1.9)))
    return join(inks)


def scatter_debris(size: int, *, num: int, peak: float, rng: np.random.Generator) -> Ink:
    """Draws specks, clumps and short rods anywhere.

    Args:
        size: Side of the image, px.
        num: How many.
        peak: Light of a usual one.
        rng: Source of all randomness.
    """
    inks = []
    for place in rng.uniform(0, size, (num, 2)):
        light = peak * rng.lognormal(0.0, 0.8)
        if rng.random() < 0.15:
            half = rng.uniform(2.0, 8.0) * _turned(np.array([0.0, 1.0]), rng.uniform(0.0, math.pi))
            points = bow(place - half, place + half, sag=rng.normal(0.0, 0.05))
            inks.append(stroke(points, 0.6 * light, rng.uniform(1.2, 3.5)))
        else:
            scale = rng.choice([0.7, 1.6, 2.6], p=[0.6, 0.3, 0.1])
            parts = place + 1.6 * scale * rng.standard_normal((rng.integers(1, 6), 2))
            inks.append(
                spots(parts, light * rng.uniform(0.3, 1.0, len(parts)), scale * rng.uniform(0.8, 1.3, len(parts)))
            )
    return join(inks)


def draw_lint(size: int, *, num: int, peak: float, rng: np.random.Generator) -> Ink:
    """Draws long bright fibres that run across cells and background alike.

    Args:
        size: Side of the image, px.
        num: How many.
        peak: Light of a usual one on its centre line.
        rng: Source of all randomness.
    """
    inks = []
    for _ in range(num):
        middle, ahead = rng.uniform(0, size, 2), _turned(np.array([0.0, 1.0]), rng.uniform(0.0, math.pi))
        half = 0.5 * size * rng.uniform(0.1, 0.6) * ahead
        points = bow(middle - half, middle + half, sag=rng.normal(0.0, 0.12), sway=rng.normal(0.0, 0.03, 3))
        light = peak * np.exp(0.35 * unevenness(len(points), 20.0, rng))
        inks.append(stroke(points, light, rng.uniform(1.2, 3.0)))
    return join(inks)


def scratch(size: int, *, num: int, rng: np.random.Generator) -> Float32Array:
    """Draws fine dark scratches, straight, broken, often in parallel.

    Args:
        size: Side of the image, px.
        num: How many groups.
        rng: Source of all randomness.

    Returns:
        ``(size, size)`` float32 in 0.2..1, the share of light that is left.
    """
    inks = []
    for _ in range(num):
        direction = rng.uniform(0.0, math.pi)
        place = rng.uniform(0, size, 2)
        for _ in range(rng.integers(1, 4)):
            ahead = _turned(np.array([0.0, 1.0]), direction + 0.03 * rng.standard_normal())
            middle = place + rng.uniform(-12.0, 12.0, 2)
            half = size * rng.uniform(0.05, 0.5) * ahead
            points = bow(middle - half, middle + half, sag=rng.normal(0.0, 0.01))
            broken = np.clip(0.6 + unevenness(len(points), 25.0, rng), 0.0, 1.0)
            inks.append(stroke(points, rng.uniform(0.15, 0.5) * broken, rng.uniform(1.0, 2.2)))
    left: Float32Array = np.clip(1.0 - render(join(inks), size), 0.2, 1.0)
    return left


def _groups(cells: Cells, edge: Edge, amount: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of the edge points about which groups stand."""
    if not len(edge):
        return np.zeros(0, np.int64)
    return rng.integers(0, len(edge), rng.poisson(amount * len(cells)))


def _near(edge: Edge, group: int, spread: float, num: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of edge points of the same cell about a point."""
    distances = np.hypot(*(edge.points - edge.points[group]).T)
    places = np.flatnonzero((edge.owners == edge.owners[group]) & (distances <= spread))
    return rng.choice(places, min(num, len(places)), replace=False)


def _turned(vector: NDArray[np.float64] | Float32Array, angle: float) -> NDArray[np.float64]:
    """A vector (y, x) turned by an angle, radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([cos * vector[0] + sin * vector[1], cos * vector[1] - sin * vector[0]])


def _ends_free(points: Float32Array, room: Float32Array) -> bool:
    """Whether a stroke leaves its cell, then keeps clear of all cells, and ends within the image away from them."""
    at = np.rint(points).astype(np.intp)
    if at.min() < 0 or at.max() >= len(room):
        return False
    distance = room[tuple(at.T)]
    beyond = np.argmax(distance > FREE_END / 2.0)
    return bool(distance[-1] >= FREE_END and (distance[beyond:] > FREE_END / 2.0).all() and beyond < 0.8 * len(points))


def _fibre(
    start: Float32Array, end: NDArray[np.float64], *, peak: float, room: Float32Array, rng: np.random.Generator
) -> list[Ink]:
    """One retraction fibre, its branch where it has one, and its dots; nothing where it would not end free."""
    points = bow(start, end, sag=rng.normal(0.0, 0.03), sway=rng.normal(0.0, 0.012, 2))
    if not _ends_free(points, room):
        return []
    parts = [points]
    if rng.random() < 0.25:
        fork = points[int(len(points) * rng.uniform(0.4, 0.8))]
        parts.append(
            bow(fork, fork + 0.7 * _turned(points[-1] - fork, rng.choice([-1, 1]) * rng.uniform(0.2, 0.5)), sag=0.0)
        )
        parts = parts[: 1 + _ends_free(np.concatenate([points[:1], parts[1]]), room)]
    light, width = peak * rng.uniform(0.4, 1.2), rng.uniform(0.9, 1.6)
    inks = []
    for part in parts:
        fading = np.linspace(1.0, 0.6, len(part)) * np.exp(0.25 * unevenness(len(part), 8.0, rng))
        inks.append(stroke(part, light * fading, width))
        if rng.random() < 0.6:
            inks.append(spots(part[-1:], light * rng.uniform(0.5, 1.5), rng.uniform(0.8, 1.5)))
    return inks
