"""The steps of the macro for Fiji and of the script for QuPath that an exported package holds, in Python."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import h_maxima
from skimage.segmentation import expand_labels, find_boundaries, watershed

TOLERANCE = 0.5
"""px by which ImageJ's watershed tells two peaks of the distance map apart."""


def twin(
    maps: NDArray[np.float32],
    *,
    threshold: float,
    seed: float,
    least_core: int,
    least_area: int,
    least_score: float,
) -> NDArray[np.int64]:
    """Returns labels ``(height, width)`` of what the scripts find.

    Args:
        maps: ``(height, width, 2)`` in 0..1: foreground, core.
        threshold: Score from which on a pixel is foreground.
        seed: Score from which on a pixel belongs to a core.
        least_core: Smaller cores are specks, px.
        least_area: Smaller objects are dropped, px.
        least_score: Objects of a lower mean foreground score are dropped.
    """
    foreground = maps[..., 0]
    mask = ndimage.binary_fill_holes(foreground >= threshold)
    cores = (maps[..., 1] >= seed) & mask
    distance = cv2.distanceTransform(cores.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    parted = watershed(-distance, label(h_maxima(distance, TOLERANCE)), mask=cores, watershed_line=True) > 0
    seeds = label(parted, connectivity=2)
    areas = np.bincount(seeds.ravel())
    areas[0] = 0
    seeds = label((areas >= least_core)[seeds], connectivity=2)
    zones = expand_labels(seeds, distance=sum(seeds.shape)) if seeds.any() else seeds
    found = label(mask & ~find_boundaries(zones, mode="inner", connectivity=2), connectivity=2)
    areas = np.bincount(found.ravel())
    scores = np.bincount(found.ravel(), weights=foreground.ravel()) / np.maximum(areas, 1)
    good = (areas >= least_area) & (scores >= least_score)
    good[0] = False
    kept: NDArray[np.int64] = np.where(good, np.cumsum(good), 0)[found]
    return kept
