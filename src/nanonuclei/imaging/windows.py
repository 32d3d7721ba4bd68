"""The geometry of inference: cover an image with windows, cut them out, blend their answers back into one map."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanonuclei.errors import ConfigError, DataError
from nanonuclei.imaging.types import Float32Array


class Window(NamedTuple):
    """A rectangle in px, half open; it may reach beyond the lower and right border of its image."""

    y0: int
    x0: int
    y1: int
    x1: int


def cover(shape: tuple[int, int], size: int | tuple[int, int], stride: int | tuple[int, int]) -> tuple[Window, ...]:
    """Covers an image with windows of one size, row by row.

    The last window of each axis is shifted back so that it ends at the border. Where the image is smaller than a
    window, the window starts at 0 and reaches beyond the image.

    Args:
        shape: Height and width of the image, px.
        size: Height and width of a window, px; one number for both.
        stride: Largest step between neighbouring windows, px; one number for both axes.

    Returns:
        Windows that together hold every pixel of the image.

    Raises:
        ConfigError: A stride exceeds the window's size, or either is below 1.
        DataError: The image has no pixels.
    """
    sizes, strides = _pair(size), _pair(stride)
    if min(shape) < 1:
        raise DataError(f"an image needs at least one pixel, got height and width {shape}. Remove it from the data")
    if min(sizes) < 1 or min(strides) < 1:
        raise ConfigError(
            f"windows.size and windows.stride must be at least 1 px, got {sizes} and {strides}. Raise them"
        )
    if any(step > extent for step, extent in zip(strides, sizes, strict=True)):
        raise ConfigError(
            f"windows must cover the image: stride {strides} exceeds size {sizes}. Lower windows.stride in params.yaml"
        )
    rows, columns = (_starts(*axis) for axis in zip(shape, sizes, strides, strict=True))
    return tuple(Window(y, x, y + sizes[0], x + sizes[1]) for y, x in product(rows, columns))


def extract(image: NDArray[Any], windows: Sequence[Window]) -> NDArray[Any]:
    """Cuts windows out of an image.

    What lies beyond the image is its reflection about the border pixel, repeated as often as needed; an image of one
    pixel is repeated.

    Args:
        image: ``(height, width)`` or ``(height, width, channel)``, any dtype.
        windows: From `cover`; all of one size.

    Returns:
        ``(n, h, w, c)`` of the image's dtype, ``c`` being 1 for an image without channels.

    Raises:
        DataError: The image has other axes, there are no windows, or they differ in size.
    """
    if image.ndim not in (2, 3) or image.size == 0:
        raise DataError(
            f"windows are cut from (height, width) or (height, width, channel), got shape {image.shape}. Reshape it"
        )
    height, width = _window_size(windows)
    image = image.reshape(*image.shape[:2], -1)
    below = max(0, max(window.y1 for window in windows) - image.shape[0])
    right = max(0, max(window.x1 for window in windows) - image.shape[1])
    if below or right:
        image = np.pad(image, ((0, below), (0, right), (0, 0)), mode="reflect")
    patches = np.empty((len(windows), height, width, image.shape[2]), image.dtype)
    for patch, (y0, x0, y1, x1) in zip(patches, windows, strict=True):
        patch[...] = image[y0:y1, x0:x1]
    return patches


def blend(answers: NDArray[Any], windows: Sequence[Window], shape: tuple[int, int]) -> Float32Array:
    """Blends answers per window into one map: a mean weighted by how far a pixel is from its window's border.

    The weight is the product over both axes of ``sin(pi * (i + 1/2) / size)**2``, the Hann window sampled at the
    centres of the pixels: smooth, above 0 everywhere. The mean is updated window by window, ``mean += w / sum(w) *
    (answer - mean)``, which keeps answers that agree exactly as they are.

    Args:
        answers: ``(n, h, w)`` or ``(n, h, w, channel)``, one answer per window.
        windows: The windows the answers belong to, from `cover`.
        shape: Height and width of the image, px.

    Returns:
        ``(height, width)`` or ``(height, width, channel)`` float32, without what lies beyond the image.

    Raises:
        DataError: Answers and windows do not fit together, or the windows leave a part of the image uncovered.
    """
    size = _window_size(windows)
    if answers.ndim not in (3, 4) or answers.shape[:3] != (len(windows), *size):
        raise DataError(
            f"every window needs one answer of its size: got answers of shape {answers.shape} for {len(windows)} "
            f"windows of {size} px. Pass the windows that were extracted"
        )
    height, width = shape
    if len(windows) == 1 and windows[0][:2] == (0, 0) and size[0] >= height and size[1] >= width:
        return answers[0, :height, :width].astype(np.float32)
    weight = np.outer(*(np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in size)).astype(np.float32)
    channels = answers.shape[3:]
    mean = np.zeros((height, width, *channels), np.float32)
    total = np.zeros((height, width), np.float32)
    for answer, (y0, x0, y1, x1) in zip(answers, windows, strict=True):
        here = np.s_[y0 : min(y1, height), x0 : min(x1, width)]
        sums = total[here]
        inside = np.s_[: sums.shape[0], : sums.shape[1]]
        sums += weight[inside]
        share = (weight[inside] / sums).reshape(*sums.shape, *(1 for _ in channels))
        mean[here] += share * (answer[inside].astype(np.float32, copy=False) - mean[here])
    if not total.all():
        raise DataError(
            f"windows must cover the image: {np.count_nonzero(total == 0)} px of {height} x {width} are in none of the "
            f"{len(windows)} windows. Pass all windows of cover"
        )
    return mean


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _starts(length: int, size: int, stride: int) -> list[int]:
    last = max(0, length - size)
    return [*range(0, last, stride), last]


def _window_size(windows: Sequence[Window]) -> tuple[int, int]:
    sizes = {(window.y1 - window.y0, window.x1 - window.x0) for window in windows}
    if len(sizes) != 1 or min(min(window.y0, window.x0) for window in windows) < 0:
        raise DataError(
            f"windows must be one or more of one size that start inside the image, got {len(windows)} of the sizes "
            f"{sorted(sizes)}. Make them with cover"
        )
    return sizes.pop()


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
