"""A picture of the image with its objects outlined, to look at."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.outline_colours import COLOURS, outline_colours
from nanonuclei.imaging.types import Image, Int32Array, UInt8Array
from nanonuclei.report.exports.png import palette_png

_GREYS = 256 - len(COLOURS)
"""Steps of grey; the numbers of the colours follow them."""

_BRIGHTNESS = 0.7
"""How bright white is drawn, so that the colours stand out."""

_DARK, _BRIGHT = 1.0, 99.8
"""Percentiles of the image that become black and white."""

_SAMPLES = 40_000
"""About as many pixels tell the contrast."""


def overlay(image: Image, labels: Int32Array) -> bytes:
    """Draws the image in grey, its contrast stretched, with the border pixels of each object in colour.

    Args:
        image: ``(height, width)`` or ``(height, width, 3)``, uint8, uint16 or float32.
        labels: ``(height, width)``, 0 background.

    Returns:
        A PNG of the same size.
    """
    drawn = _grey(image)
    edge = np.zeros(labels.shape, bool)
    for one, other in (
        ((slice(1, None),), (slice(None, -1),)),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        differs = labels[one] != labels[other]
        edge[one] |= differs
        edge[other] |= differs
    edge[0] = edge[-1] = edge[:, 0] = edge[:, -1] = True
    edge &= labels > 0
    drawn[edge] = _GREYS + outline_colours(labels, edge)[labels[edge]]
    greys = np.repeat(np.arange(_GREYS)[:, None] * _BRIGHTNESS, 3, axis=1)
    return palette_png(drawn, np.concatenate([greys, COLOURS]).astype(np.uint8))


def _grey(image: Image) -> UInt8Array:
    step = max(1, int(np.sqrt(image.shape[0] * image.shape[1] / _SAMPLES)))
    low, high = np.percentile(image[::step, ::step], (_DARK, _BRIGHT))
    factor = (_GREYS - 1) / max(float(high - low), 1e-9)
    if image.dtype == np.uint8 and image.ndim == 2:
        return np.asarray(cv2.LUT(image, _stretched(np.arange(256), low, factor)), np.uint8)
    plain = image
    if image.ndim == 3:
        colours = image.astype(np.float32)
        plain = (colours[..., 0] + colours[..., 1] + colours[..., 2]) / np.float32(3)
    return _stretched(plain, low, factor)


def _stretched(grey: NDArray[Any], low: float, factor: float) -> UInt8Array:
    stretched = (grey.astype(np.float32) - np.float32(low)) * np.float32(factor)
    return np.asarray(np.clip(stretched, 0, _GREYS - 1), np.uint8)
