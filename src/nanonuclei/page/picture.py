"""An image as a browser shows it: 8 bit, its contrast stretched, not larger than a screen can use."""

from __future__ import annotations

import cv2
import numpy as np

from nanonuclei.imaging.types import Image, UInt8Array

LONGEST = 4096
"""px of the longer side; larger images are shown reduced."""

_DARK, _BRIGHT = 0.5, 99.8
"""Percentiles of the image that become black and white."""

_SAMPLES = 200_000
"""About as many pixels tell the contrast."""


def picture(image: Image, *, longest: int = LONGEST) -> bytes:
    """Returns a PNG.

    Args:
        image: ``(height, width)`` or ``(height, width, 3)``, uint8, uint16 or float32.
        longest: px of its longer side at most.
    """
    height, width = image.shape[:2]
    factor = longest / max(height, width)
    if factor < 1:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    shown = _stretched(image)
    content = cv2.imencode(".png", shown[..., ::-1] if shown.ndim == 3 else shown, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return bytes(content[1].tobytes())


def _stretched(image: Image) -> UInt8Array:
    """Returns 8 bit; colours of 8 bit stay as they are."""
    if image.ndim == 3 and image.dtype == np.uint8:
        return image  # type: ignore[return-value]
    step = max(1, int(np.sqrt(image.shape[0] * image.shape[1] / _SAMPLES)))
    low, high = np.percentile(image[::step, ::step], (_DARK, _BRIGHT))
    factor = np.float32(255.0 / max(float(high - low), 1e-9))
    return np.asarray(np.clip((image.astype(np.float32) - np.float32(low)) * factor, 0, 255), np.uint8)
