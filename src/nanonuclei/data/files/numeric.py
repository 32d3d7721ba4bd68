"""Numbers of any type in an image file become light: 8 or 16 bit where they fit, else floats from 0 to 1."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Image

DEEPEST = 65_535
"""Largest value of 16 bits."""


def measurable(values: NDArray[Any]) -> NDArray[Any]:
    """Returns the values with a number in every pixel, in the byte order of this machine.

    Args:
        values: Any shape, bool, integers or floats.

    Returns:
        The same shape and, but for bool, the same type. False and true become 0 and 255. NaN and minus infinity become
        the least number, as they are background; infinity becomes the largest.

    Raises:
        DataError: The values are of another type, or none is a number.
    """
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind not in "uif":
        raise DataError(f"pixels of type {values.dtype}. Save it with 8 or 16 bit")
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype.kind != "f":
        return values
    finite = np.isfinite(values)
    if finite.all():
        return values
    if not finite.any():
        raise DataError("no pixel holds a number, all are NaN or infinite. Save it again")
    numbers = values[finite]
    low, high = numbers.min(), numbers.max()
    return np.asarray(np.nan_to_num(values, nan=low, neginf=low, posinf=high))


class Span(NamedTuple):
    """What numbers an image holds: the least, the largest, and whether all are whole."""

    low: float
    high: float
    whole: bool


def span_of(values: NDArray[Any]) -> Span:
    """Returns the span of an array of numbers."""
    whole = values.dtype.kind in "ui" or bool((values == np.rint(values)).all())
    return Span(float(values.min()), float(values.max()), whole)


def as_light(values: NDArray[Any], span: Span | None = None) -> Image:
    """Turns values into an image that a network can be shown.

    Values of 8 or 16 bit stay as they are, whole numbers from 0 to 65,535 become 16 bit, and all others are stretched
    linearly to floats, the least to 0 and the largest to 1. Floats keep small values apart beside a very large one.

    Args:
        values: ``(height, width)`` or ``(height, width, 3)``, see `measurable`.
        span: Of the whole image, where `values` are a part of it.

    Returns:
        The same shape, uint8, uint16 or float32; zeros (uint8) where values of other types are all alike.

    Raises:
        DataError: As in `measurable`.
    """
    values = measurable(values)
    if values.dtype in (np.uint8, np.uint16):
        return np.ascontiguousarray(values)
    low, high, whole = span or span_of(values)
    if low >= 0 and 1 < high <= DEEPEST and whole:
        return values.astype(np.uint16)
    if low == high:
        return np.zeros(values.shape, np.uint8)
    # Halved, so that the difference of two numbers of opposite sign is finite.
    halves = values.astype(np.float64) / 2
    return ((halves - low / 2) / (high / 2 - low / 2)).astype(np.float32)


def as_stored(values: NDArray[Any]) -> Image:
    """Turns values into an image of 8 or 16 bit, as prepared datasets hold them; floats from 0 to 1 fill 16 bit.

    Args:
        values: As in `as_light`.

    Raises:
        DataError: As in `measurable`.
    """
    image = as_light(values)
    return np.rint(image * np.float32(DEEPEST)).astype(np.uint16) if image.dtype.kind == "f" else image


def grey_if_equal(image: Image) -> Image:
    """Returns ``(height, width)`` of a colour image whose channels agree, else the image."""
    if (
        image.ndim == 3
        and np.array_equal(image[..., 0], image[..., 1])
        and np.array_equal(image[..., 0], image[..., 2])
    ):
        return np.ascontiguousarray(image[..., 0])
    return image
