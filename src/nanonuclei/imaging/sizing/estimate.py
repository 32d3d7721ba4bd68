"""What a network tells of the diameters of objects, beside the scores of its classes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.types import Float32Array

OCTAVE = 24
"""Steps per doubling of the diameter in a target, whose uint8 then reaches 2**(255 / 24) = 1578 px."""

OCTAVES = 8.0
"""A network tells ``log2(diameter) / OCTAVES``: diameters up to 256 px."""


def foreground(answer: Float32Array) -> NDArray[np.bool_]:
    """Returns the pixels of objects of a map, ``(height, width)``; see `median_diameter`."""
    return np.asarray(answer[..., 0] < 0.5)


def numbers(answer: Float32Array) -> NDArray[np.float64]:
    """Returns for every foreground pixel of a map the share of an object that it is: ``1 / (pi d**2 / 4)``."""
    octaves = answer[..., -1][foreground(answer)].astype(np.float64) * OCTAVES
    return np.asarray(4.0 / math.pi * 4.0**-octaves)


def median_diameter(*answers: Float32Array) -> tuple[float, float]:
    """Returns the median diameter of the objects of maps together, and about how many objects it rests on.

    Every foreground pixel tells the diameter d of its object; it counts as ``1 / (pi d**2 / 4)`` of an object, so that
    small and large objects weigh alike.

    Args:
        *answers: Each ``(height, width, classes + 1)``: class probabilities, the background first; then
            ``log2(diameter) / OCTAVES``.

    Returns:
        The diameter in px of the maps, and the number; ``(nan, 0)`` without foreground.
    """
    shares = np.sort(np.concatenate([numbers(answer) for answer in answers]))[::-1]
    if shares.size == 0:
        return math.nan, 0.0
    summed = np.cumsum(shares)
    middle = shares[int(np.searchsorted(summed, summed[-1] / 2.0))]
    return float(np.sqrt(4.0 / math.pi / middle)), float(summed[-1])
