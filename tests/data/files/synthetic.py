"""Fourteen discs as a microscope would show them, and an Otsu segmentation that finds them again."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image as Pillow
from scipy import ndimage
from skimage.filters import threshold_otsu

SIDE = 128
CENTRES = [(y, x) for y in (16, 48, 80, 112) for x in (14, 46, 78, 110)][:14]
LABELS = np.zeros((SIDE, SIDE), np.int32)
for _number, _centre in enumerate(CENTRES, start=1):
    LABELS[np.hypot(*(np.indices((SIDE, SIDE)) - np.reshape(_centre, (2, 1, 1)))) < 9] = _number
NUCLEI = (np.where(LABELS > 0, 180, 12) + np.random.default_rng(0).integers(0, 12, LABELS.shape)).astype(np.uint8)
OTHER = np.random.default_rng(1).integers(0, 60, LABELS.shape).astype(np.uint8)
"""Another channel, which shows no nuclei."""
STACK = np.stack([NUCLEI // 2, NUCLEI, NUCLEI // 4])
"""Focal planes, the middle one in focus."""


def tiff(values: np.ndarray, **options: Any) -> bytes:
    with io.BytesIO() as stream:
        tifffile.imwrite(stream, values, **{"photometric": "minisblack", **options})
        return stream.getvalue()


def pillow(values: np.ndarray, form: str, mode: str | None = None, **options: Any) -> bytes:
    image = Pillow.fromarray(values)
    with io.BytesIO() as stream:
        (image.convert(mode) if mode else image).save(stream, form, **options)
        return stream.getvalue()


def opencv(values: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, values)[1].tobytes()


def found_nuclei(image: np.ndarray, truth: np.ndarray = LABELS) -> int:
    """Returns how many nuclei of the truth an Otsu threshold finds with an IoU of 0.9 and more."""
    grey = image.mean(axis=-1) if image.ndim == 3 else image
    parts, _ = ndimage.label(grey > threshold_otsu(grey))
    num = 0
    for number in range(1, int(truth.max()) + 1):
        inside = truth == number
        part = np.bincount(parts[inside]).argmax()
        num += bool(part) and (inside & (parts == part)).sum() >= 0.9 * (inside | (parts == part)).sum()
    return num
