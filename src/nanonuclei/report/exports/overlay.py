"""A picture of the image with its objects outlined, and quieter what else was found, to look at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray

from nanonuclei.imaging.distances import distances
from nanonuclei.imaging.outline_colours import COLOURS, outline_colours
from nanonuclei.imaging.types import Image, Int32Array, UInt8Array
from nanonuclei.report.exports.png import colour_png, palette_png

QUIET = (150, 120, 255)
"""Red, green, blue of what is no object."""

_GREYS = 255 - len(COLOURS)
"""Steps of grey; the numbers of the colours follow them, and that of `QUIET`."""

_LETTERS = 0.35
"""Size of numbers, as OpenCV's: digits are 8 px high."""

_BRIGHTNESS = 0.7
"""How bright white is drawn, so that the colours stand out."""

_SHADES = np.arange(256) * _BRIGHTNESS
"""What each step is drawn as."""

_DARK, _BRIGHT = 1.0, 99.8
"""Percentiles of the image that become black and white."""

_SAMPLES = 40_000
"""About as many pixels tell the contrast."""


def overlay(image: Image, labels: Int32Array, layers: Iterable[Int32Array] = ()) -> bytes:
    """Draws the image, in its own colours if it has any, with the border pixels of each object in a bright colour.

    The contrast is stretched, all colours alike, and the image is dimmed a little so that the outlines stand out.

    Args:
        image: ``(height, width)`` or ``(height, width, 3)``, uint8, uint16 or float32.
        labels: ``(height, width)``, 0 background.
        layers: Labels of what else was found, of the same size: a thin line below the objects, and the number where it
            has room.

    Returns:
        A PNG of the same size.
    """
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
    colours, drawn = outline_colours(labels, edge)[labels[edge]], _stretched(image)
    quiet = np.zeros(labels.shape, np.uint8)
    for layer in layers:
        _draw_quietly(quiet, layer)
    if drawn.ndim == 3:
        shown = cv2.LUT(drawn, _SHADES.astype(np.uint8))
        shown[quiet > 0] = QUIET
        shown[edge] = np.asarray(COLOURS, np.uint8)[colours]
        return colour_png(shown)
    drawn[quiet > 0] = _GREYS + len(COLOURS)
    drawn[edge] = _GREYS + colours
    greys = np.repeat(_SHADES[:_GREYS, None], 3, axis=1)
    return palette_png(drawn, np.concatenate([greys, COLOURS, [QUIET]]).astype(np.uint8))


def _draw_quietly(drawn: UInt8Array, labels: Int32Array) -> None:
    """Sets lines of one pixel, one where labels touch, and each number where its label is broadest, to 1."""
    inside = labels == cv2.erode(labels.astype(np.float32), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    drawn[~inside] = 1
    depths = distances(inside & (labels > 0))
    for number, box in enumerate(scipy.ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        depth = np.where(labels[box] == number, depths[box], 0)
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        (width, height), _ = cv2.getTextSize(str(number), cv2.FONT_HERSHEY_SIMPLEX, _LETTERS, 1)
        bottom, left = box[0].start + int(y) + height // 2, box[1].start + int(x) - width // 2
        room = depths[max(bottom - height, 0) : bottom + 1, max(left, 0) : left + width]
        if bottom >= height and left >= 0 and room.shape[1] == width and (room > 0).all():
            cv2.putText(drawn, str(number), (left, bottom), cv2.FONT_HERSHEY_SIMPLEX, _LETTERS, 1)


def _stretched(image: Image) -> UInt8Array:
    step = max(1, int(np.sqrt(image.shape[0] * image.shape[1] / _SAMPLES)))
    low, high = np.percentile(image[::step, ::step], (_DARK, _BRIGHT))
    factor = (_GREYS - 1) / max(float(high - low), 1e-9)
    if image.dtype == np.uint8:
        return np.asarray(cv2.LUT(np.ascontiguousarray(image), _steps(np.arange(256), low, factor)), np.uint8)
    return _steps(image, low, factor)


def _steps(values: NDArray[Any], low: float, factor: float) -> UInt8Array:
    stretched = (values.astype(np.float32) - np.float32(low)) * np.float32(factor)
    return np.asarray(np.clip(stretched, 0, _GREYS - 1), np.uint8)
