"""What numbers of any type in an image file mean: light that a network can be shown, or labels of objects."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.errors import DataError
from nanonuclei.imaging.instances import sequential
from nanonuclei.imaging.types import Image, UInt16Array

MAX_LABEL = 65_535
"""Most objects that a label map can number."""

MAX_SHADES = 20
"""Most labels in one connected part of a mask. Crossing nanotubes share a part; a soft brush leaves hundreds."""


def as_image(plane: NDArray[np.generic]) -> Image:
    """Turns a plane of numbers into an image.

    Numbers of 8 or 16 bit stay as they are, whole numbers from 0 to 65,535 become 16 bit, all others are stretched
    linearly to 16 bit, the least to 0 and the largest to 65,535.

    Args:
        plane: ``(height, width)``, any type of numbers.

    Returns:
        ``(height, width)`` uint8 or uint16.

    Raises:
        DataError: It is of another type, holds NaN, or shows nothing, as all pixels are alike.
    """
    if plane.dtype == np.bool_:
        plane = plane.astype(np.uint8) * np.uint8(255)
    if plane.dtype.kind not in "uif":
        raise DataError(f"pixels of type {plane.dtype}. Save it with 8 or 16 bit")
    if plane.dtype.kind == "f" and not np.isfinite(plane).all():
        num = int(np.count_nonzero(~np.isfinite(plane)))
        raise DataError(f"{num:,} pixels are NaN or infinite. Replace them by 0 and save it again with 16 bit")
    low, high = float(plane.min()), float(plane.max())
    if low == high:
        what = "all black" if low == 0 else f"every pixel is {low:g}"
        raise DataError(f"shows nothing: {what}. Leave it out, or choose another channel")
    if plane.dtype in (np.uint8, np.uint16):
        return np.ascontiguousarray(plane)
    if low >= 0 and 1 < high <= MAX_LABEL and (plane.dtype.kind in "ui" or bool((plane == np.rint(plane)).all())):
        return plane.astype(np.uint16)
    stretched = np.rint((plane.astype(np.float64) - low) * (MAX_LABEL / (high - low)))
    return stretched.astype(np.uint16)


def as_labels(values: NDArray[np.generic]) -> UInt16Array:
    """Turns the numbers of a mask into labels.

    Where all pixels but the background have one value, the connected parts (along edges and corners) are the objects;
    else each value is one object, in parts or not.

    Args:
        values: ``(height, width)`` or ``(height, width, 3)``, whole numbers.

    Returns:
        ``(height, width)`` uint16, 0 background, 1..n the objects in order of their values or places.

    Raises:
        DataError: The numbers are no labels.
    """
    if values.ndim == 3:
        if not all(np.array_equal(values[..., 0], values[..., channel]) for channel in range(1, values.shape[2])):
            raise DataError("a mask in colours. Save it in grey: one value per object, or one for all; 0 elsewhere")
        values = values[..., 0]
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and bool((values == np.rint(values)).all())):
        raise DataError("a mask must hold whole numbers. Save it with 8 or 16 bit")
    if values.dtype.kind not in "buif" or float(values.min()) < 0:
        raise DataError("a mask must hold whole numbers from 0. Save it with 8 or 16 bit")
    inside = np.ascontiguousarray(values != 0)
    num_parts, parts = cv2.connectedComponents(inside.view(np.uint8), connectivity=8)
    if not inside.any():
        return np.zeros(inside.shape, np.uint16)
    found = np.unique(values[inside])
    if len(found) > 1:
        pairs = np.unique(np.stack([parts[inside], np.searchsorted(found, values[inside])], axis=1), axis=0)
        shades = int(np.bincount(pairs[:, 0]).max())
        if shades > MAX_SHADES:
            raise DataError(
                f"one part of the mask has {shades} values, as a soft brush leaves them. Draw with a hard one: one "
                f"value per object, or one for all"
            )
    if max(len(found), num_parts - 1 if len(found) == 1 else 0) > MAX_LABEL:
        raise DataError(f"more than {MAX_LABEL:,} objects. Cut the image into parts")
    labels, _ = sequential(parts if len(found) == 1 else values.astype(np.int64))
    return labels.astype(np.uint16)
