"""What makes a line a candidate: even along its length, clear on its ground, and long for its width."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.nanotubes.config import TubesConfig
from nanonuclei.tasks.nanotubes.lines.following import Ground, values_at
from nanonuclei.tasks.nanotubes.lines.line import Line

STEADY = 0.3
"""Share of its median contrast that nine tenths of a line between two cells have at least."""

WOBBLE = 0.5
"""Largest distance of a line from the parabola nearest to it, px: nanotubes are taut or sag."""

LONG_STEADY, LONG_WOBBLE = 0.1, 2.0
"""The same for lines that are much longer than wide: beads and uneven staining are then no sign of another line."""

DARK = 0.1
"""Ground up to which the least contrast holds; on brighter ground it grows in proportion (Weber's law)."""

SEEN_TO_JOIN = 0.2
"""Share of the least contrast that suffices on dark ground for a line that joins two cells."""

STUBBY = 3.5
"""Length / width of a line that joins two cells, at least: shorter ones are seams within a cell."""

PROFILE = 6.0
"""How far across a line its width is looked for, px."""


def is_even(line: Line, values: NDArray[np.float64], *, wobble: float, steady: float) -> bool:
    """Whether a line is bright all along and bends one way: what is put together of several has gaps and turns."""
    return bool(np.percentile(values, 10) >= steady * np.median(values)) and _wobble(line.points) <= wobble


def least_contrast(line: Line, values: NDArray[np.float64], ground: Ground, config: TubesConfig) -> float:
    """Returns the contrast that a line needs on its ground."""
    level = float(np.median(values_at(ground.coarse, line.points.astype(np.float64)) - values))
    return config.contrast * max(1.0, level / DARK)


def is_bridge(line: Line, values: NDArray[np.float64], least: float, config: TubesConfig) -> bool:
    """Whether a line between two cells is clear enough: that it joins them speaks for it."""
    share = SEEN_TO_JOIN if least <= config.contrast else 1.0
    return line.length >= STUBBY * line.width and float(np.median(values)) >= share * least


def is_clear(line: Line, values: NDArray[np.float64], least: float) -> bool:
    """Whether a line is so clear that, where it is slender too, it need not be seen to join two cells."""
    return float(np.median(values)) >= least and is_even(line, values, wobble=LONG_WOBBLE, steady=LONG_STEADY)


def is_slender(line: Line, config: TubesConfig) -> bool:
    """Whether a line is so long for its width that, where it is clear too, it need not be seen to join two cells."""
    return line.length >= config.slender * line.width


def _wobble(points: Float32Array) -> float:
    """Returns how far a line is from the parabola nearest to it, px: root of the mean square."""
    along = np.linspace(-1.0, 1.0, len(points))
    basis = np.stack([np.ones_like(along), along, along**2], axis=1)
    rest = points - basis @ np.linalg.lstsq(basis, points, rcond=None)[0]
    return float(np.sqrt((rest**2).sum(axis=1).mean()))


def width_across(grey: Float32Array, points: Float32Array) -> float:
    """Returns the full width at half maximum of the mean profile across a line, px."""
    along = np.gradient(points.astype(np.float64), axis=0) if len(points) > 1 else np.array([[0.0, 1.0]])
    across = along[:, ::-1] * np.array([1.0, -1.0])
    across /= np.maximum(np.hypot(*across.T), 1e-6)[:, None]
    offsets = np.arange(-PROFILE, PROFILE + 0.125, 0.25)
    places = points[:, None, :] + offsets[None, :, None] * across[:, None, :]
    profile = np.median(
        scipy.ndimage.map_coordinates(grey, places.reshape(-1, 2).T, order=1, mode="nearest").reshape(len(points), -1),
        axis=0,
    )
    middle = len(offsets) // 2
    peak = middle - 8 + int(np.argmax(profile[middle - 8 : middle + 9]))  # within 2 px of the centre line
    half = (profile[peak] + profile.min()) / 2.0
    below = profile < half
    left = np.flatnonzero(below[:peak])
    right = np.flatnonzero(below[peak:])
    first = offsets[left[-1]] if len(left) else offsets[0]
    last = offsets[peak + right[0]] if len(right) else offsets[-1]
    return float(last - first - 0.25)
