"""Which windows hold a nanotube and which hold none: the truth of an image turned into labels of windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Float32Array, Labels
from nanonuclei.imaging.windows import Window
from nanonuclei.tasks.nanotubes.data_config import WindowLabelsConfig
from nanonuclei.tasks.nanotubes.sources.centre_lines import paint_lines
from nanonuclei.tasks.nanotubes.sources.samples import TubeTruth

POSITIVE, NEGATIVE, LEFT_OUT = 1, 0, -1

_Corners = NDArray[np.int64]


def label_windows(
    truth: TubeTruth, windows: Sequence[Window] | NDArray[np.int64], config: WindowLabelsConfig
) -> NDArray[np.int8]:
    """Labels windows of an image.

    The core of a window is a rectangle in its middle whose sides are `core` times the window's, rounded to px by
    `core_of`. What lies beyond the image holds nothing. A window is

    * positive where its core holds `min_pixels` px of nanotubes or more (``mask``), or `min_share` of the length of one
      of the boxes (``boxes``), see `box_shares`;
    * negative where neither it nor what is within `clear_margin` px of it (along y and x) holds a pixel of any
      nanotube or box;
    * left out where it is neither: cut by the border of the core, too little, or too near.

    A window that would be negative is left out where its core or surroundings hold a doubtful nanotube.

    Of a ``patch`` that holds a nanotube nobody knows where it is: a window is positive if it holds all of the patch,
    else left out. Windows of a patch without a nanotube are negative.

    Args:
        truth: The nanotubes of the image.
        windows: Rectangles of any size that begin inside the image or above or left of it; they may overlap.
        config: Thresholds.

    Returns:
        ``(n,)`` int8: 1 positive, 0 negative, -1 left out.

    Raises:
        DataError: A window has no pixels.
    """
    corners = np.array(windows, np.int64).reshape(-1, 4)
    empty = (corners[:, 2:] <= corners[:, :2]).any(axis=1)
    if empty.any():
        raise DataError(
            f"a window needs at least one pixel, got {tuple(corners[empty][0].tolist())} (y0, x0, y1, x1). "
            f"Make windows with cover"
        )
    height, width = truth.labels.shape
    if truth.kind == "patch":
        whole = (corners[:, :2] <= 0).all(axis=1) & (corners[:, 2:] >= (height, width)).all(axis=1)
        positive = whole if truth.labels.any() else np.zeros(len(corners), bool)
        clear = np.full(len(corners), not truth.labels.any())
    else:
        sums = integral(truth.labels > 0)
        grown = corners + config.clear_margin * np.array([-1, -1, 1, 1])
        clear = pixels_in(sums, grown) == 0
        cores = core_of(corners, config.core)
        if truth.kind == "boxes":
            positive = np.zeros(len(corners), bool)
            for box in truth.boxes:
                positive |= box_shares(box, cores) >= config.min_share
        else:
            positive = pixels_in(sums, cores) >= config.min_pixels
        if truth.doubtful:
            clear &= pixels_in(integral(paint_lines(truth.doubtful, (height, width)) > 0), grown) == 0
    labels = np.full(len(corners), LEFT_OUT, np.int8)
    labels[clear] = NEGATIVE
    labels[positive] = POSITIVE
    return labels


def core_of(corners: _Corners, core: float) -> _Corners:
    """Returns the cores of windows.

    Args:
        corners: ``(n, 4)`` y0, x0, y1, x1 px, half open.
        core: Side of the core over the side of the window, above 0, at most 1.

    Returns:
        ``(n, 4)``: as much is cut off on either side, rounded down, and at least one pixel is left.
    """
    sides = corners[:, 2:] - corners[:, :2]
    # The small number keeps 0.75 of 8 at 1 px cut off, whatever floating point makes of it.
    cut = np.minimum(np.floor(sides * (1.0 - core) / 2.0 + 1e-9).astype(np.int64), (sides - 1) // 2)
    return np.concatenate([corners[:, :2] + cut, corners[:, 2:] - cut], axis=1)


def integral(mask: Labels) -> NDArray[np.int64]:
    """Returns sums over all rectangles from the origin, ``(height + 1, width + 1)``."""
    sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int64)
    np.cumsum(np.cumsum(mask, axis=0, dtype=np.int64), axis=1, out=sums[1:, 1:])
    return sums


def pixels_in(sums: NDArray[np.int64], corners: _Corners) -> NDArray[np.int64]:
    """Returns how many pixels of a mask each rectangle holds.

    Args:
        sums: From `integral`.
        corners: ``(n, 4)`` y0, x0, y1, x1 px, half open; beyond the image nothing is counted.
    """
    height, width = sums.shape[0] - 1, sums.shape[1] - 1
    y0, y1 = (np.clip(corners[:, axis], 0, height) for axis in (0, 2))
    x0, x1 = (np.clip(corners[:, axis], 0, width) for axis in (1, 3))
    counts: NDArray[np.int64] = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    return counts


def box_shares(box: Float32Array, corners: _Corners) -> NDArray[np.float64]:
    """Returns which share of a box's length lies in each rectangle.

    A nanotube runs through its box from one corner to another, but which two is not known: the share is the mean over
    the two diagonals of what the rectangle cuts out of them. For a box as narrow as its nanotube that is the share of
    its length.

    Args:
        box: y0, x0, y1, x1 px.
        corners: ``(n, 4)`` rectangles, y0, x0, y1, x1 px.

    Returns:
        ``(n,)`` in 0..1.
    """
    y0, x0, y1, x1 = (float(value) for value in box)
    shares = np.zeros(len(corners))
    near = np.flatnonzero((corners[:, 0] < y1) & (corners[:, 2] > y0) & (corners[:, 1] < x1) & (corners[:, 3] > x0))
    part = corners[near].astype(np.float64)
    # Along a diagonal both coordinates run from 0 to 1 of the box; a rectangle cuts an interval out of each.
    down = (part[:, [0, 2]] - y0) / (y1 - y0)
    across = (part[:, [1, 3]] - x0) / (x1 - x0)
    for along in (across, 1.0 - across[:, ::-1]):
        begin = np.maximum(np.maximum(down[:, 0], along[:, 0]), 0.0)
        end = np.minimum(np.minimum(down[:, 1], along[:, 1]), 1.0)
        shares[near] += 0.5 * np.maximum(end - begin, 0.0)
    return shares
