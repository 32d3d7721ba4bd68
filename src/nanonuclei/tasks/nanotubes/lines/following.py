"""Following thin bright lines beyond what was found of them, as far as the image shows them, until they meet a cell."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray

from nanonuclei.imaging.types import Float32Array, Int32Array
from nanonuclei.tasks.nanotubes.lines.line import STEP, resample
from nanonuclei.tasks.nanotubes.lines.ridges import NORMAL_MAD

AHEAD = 12.0
"""Length at the end of a line that tells where it is heading, px."""

BESIDE = (3.0, 4.0)
"""How far beside a line its surroundings are taken from, px: a nanotube is at most 3 px wide, and blurred."""

REACH, ADVANCE = 10, 5
"""How far ahead a line is looked for, and how much of that is then taken, px."""

FAN = np.linspace(-0.3, 0.3, 11)
"""Turns that are tried, radians."""

STRAIGHT = 0.25
"""Share of a line's contrast that the largest turn must win to be taken."""

ROUNDS = 40
"""Most advances from one end."""

PIECE = 32_000
"""Samples that OpenCV's `remap` takes along one axis of its maps: fewer than 2**15 - 1."""


@dataclass(frozen=True)
class Ground:
    """What lines are followed on.

    Attributes:
        fine: ``(height, width)`` float32, the image without cells, smoothed a little.
        coarse: The same, smoothed more: what surrounds a line.
        cells: ``(height, width)`` int32, label of the cell that a line has met at a pixel, 0 for none.
        noise: Standard deviation of the noise of a pixel of `fine`, grey values.
    """

    fine: Float32Array
    coarse: Float32Array
    cells: Int32Array
    noise: float


def make_ground(even: Float32Array, cells: Int32Array) -> Ground:
    """Returns the ground of an image.

    Args:
        even: ``(height, width)`` float32, cells replaced by what is about them.
        cells: ``(height, width)`` labels of all pixels that are a cell's or so near that its light hides a line.
    """
    fine, coarse = cv2.GaussianBlur(even, (0, 0), 0.6), cv2.GaussianBlur(even, (0, 0), 1.0)
    steps = np.abs(np.diff(fine, axis=1))[:, ::4]
    # The difference of two pixels has twice the variance of one, but blurred ones are alike: about the same is left.
    return Ground(fine, coarse, cells, NORMAL_MAD * float(np.median(steps)))


def contrast(ground: Ground, points: NDArray[np.float64], along: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns how much brighter than its surroundings on both sides a line is at points, in grey values.

    Args:
        ground: The image.
        points: ``(n, ..., 2)`` y and x.
        along: ``(n, ..., 2)`` unit vectors along the line.
    """
    across = np.stack([along[..., 1], -along[..., 0]], axis=-1)
    sides = [values_at(ground.coarse, points + side * far * across) for far in BESIDE for side in (-1.0, 1.0)]
    return np.asarray(values_at(ground.fine, points) - np.mean(sides, axis=0), np.float64)


def values_at(image: Float32Array, points: NDArray[np.float64]) -> Float32Array:
    """Returns an image's values between its pixels, linear, at any number of points; beyond its border that of it.

    Args:
        image: ``(height, width)`` float32.
        points: ``(..., 2)`` y and x, px.

    Returns:
        ``(...)`` float32.
    """
    flat = points.astype(np.float32).reshape(-1, 2)
    values = np.empty(len(flat), np.float32)
    for first in range(0, len(flat), PIECE):
        piece = flat[None, first : first + PIECE]
        found = cv2.remap(image, piece[..., 1], piece[..., 0], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        values[first : first + PIECE] = found[0]
    return values.reshape(points.shape[:-1])


def line_contrast(ground: Ground, points: Float32Array) -> NDArray[np.float64]:
    """Returns the contrast along a line, averaged over 5 px, ``(n,)`` for points `STEP` apart."""
    places = points.astype(np.float64)
    if len(places) < 2:
        return np.zeros(len(places))
    along = scipy.ndimage.gaussian_filter1d(np.gradient(places, axis=0), 4.0, axis=0, mode="nearest")
    along /= np.maximum(np.hypot(*along.T), 1e-6)[:, None]
    values: NDArray[np.float64] = scipy.ndimage.uniform_filter1d(contrast(ground, places[None], along[None])[0], 10)
    return values


def straight_contrasts(ground: Ground, lines: list[Float32Array]) -> NDArray[np.float64]:
    """Returns the median contrast of each of several straight lines."""
    if not lines:
        return np.zeros(0)
    points = np.concatenate(lines).astype(np.float64)
    lengths = np.array([len(line) for line in lines])
    chords = np.array([line[-1] - line[0] for line in lines], np.float64)
    chords /= np.maximum(np.hypot(*chords.T), 1e-6)[:, None]
    values = contrast(ground, points[:, None], np.repeat(chords, lengths, axis=0)[:, None])[:, 0]
    return np.array([np.median(part) for part in np.split(values, np.cumsum(lengths)[:-1])])


def follow(
    ground: Ground, lines: list[Float32Array], *, levels: NDArray[np.float64], share: float
) -> list[tuple[Float32Array, int]]:
    """Follows lines beyond their last points while they are bright enough.

    Args:
        ground: The image.
        lines: ``(n, 2)`` points each, `STEP` apart.
        levels: Contrast of each line.
        share: Of its contrast that a line keeps where it goes on.

    Returns:
        Of each line the points beyond its last one and the label of the cell that it meets there, 0 for none.
    """
    at = np.array([line[-1] for line in lines], np.float64).reshape(-1, 2)
    heading = np.array([_heading(line) for line in lines], np.float64).reshape(-1, 2)
    ways = [[place] for place in at.copy()]
    met = np.zeros(len(lines), np.int64)
    active = np.arange(len(lines))
    distances = np.arange(1.0, REACH + 1.0)
    for _ in range(ROUNDS):
        if not len(active):
            break
        turned = _turned(heading[active])  # ends, turns, 2
        points = at[active][:, None, None] + distances[:, None] * turned[:, :, None]
        inside = np.all((points >= 0) & (points <= np.array(ground.fine.shape) - 1), axis=-1)
        pixels = np.clip(np.rint(points).astype(int), 0, np.array(ground.fine.shape) - 1)
        hit = ground.cells[pixels[..., 0], pixels[..., 1]]
        first = np.where((hit > 0).any(axis=-1), np.argmax(hit > 0, axis=-1), REACH)
        values = contrast(ground, points, np.broadcast_to(turned[:, :, None], points.shape))
        counted = (distances - 1.0 < np.maximum(first, 1)[..., None]) & inside
        mean = np.where(counted, values, 0.0).sum(axis=-1) / np.maximum(counted.sum(axis=-1), 1)
        mean = np.where(first <= 1, np.maximum(mean, levels[active][:, None]), mean)
        mean = np.where(inside[..., 0], mean, -np.inf)
        worth = mean - STRAIGHT * levels[active][:, None] * np.abs(FAN) / np.abs(FAN).max()
        chosen = np.argmax(worth, axis=1)
        rows = np.arange(len(active))
        good = np.asarray(mean[rows, chosen] >= share * levels[active], bool)
        reached = np.asarray(first[rows, chosen] < REACH, bool)
        for row in np.flatnonzero(good):
            end, steps = active[row], first[row, chosen[row]]
            if reached[row]:
                met[end] = hit[row, chosen[row], steps]
                ways[end].append(points[row, chosen[row], steps])
            else:
                at[end] = points[row, chosen[row], ADVANCE - 1]
                heading[end] = turned[row, chosen[row]]
                ways[end].append(at[end].copy())
        active = active[good & ~reached]
    return [
        (resample(np.array(way))[1:] if len(way) > 1 else np.zeros((0, 2), np.float32), int(cell))
        for way, cell in zip(ways, met, strict=True)
    ]


def _heading(line: Float32Array) -> NDArray[np.float64]:
    """Returns where the last part of a line points, a unit vector: the main axis of its points."""
    last = line[-1 - int(AHEAD / STEP) :].astype(np.float64)
    if len(last) < 2:
        return np.array([0.0, 1.0])
    axis = np.linalg.svd(last - last.mean(axis=0), full_matrices=False)[2][0]
    return np.asarray(axis if axis @ (last[-1] - last[0]) >= 0.0 else -axis, np.float64)


def _turned(heading: NDArray[np.float64]) -> NDArray[np.float64]:
    cos, sin = np.cos(FAN), np.sin(FAN)
    y, x = heading[:, :1], heading[:, 1:]
    return np.stack([cos * y + sin * x, cos * x - sin * y], axis=-1)
