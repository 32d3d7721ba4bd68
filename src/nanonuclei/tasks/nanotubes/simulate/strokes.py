"""Thin light: points, spots and strokes with a Gaussian profile, drawn all at once at sub-pixel places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.nanotubes.lines.line import STEP, resample

FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian / its standard deviation."""

_SIGMAS = np.array([0.5, 0.65, 0.85, 1.1, 1.5, 2.1, 3.0])
"""Standard deviations of the layers, px; in between, light is shared between two layers."""

_SPLAT = 0.25
"""Variance, px^2, that sharing a point among nine pixels adds per axis: that of a quadratic B-spline, the same wherever
the point lies between them."""


@dataclass(frozen=True)
class Ink:
    """Light to be drawn.

    Attributes:
        points: ``(n, 2)`` float32, y and x, px; may lie outside the image.
        amounts: ``(n,)`` float32, light of a point summed over the image.
        sigmas: ``(n,)`` float32, standard deviation of its profile, px.
    """

    points: Float32Array
    amounts: Float32Array
    sigmas: Float32Array

    def __len__(self) -> int:
        return len(self.points)


def stroke(points: Float32Array, peaks: NDArray[Any] | float, widths: NDArray[Any] | float) -> Ink:
    """Makes a stroke along points that are `STEP` apart.

    Args:
        points: ``(n, 2)`` y and x, px.
        peaks: Light on the centre line, one for all or ``(n,)``.
        widths: Full width at half maximum of the profile across, px, one for all or ``(n,)``.
    """
    sigmas = np.broadcast_to(np.asarray(widths, np.float32) / np.float32(FWHM), len(points))
    amounts = np.asarray(peaks, np.float32) * sigmas * np.float32(math.sqrt(2.0 * math.pi) * STEP)
    return Ink(points, np.broadcast_to(amounts, len(points)), sigmas)


def spots(points: NDArray[Any], peaks: NDArray[Any] | float, sigmas: NDArray[Any] | float) -> Ink:
    """Makes round spots.

    Args:
        points: ``(n, 2)`` y and x, px.
        peaks: Light in the middle, one for all or ``(n,)``.
        sigmas: Standard deviation, px, one for all or ``(n,)``.
    """
    wide = np.broadcast_to(np.asarray(sigmas, np.float32), len(points))
    amounts = np.asarray(peaks, np.float32) * wide**2 * np.float32(2.0 * math.pi)
    return Ink(np.asarray(points, np.float32).reshape(-1, 2), np.broadcast_to(amounts, len(points)), wide)


def join(inks: Sequence[Ink]) -> Ink:
    """Puts inks together."""
    if not inks:
        return Ink(np.zeros((0, 2), np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32))
    return Ink(
        np.concatenate([ink.points for ink in inks]),
        np.concatenate([ink.amounts for ink in inks]),
        np.concatenate([ink.sigmas for ink in inks]),
    )


def render(ink: Ink, size: int) -> Float32Array:
    """Draws ink on a dark ground.

    Args:
        ink: What to draw. Standard deviations are kept within 0.5 to 3 px.
        size: Side of the image, px.

    Returns:
        ``(size, size)`` float32.
    """
    light = np.zeros((size, size), np.float32)
    base = np.rint(ink.points).astype(np.int64)
    inside = ((base >= 1) & (base < size - 1)).all(axis=1)
    base = base[inside]
    beside = ink.points[inside] - base
    shares = (0.5 * (0.5 - beside) ** 2, 0.75 - beside**2, 0.5 * (0.5 + beside) ** 2)
    variances, layers = ink.sigmas[inside].astype(np.float64) ** 2, _SIGMAS**2
    place = np.clip(np.searchsorted(layers, variances, side="right") - 1, 0, len(layers) - 2)
    upper = np.clip((variances - layers[place]) / np.diff(layers)[place], 0.0, 1.0)
    for number, variance in enumerate(layers):
        weight = np.where(place == number, 1.0 - upper, np.where(place == number - 1, upper, 0.0))
        chosen = weight > 0.0
        if not chosen.any():
            continue
        middles = base[chosen, 0] * size + base[chosen, 1]
        amounts = (weight * ink.amounts[inside])[chosen]
        steps = list(product((-1, 0, 1), (-1, 0, 1)))
        places = np.concatenate([middles + (dy * size + dx) for dy, dx in steps])
        parts = np.concatenate([amounts * shares[dy + 1][chosen, 0] * shares[dx + 1][chosen, 1] for dy, dx in steps])
        flat = np.bincount(places, parts, size * size).astype(np.float32).reshape(size, size)
        light += _blur(flat, float(variance) - _SPLAT)
    return light


def _blur(light: Float32Array, variance: float) -> Float32Array:
    """Blurs by this variance, px^2; a sampled Gaussian as narrow as a pixel would have less."""
    if variance >= 0.5:
        wide: Float32Array = cv2.GaussianBlur(light, (0, 0), math.sqrt(variance))
        return wide
    kernel = np.array([variance / 2.0, 1.0 - variance, variance / 2.0])
    narrow: Float32Array = cv2.sepFilter2D(light, -1, kernel, kernel)
    return narrow


def bow(
    start: NDArray[Any], end: NDArray[Any], *, sag: float, sway: NDArray[Any] | Sequence[float] = ()
) -> Float32Array:
    """Draws a nearly straight curve: a parabola with a little sway.

    Args:
        start: y and x of the first end, px.
        end: The last end.
        sag: How far the middle lies beside the chord, as a share of its length: below a chord that runs to
            the right, above it if negative.
        sway: Heights of sine waves with 2, 3... half periods over the chord, as shares of its length.

    Returns:
        ``(n, 2)`` float32, points `STEP` apart.
    """
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    chord = end - start
    t = np.linspace(0.0, 1.0, max(int(math.hypot(*chord) / 2.0), 8) + 1)
    aside = 4.0 * sag * t * (1.0 - t)
    for order, height in enumerate(sway, start=2):
        aside += height * np.sin(order * math.pi * t)
    return resample(start + t[:, None] * chord + aside[:, None] * np.array([chord[1], -chord[0]]))


def unevenness(num_points: int, scale: float, rng: np.random.Generator) -> Float32Array:
    """Draws a smooth random curve along a stroke: mean about 0, standard deviation about 1.

    Args:
        num_points: Points of the stroke.
        scale: Distance over which it changes, px.
        rng: Source of all randomness.
    """
    knots = rng.standard_normal(int(num_points * STEP / scale) + 3)
    along = np.arange(num_points) * STEP / scale
    # Between independent knots the variance of a straight interpolation is 2/3 on average.
    curve: Float32Array = (np.interp(along, np.arange(len(knots)), knots) * math.sqrt(1.5)).astype(np.float32)
    return curve
