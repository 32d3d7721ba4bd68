"""Thin bright lines in a grey image, by direction: how strongly each pixel lies on the crest of one.

Lines are told apart by their direction as well as by their place, so that two that cross are two.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.types import Float32Array

DIRECTIONS = 16
"""Directions that are told apart, 11.25 degrees from each other."""

LENGTH = 5.0
"""Standard deviation of a filter along the line, px: noise is averaged over about 12 px, bows of a nanotube pass."""

NORMAL_MAD = 1.4826
"""Standard deviation over median absolute deviation of normal noise."""

SAMPLES = 30_000
"""Pixels, about, that the noise is taken from: its relative error is then below 1 %."""

_LIVELY, _ABOUT = 0.4, 7
"""A line is seen beside a brighter one where its answer is at least this share of the largest in such a square, px: a
filter that is turned a little away from a line answers beside it too."""


@dataclass(frozen=True)
class RidgePoints:
    """Pixels on thin lines; where lines cross, a pixel comes once for each.

    Attributes:
        places: ``(n, 2)`` int64, y and x.
        directions: ``(n,)`` int64, 0 along x, then by ``pi / DIRECTIONS`` towards y.
        strengths: ``(n,)`` float32, standard deviations of the noise.
    """

    places: NDArray[np.int64]
    directions: NDArray[np.int64]
    strengths: Float32Array


def ridge_points(
    grey: Float32Array,
    mask: NDArray[np.bool_],
    *,
    narrow: float,
    broad: float,
    least: float,
    wanted: NDArray[np.bool_] | None = None,
) -> RidgePoints:
    """Finds the pixels on the crests of bright lines.

    A filter per direction and width is the second derivative of a Gaussian across the line, negated and without mean,
    times a Gaussian of `LENGTH` along it (Canny's detector, made long; Jacob and Unser 2004, IEEE TPAMI 26(8), section
    4.1). Its answer is divided by the standard deviation of the noise, taken from the median absolute deviation over
    the mask. A pixel is on a crest where neither a neighbour across the line nor a neighbouring direction answers more
    strongly, and no place and direction about it much more so.

    Args:
        grey: ``(height, width)`` float32.
        mask: ``(height, width)``, where lines are looked for; what lies outside is first replaced by the grey values
            about it, so that the borders of cells do not answer.
        narrow: Standard deviation of the narrowest lines, px.
        broad: Of the broadest; the stronger of both answers counts.
        least: Least strength, in standard deviations of the noise.
        wanted: ``(height, width)``, the pixels of the mask that are asked for, which saves time; all where None.
    """
    even = filled(grey, mask)
    inside = np.flatnonzero(mask) if mask.any() else np.arange(mask.size)
    inside = inside[:: max(1, len(inside) // SAMPLES)]
    answers = np.stack([_answer(even, inside, direction, (narrow, broad)) for direction in range(DIRECTIONS)])
    strongest = answers.max(axis=0)
    about = cv2.dilate(strongest, np.ones((_ABOUT, _ABOUT), np.uint8))
    asked = mask & (strongest >= least) if wanted is None else mask & wanted & (strongest >= least)
    rows, columns = np.nonzero(asked)
    there = answers[:, rows, columns]
    best = np.maximum(np.roll(there, 1, axis=0), np.roll(there, -1, axis=0))
    directions, asked_places = np.nonzero(
        (there >= least) & (there >= best) & (there >= _LIVELY * about[rows, columns])
    )
    rows, columns = rows[asked_places], columns[asked_places]
    angles = np.pi * directions / DIRECTIONS
    across = np.rint(np.stack([np.cos(angles), -np.sin(angles)], axis=1)).astype(np.int64)
    places = np.stack([rows, columns], axis=1)
    strengths = answers[directions, rows, columns]
    crest = np.ones(len(places), bool)
    for side in (-1, 1):
        beside = np.clip(places + side * across, 0, np.array(grey.shape) - 1)
        crest &= strengths >= answers[directions, beside[:, 0], beside[:, 1]]
    return RidgePoints(places[crest], directions[crest], strengths[crest])


def filled(grey: Float32Array, mask: NDArray[np.bool_]) -> Float32Array:
    """Replaces what lies outside a mask by means over what lies inside, near where there is some, else further off."""
    filled, known = grey.copy(), mask.copy()
    for spread in (2.0, 8.0, 32.0):
        if known.all():
            break
        weights = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), spread)
        means = cv2.GaussianBlur(np.where(mask, grey, np.float32(0.0)), (0, 0), spread)
        reached = ~known & (weights > 1e-3)
        filled[reached] = means[reached] / weights[reached]
        known |= reached
    filled[~known] = np.median(grey[mask]) if mask.any() else np.median(grey)
    return filled


def _answer(grey: Float32Array, inside: NDArray[np.int64], direction: int, widths: tuple[float, float]) -> Float32Array:
    strongest = np.zeros(grey.shape, np.float32)
    for width in dict.fromkeys(widths):
        answer = cv2.filter2D(grey, cv2.CV_32F, _kernel(direction, width), borderType=cv2.BORDER_REFLECT_101)
        some = answer.ravel()[inside]
        noise = NORMAL_MAD * float(np.median(np.abs(some - np.median(some))))
        strongest = np.maximum(strongest, answer / np.float32(max(noise, 1e-6)))
    return strongest


def _kernel(direction: int, width: float) -> Float32Array:
    reach = int(np.ceil(2.5 * LENGTH))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    angle = np.pi * direction / DIRECTIONS
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    profile = (1.0 - (across / width) ** 2) * np.exp(-0.5 * (across / width) ** 2)
    kernel = profile * np.exp(-0.5 * (along / LENGTH) ** 2)
    kernel -= kernel.mean()
    return np.asarray(kernel / np.abs(kernel).sum(), np.float32)
