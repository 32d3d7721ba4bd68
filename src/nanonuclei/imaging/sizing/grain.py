"""Grain: specks of noise that a network takes for small objects where an image shows large ones, much enlarged."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.sizing.estimate import foreground, median_diameter, numbers
from nanonuclei.imaging.types import Float32Array

GLANCE = 0.25
"""A glance shows the image reduced to this share of its size: grain is averaged away, large objects are not."""

LARGER = 3.0
"""Times that objects of a glance are larger at least."""

ELSEWHERE = 0.8
"""Share of the small objects that lie outside of the large ones. Clusters of which a glance makes one object have their
small ones within. Of the validation images of the Data Science Bowl 2018, as they are, at half, two and four times the
size, noisy, half dimmed and inverted, it is .78 at most where `LARGER` holds; where grain was taken for objects .92."""

FAINT = 0.3
"""Contrast of the small objects to the background, in that of the large ones: of grain .2 at most. Of the two images
that come nearest to `ELSEWHERE` one has 1.0 and the other, of two nuclei in brightfield, .17."""


def diameter_beyond_grain(
    images: Sequence[Float32Array], maps: Sequence[Float32Array], glances: Sequence[Float32Array]
) -> float:
    """Returns the diameter of the objects, px of the images, where the small ones of the maps are grain; else nan.

    Args:
        images: Normalised parts of one image, ``(height, width, channels)``.
        maps: The answer to each in its size, as `estimate.median_diameter` takes it.
        glances: The answer to each reduced to `GLANCE`.
    """
    small, _ = median_diameter(*maps)
    large, found = median_diameter(*glances)
    large /= GLANCE
    if not (found >= 1.0 and large >= LARGER * small):
        return math.nan
    sums = np.sum([_sums(*part) for part in zip(images, maps, glances, strict=True)], axis=0)
    specks, outside, grey_outside, area_outside, grey_within, area_within = sums
    if not (area_outside and area_within and outside >= ELSEWHERE * specks):
        return math.nan
    is_faint = grey_outside / area_outside <= FAINT * grey_within / area_within
    return large if is_faint else math.nan


def _sums(image: Float32Array, answer: Float32Array, glance: Float32Array) -> NDArray[np.float64]:
    """Returns small objects in all and outside of the large ones, then contrast and px of both kinds."""
    seen = foreground(answer)
    within = cv2.resize(foreground(glance).astype(np.uint8), seen.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    outside, background = seen & ~within, ~(seen | within)
    grey = image.mean(axis=-1)
    contrast = np.abs(grey - np.median(grey[background])) if background.any() else np.zeros_like(grey)
    objects = numbers(answer)
    sums = (objects.sum(), objects[~within[seen]].sum())
    return np.asarray([*sums, contrast[outside].sum(), outside.sum(), contrast[within].sum(), within.sum()], np.float64)
