"""How far the pixels of a mask are from what is outside of it, the same for the same mask every time."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.types import Float32Array


def distances(mask: NDArray[np.bool_]) -> Float32Array:
    """Returns the Euclidean distance of each pixel to the nearest one outside of the mask.

    OpenCV's distances differ in their last digit with the place of an image in memory, which is enough to part two
    nuclei in another way. Their squares are whole numbers, and are rounded to these.

    Args:
        mask: ``(height, width)`` bool.

    Returns:
        ``(height, width)`` float32 in px, 0 outside; what is beyond the image is not outside. Of a mask without any
        outside a large number everywhere.
    """
    found = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    found = np.minimum(found, np.float32(sum(mask.shape)))
    return np.asarray(np.sqrt(np.rint(found * found)), np.float32)
