"""Where the cells are in an image that shows them brighter than their surroundings, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import skimage
from numpy.typing import NDArray

from nanonuclei.imaging.distances import distances
from nanonuclei.imaging.instances import sequential
from nanonuclei.imaging.types import Float32Array, Int32Array

GRAIN = 1.5
"""Standard deviation, px, of the smoothing before a threshold: grain is no cell."""

EDGE = 0.3
"""Light at the edge of a cell: share of the way from the median of the background to that of the cells."""

DIM = 0.15
"""Light of a dim cell, above the median of the background, in 0..1: bright cells beside it do not hide it."""

LIGHT_SAMPLES = 2**22
"""Pixels, about, by which the light of a large image is told."""

CORNER = 3
"""Radius of the disc that the corners of cells hold, px; nanotubes are thinner."""


class Light(NamedTuple):
    """Grey values from which on an opened image shows cells.

    Attributes:
        edge: At the edge of a cell.
        dim: Of a dim cell.
    """

    edge: float
    dim: float


def light_of(parts: Sequence[Float32Array], *, radius: int) -> Light:
    """Returns the light of the cells in parts of an image together.

    Args:
        parts: ``(height, width)`` float32 each, cells bright.
        radius: Of the disc that cells hold, px.
    """
    values = np.concatenate([_opened(part, radius)[1].ravel() for part in parts])
    return _split(values[:: max(1, len(values) // LIGHT_SAMPLES)])


def cell_bodies(
    grey: Float32Array, nuclei: Float32Array | None = None, *, radius: int, light: Light | None = None
) -> Int32Array:
    """Labels the cells: what holds a disc and is bright, parted between nuclei or at necks.

    The opening by a disc takes away what is thinner, nanotubes among it. The threshold of least cross-entropy (Li and
    Tam 1998, Pattern Recognition Letters 19, 771-776) tells bright from dark; cells end where the light has fallen to
    `EDGE` of the way between both, so that dim cells beside bright ones are cells too.

    Args:
        grey: ``(height, width)`` float32, cells bright.
        nuclei: ``(height, width)`` float32 with bright nuclei: each makes a cell, and cells without one are kept; None
            where there is no such channel: cells that touch are then parted where they are narrow.
        radius: Of the disc, px.
        light: Of the cells in the whole image where `grey` is a window of one.

    Returns:
        ``(height, width)`` int32, 0 background, 1..n the cells.
    """
    bodies = _bright(grey, radius, light)
    if nuclei is not None:
        seeds = _centres(_bright(nuclei, max(2, radius // 2)), radius)
    else:
        seeds = _centres(bodies, 2 * radius)
    seeds[~bodies] = 0
    _, parts = cv2.connectedComponents(bodies.view(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    seeded = np.unique(parts[seeds > 0])
    lonely = bodies & ~np.isin(parts, seeded)
    seeds = np.where(lonely, parts + seeds.max(), seeds)
    away = distances(seeds == 0)
    return sequential(skimage.segmentation.watershed(away, seeds, mask=bodies).astype(np.int32))[0]


def _bright(grey: Float32Array, radius: int, light: Light | None = None) -> NDArray[np.bool_]:
    """Returns where it is bright over a disc, and the corners of such places that hold a smaller one."""
    smooth, opened = _opened(grey, radius)
    light = light or _split(opened)
    small = _disc(min(CORNER, radius))
    bodies = (opened > light.edge).astype(np.uint8)
    corners = cv2.morphologyEx(smooth, cv2.MORPH_OPEN, small) > light.edge
    for _ in range(2 * radius):
        bodies = cv2.dilate(bodies, np.ones((3, 3), np.uint8)) & corners
    # The soft edge of a bright cell holds no disc.
    dim = ((opened > light.dim) & (bodies == 0)).astype(np.uint8)
    return np.asarray((bodies | cv2.morphologyEx(dim, cv2.MORPH_OPEN, small)) > 0, bool)


def _opened(grey: Float32Array, radius: int) -> tuple[Float32Array, Float32Array]:
    """Returns an image smoothed, and what of it is bright over a disc."""
    smooth = cv2.GaussianBlur(grey, (0, 0), GRAIN)
    return np.asarray(smooth, np.float32), np.asarray(cv2.morphologyEx(smooth, cv2.MORPH_OPEN, _disc(radius)))


def _split(opened: Float32Array) -> Light:
    """Returns the light that parts cells from background; no value reaches it where all are alike."""
    if float(opened.max()) == float(opened.min()):
        return Light(np.inf, np.inf)
    split = skimage.filters.threshold_li(opened)
    outside, inside = float(np.median(opened[opened <= split])), float(np.median(opened[opened > split]))
    return Light(outside + EDGE * (inside - outside), outside + DIM)


def _disc(radius: int) -> NDArray[np.uint8]:
    disc: NDArray[np.uint8] = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return disc


def _centres(mask: NDArray[np.bool_], reach: int) -> Int32Array:
    """Labels the deepest places of a mask, no two within `reach` px of each other."""
    depth = cv2.GaussianBlur(distances(mask), (0, 0), GRAIN)
    peaks = (depth == cv2.dilate(depth, _disc(reach))) & mask
    _, labels = cv2.connectedComponents(peaks.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return np.asarray(labels, np.int32)
