"""The plain detector that others are held against: Sato's ridge filter, two thresholds, and the shape of what is left.

Three settings were chosen on the open panels: the two thresholds and the least length.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.filters import apply_hysteresis_threshold, sato
from skimage.measure import label, regionprops
from skimage.morphology import skeletonize

SIGMAS = (1.5, 2.5)
"""Standard deviations of the lines, px."""

HIGH, LOW = 0.06, 0.03
"""A line reaches the high answer somewhere, and is followed down to the low one; grey values are 0..1."""

BODY, BRIGHT = 6, 0.2
"""Radius of a disc that cells hold, px, and the grey value that they have all over it."""

LENGTH, STRAIGHT = 45.0, 0.92
"""Shorter and more crooked lines are dropped: px, and distance of the ends / length."""


def ridge_filter(grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Returns where there are lines.

    Args:
        grey: ``(height, width)`` float32 in 0..1, lines bright.

    Returns:
        ``(height, width)``, lines 1 px wide.
    """
    answer = sato(grey, sigmas=SIGMAS, black_ridges=False)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BODY + 1, 2 * BODY + 1))
    bodies = cv2.morphologyEx(cv2.GaussianBlur(grey, (0, 0), 1.0), cv2.MORPH_OPEN, disc) > BRIGHT
    skeleton = skeletonize(apply_hysteresis_threshold(answer, LOW, HIGH) & ~bodies).astype(np.uint8)
    about = cv2.filter2D(skeleton, -1, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT)
    skeleton[(skeleton > 0) & (about > 3)] = 0
    kept = np.zeros(grey.shape, bool)
    for part in regionprops(label(skeleton, connectivity=2)):
        extent = float(np.hypot(*(part.coords.max(axis=0) - part.coords.min(axis=0))))
        if extent >= LENGTH and extent >= STRAIGHT * _length(part.image):
            kept[tuple(part.coords.T)] = True
    return kept


def _length(path: NDArray[np.bool_]) -> float:
    """Returns the length of a path of pixels, px: steps along edges count 1, over corners the root of 2."""
    edges = np.count_nonzero(path[1:] & path[:-1]) + np.count_nonzero(path[:, 1:] & path[:, :-1])
    corners = np.count_nonzero(path[1:, 1:] & path[:-1, :-1]) + np.count_nonzero(path[1:, :-1] & path[:-1, 1:])
    return float(edges + np.sqrt(2.0) * corners)
