"""Rectangles cut out of an image wherever they lie: what is beyond its border is its mirror image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def cut(image: NDArray[Any], corner: tuple[int, int], shape: tuple[int, int]) -> NDArray[Any]:
    """Cuts out a rectangle.

    Beyond the border lies the image mirrored about its border pixel, as often as needed; an image of one pixel is
    repeated.

    Args:
        image: ``(height, width, ...)`` with at least one pixel.
        corner: y and x of the upper left pixel, px; may lie outside.
        shape: Height and width of the rectangle, px.

    Returns:
        ``(*shape, ...)``, a copy.
    """
    rows, columns = (
        _mirrored(np.arange(start, start + extent), length)
        for start, extent, length in zip(corner, shape, image.shape, strict=False)
    )
    return image[rows[:, None], columns]


def _mirrored(places: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    if length == 1:
        return np.zeros_like(places)
    period = 2 * (length - 1)
    within = places % period
    return np.minimum(within, period - within)
