"""A picture of the image with its objects outlined, to look at."""

from __future__ import annotations

import cv2
import numpy as np

from nanonuclei.imaging.types import Image, Int32Array, UInt8Array

_COLOURS = ((255, 176, 0), (64, 196, 255), (255, 96, 60), (80, 230, 140), (255, 130, 220), (245, 240, 80))
"""Of the outlines, red, green, blue."""

_BRIGHTNESS = 0.7
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
    drawn = cv2.cvtColor(_grey(image), cv2.COLOR_GRAY2BGR)
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
    # Objects are numbered from the top, so that neighbours often have numbers one or two apart.
    drawn[edge] = np.array(_COLOURS, np.uint8)[:, ::-1][labels[edge] % len(_COLOURS)]
    return bytes(cv2.imencode(".png", drawn)[1].tobytes())


def _grey(image: Image) -> UInt8Array:
    step = max(1, int(np.sqrt(image.shape[0] * image.shape[1] / _SAMPLES)))
    low, high = np.percentile(image[::step, ::step], (_DARK, _BRIGHT))
    factor = 255.0 * _BRIGHTNESS / max(float(high - low), 1e-9)
    plain = image if image.ndim == 2 else image.mean(axis=2, dtype=np.float32)
    stretched = np.clip((plain.astype(np.float32) - np.float32(low)) * np.float32(factor), 0, 255.0 * _BRIGHTNESS)
    return np.asarray(stretched, np.uint8)
