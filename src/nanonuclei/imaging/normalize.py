"""From grey values to network input; training, evaluation and serving all pass through here."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.config.shared import NormalizeConfig
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Float32Array, Image

_RANGES = {"uint8": 255.0, "uint16": 65535.0, "float16": 1.0, "float32": 1.0, "float64": 1.0}


def grey_limits(image: Image, config: NormalizeConfig) -> tuple[float, float]:
    """Returns the grey values that become 0 and 1.

    Args:
        image: ``(height, width)`` or ``(height, width, channel)`` with 1, 3 or 4 channels, the fourth being alpha and
            ignored; uint8, uint16 or floats.
        config: ``percentile`` takes the percentiles ``low`` and ``high`` over all pixels and channels together, or the
            least and largest value where the two percentiles are equal. ``range`` takes 0 and the largest value of the
            type: 255, 65535, or 1 for floats.

    Returns:
        Low and high in grey values, low <= high; equal for a constant image.

    Raises:
        DataError: No pixels, another type or number of channels, or floats that are not finite.
    """
    colours = _colours(image)
    if config.kind == "range":
        return 0.0, _RANGES[image.dtype.name]
    if image.dtype.kind == "f":
        low, high = (float(value) for value in np.percentile(colours, (config.low, config.high)))
        return (low, high) if low < high else (float(colours.min()), float(colours.max()))
    num_values = int(_RANGES[image.dtype.name]) + 1
    flat = np.ascontiguousarray(colours).reshape(colours.shape[0], -1)
    histogram = cv2.calcHist([flat], [0], None, [num_values], [0, num_values]).ravel()
    reached = np.cumsum(histogram, dtype=np.float64)
    low, high = (_percentile(reached, q) for q in (config.low, config.high))
    if low < high:
        return low, high
    present = np.flatnonzero(histogram)
    return float(present[0]), float(present[-1])


def normalize(image: Image, limits: tuple[float, float]) -> Float32Array:
    """Maps grey values to network input: ``clip((grey - low) / (high - low), 0, 1)``.

    Args:
        image: ``(height, width)`` or ``(height, width, channel)`` with 1, 3 or 4 channels; uint8, uint16 or floats.
        limits: Low and high in grey values, from `grey_limits`.

    Returns:
        ``(height, width, 3)`` float32 in 0..1: grey in all three channels, alpha dropped. All 0 where low equals high.

    Raises:
        DataError: No pixels, another type or number of channels, floats that are not finite, or low above high.
    """
    low, high = limits
    if not low <= high:
        raise DataError(f"grey limits must be low <= high, got {limits}. Take them from grey_limits")
    colours = _colours(image)
    if low == high:
        return np.zeros((*image.shape[:2], 3), np.float32)
    if image.dtype == np.uint8:
        table = np.clip((np.arange(256) - low) / (high - low), 0.0, 1.0).astype(np.float32)
        return np.asarray(cv2.LUT(_three_channels(colours), table), np.float32)
    if image.dtype == np.float64:  # values that float32 cannot tell apart may still differ in their distance from low
        scaled = ((colours - low) / (high - low)).astype(np.float32)
    else:
        scaled = (colours.astype(np.float32) - np.float32(low)) * np.float32(1.0 / (high - low))
    return np.asarray(_three_channels(np.clip(scaled, 0.0, 1.0, out=scaled)), np.float32)


def _colours(image: Image) -> Image:
    """Returns the image without alpha, once it is known to be one."""
    if image.ndim not in (2, 3) or image.size == 0 or image.shape[2:] not in ((), (1,), (3,), (4,)):
        raise DataError(
            f"an image must be (height, width) or (height, width, channel) with 1, 3 or 4 channels, got shape "
            f"{image.shape}. Convert it to grey or RGB"
        )
    if image.dtype.name not in _RANGES:
        raise DataError(f"an image must be of type {', '.join(_RANGES)}, got {image.dtype}. Convert it to one of these")
    colours = image[..., :3] if image.ndim == 3 else image
    if image.dtype.kind == "f" and not np.isfinite(colours).all():
        raise DataError(
            f"grey values must be finite, got {np.count_nonzero(~np.isfinite(colours))} that are not. "
            f"Replace them first"
        )
    return colours


def _percentile(reached: NDArray[np.float64], q: float) -> float:
    """Returns the q-th percentile, linear between neighbours, of values counted up in a cumulative histogram."""
    place = q / 100.0 * (reached[-1] - 1.0)
    below, above = np.searchsorted(reached, (np.floor(place), np.ceil(place)), side="right")
    return float(below + (place - np.floor(place)) * (above - below))


def _three_channels(image: Image) -> Image:
    if image.ndim == 2 or image.shape[2] == 1:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_GRAY2RGB))
    return np.ascontiguousarray(image)
