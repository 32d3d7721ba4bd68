"""The size of the nuclei of an image, estimated from what the network says of each pixel, and what follows from it."""

from __future__ import annotations

import numpy as np

from nanonuclei.imaging.types import Float32Array

OCTAVE = 24
"""Steps per doubling of the diameter in a target, whose uint8 then reaches 2**(255 / 24) = 1578 px."""

OCTAVES = 8.0
"""A network tells ``log2(diameter) / OCTAVES``: diameters up to 256 px."""

FEWEST = 3.0
"""Nuclei that an estimate must rest on."""


def median_diameter(answer: Float32Array) -> tuple[float, float]:
    """Returns the median diameter of the nuclei of a map, and about how many nuclei it rests on.

    Every foreground pixel tells the diameter d of its nucleus; it counts as ``1 / (pi d**2 / 4)`` of a nucleus, so that
    small and large nuclei weigh alike.

    Args:
        answer: ``(height, width, classes + 1)``: class probabilities, the background first; then
            ``log2(diameter) / OCTAVES``.

    Returns:
        The diameter in px of the map, and the number; ``(nan, 0)`` without foreground.
    """
    inside = answer[..., 0] < 0.5
    octaves = answer[..., -1][inside] * OCTAVES
    if octaves.size == 0:
        return float("nan"), 0.0
    order = np.argsort(octaves)
    octaves = octaves[order].astype(np.float64)
    weights = np.cumsum(4.0 / np.pi * 4.0 ** -octaves)
    middle = int(np.searchsorted(weights, weights[-1] / 2.0))
    return float(2.0 ** octaves[middle]), float(weights[-1])
