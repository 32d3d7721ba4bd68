"""The numbers of a mask become labels of objects."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.errors import DataError
from nanonuclei.imaging.instances import sequential
from nanonuclei.imaging.types import UInt16Array

MAX_LABEL = 65_535
"""Most objects that a label map can number."""

MAX_SHADES = 20
"""Most labels in one connected part of a mask. Crossing nanotubes share a part; a soft brush leaves hundreds."""


def as_labels(values: NDArray[Any]) -> UInt16Array:
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
