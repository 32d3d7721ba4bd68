"""Outlines of single cells and their nuclei; where they lie is in `cells.py`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from nanonuclei.imaging.types import Float32Array

NUM_ANGLES = 160
"""Points of an outline."""

_ANGLES = np.arange(NUM_ANGLES) * (2.0 * math.pi / NUM_ANGLES)
_COMPASS = np.stack([np.sin(_ANGLES), np.cos(_ANGLES)], axis=1)


@dataclass(frozen=True)
class Look:
    """What the cells of one image have in common.

    Attributes:
        radius: Mean radius of a spread cell, px.
        spindles: Share of long cells.
        rounded: Share of small round cells.
        hollow: How far sides are drawn in, as a share of their distance from the middle; below 0 they bulge.
        direction: Common direction of long axes, radians.
        alignment: Standard deviation of the single directions, radians.
        grouping: Share of cells that lie against another one.
    """

    radius: float
    spindles: float
    rounded: float
    hollow: float
    direction: float
    alignment: float
    grouping: float


@dataclass(frozen=True)
class Body:
    """One cell about its own middle.

    Attributes:
        radii: ``(NUM_ANGLES,)``, distance of the outline from the middle per angle, px; angles turn from +x to +y.
        nucleus: ``(NUM_ANGLES, 2)``, y and x of the outline of its nucleus, px.
        direction: Angle of the long axis, radians.
        rounded: Whether it is one of the small round cells.
    """

    radii: NDArray[np.float64]
    nucleus: Float32Array
    direction: float
    rounded: bool

    @property
    def outline(self) -> NDArray[np.float64]:
        """``(NUM_ANGLES, 2)``, y and x, px."""
        outline: NDArray[np.float64] = self.radii[:, None] * _COMPASS
        return outline


def draw_look(radius: float, rng: np.random.Generator) -> Look:
    """Draws what the cells of one image have in common.

    Args:
        radius: Mean radius of a spread cell, px.
        rng: Source of all randomness.
    """
    return Look(
        radius=radius,
        spindles=rng.choice([rng.uniform(0.0, 0.25), rng.uniform(0.35, 0.9)]),
        rounded=rng.uniform(0.0, 0.08),
        hollow=rng.uniform(-0.14, 0.12),
        direction=rng.uniform(0.0, math.pi),
        alignment=rng.choice([0.35, 3.0], p=[0.3, 0.7]),
        grouping=rng.uniform(0.3, 0.75),
    )


def draw_body(look: Look, rng: np.random.Generator) -> Body:
    """Draws one cell: spread between corners, some of them drawn out to processes, or small and round."""
    rounded = bool(rng.random() < look.rounded)
    spindle = not rounded and rng.random() < look.spindles
    radius = look.radius * math.exp(0.22 * rng.standard_normal()) * (0.55 if rounded else 1.0)
    ratio = rng.uniform(1.8, 3.2) if spindle else rng.uniform(1.0, 1.15 if rounded else 1.6)
    direction = look.direction + look.alignment * rng.standard_normal()
    if rounded:
        radii = _ellipse(_ANGLES - direction, radius, ratio)
    else:
        corners = np.linspace(0, 2 * math.pi, 4 if spindle else rng.integers(5, 10), endpoint=False)
        corners = np.sort(direction + corners + rng.uniform(-0.28, 0.28, len(corners)) * (4.0 / len(corners)))
        reach = _ellipse(corners - direction, radius, ratio) * np.exp(0.17 * rng.standard_normal(len(corners)))
        radii = _spanned(corners, reach, look.hollow + rng.uniform(-0.14, 0.14, len(corners)))
        for _ in range(rng.poisson(0.7)):  # processes: thin, drawn out at a corner
            turned = np.abs((_ANGLES - rng.choice(corners) + math.pi) % (2.0 * math.pi) - math.pi)
            radii += radius * rng.uniform(0.2, 0.9) * np.exp(-turned / rng.uniform(0.06, 0.2))
        radii = scipy.ndimage.gaussian_filter1d(radii, rng.uniform(1.2, 4.0), mode="wrap")
        ruffles = scipy.ndimage.gaussian_filter1d(rng.standard_normal(NUM_ANGLES), 1.8, mode="wrap")
        radii *= 1.0 + rng.uniform(0.01, 0.07) * ruffles
        radii *= radius / math.sqrt(float(np.mean(radii**2)))
    inside = radius * rng.uniform(0.62, 0.78) if rounded else look.radius * rng.uniform(0.38, 0.5)
    core = np.minimum(_ellipse(_ANGLES - direction, inside, min(ratio, 2.4) ** 0.6), 0.8 * radii)
    core *= 1.0 + 0.03 * rng.standard_normal() * np.cos(3 * _ANGLES + rng.uniform(0, 2 * math.pi))
    core = scipy.ndimage.gaussian_filter1d(core, 3.0, mode="wrap")
    offset = np.zeros(2) if rounded else rng.uniform(-0.12, 0.12, 2) * radius
    return Body(radii, (core[:, None] * _COMPASS + offset).astype(np.float32), direction, rounded)


def _spanned(corners: NDArray[Any], reach: NDArray[Any], hollow: NDArray[Any]) -> NDArray[np.float64]:
    """Spans an outline between corners: sides are quadratic Bezier curves, drawn in where hollow is above 0.

    Args:
        corners: ``(k,)`` ascending angles within one turn, radians.
        reach: ``(k,)`` their distances from the middle.
        hollow: ``(k,)`` share by which the control point of a side is nearer to the middle than the side's own middle.

    Returns:
        ``(NUM_ANGLES,)`` distances from the middle.
    """
    ends = reach[:, None] * np.stack([np.sin(corners), np.cos(corners)], axis=1)
    following = np.roll(ends, -1, axis=0)
    control = 0.5 * (ends + following) * (1.0 - 2.0 * hollow[:, None])
    t = np.linspace(0.0, 1.0, 24, endpoint=False)[None, :, None]
    sides = (1.0 - t) ** 2 * ends[:, None] + 2.0 * t * (1.0 - t) * control[:, None] + t**2 * following[:, None]
    points = sides.reshape(-1, 2)
    angles = np.arctan2(points[:, 0], points[:, 1]) % (2.0 * math.pi)
    order = np.argsort(angles, kind="stable")
    spanned: NDArray[np.float64] = np.interp(_ANGLES, angles[order], np.hypot(*points.T)[order], period=2.0 * math.pi)
    return spanned


def _ellipse(angles: NDArray[Any], radius: float, ratio: float) -> NDArray[np.float64]:
    """Distances from the middle of an ellipse of this mean radius; its long axis lies at angle 0."""
    long, short = radius * math.sqrt(ratio), radius / math.sqrt(ratio)
    radii: NDArray[np.float64] = long * short / np.hypot(short * np.cos(angles), long * np.sin(angles))
    return radii
