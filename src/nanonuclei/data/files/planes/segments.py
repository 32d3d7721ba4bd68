"""Windows of a page of a TIFF: only the tiles or strips that reach into a window are decoded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Box

LARGEST = 2**28
"""Bytes of the largest tile or strip that is decoded for a window."""

_CONTIGUOUS = 1


def readable_in_parts(series: tifffile.TiffPageSeries) -> bool:
    """Returns whether windows of the planes can be read: a page per plane, samples together, small tiles or strips."""
    page = series.keyframe
    planes = math.prod(extent for axis, extent in zip(series.axes, series.shape, strict=True) if axis not in "YXS")
    inner = "".join(axis for axis in series.axes if axis in "YXS")
    if len(series.pages) != planes or inner not in ("YX", "YXS") or page.imagedepth != 1:
        return False
    if page.samplesperpixel > 1 and page.planarconfig != _CONTIGUOUS:
        return False
    return bool(page.is_memmappable) or _segment_bytes(page) <= LARGEST


def page_window(page: Any, box: Box, check: Callable[[tuple[Any, Sequence[int]]], None]) -> NDArray[Any]:
    """Reads a window of a page for which `readable_in_parts` holds.

    Args:
        page: Page or frame.
        box: The window.
        check: Called with the page and the numbers of the tiles or strips before they are decoded; it may refuse them.

    Returns:
        ``(height, width, samples)`` of the window.

    Raises:
        DataError: The page or one of its tiles or strips is missing.
    """
    if page is None:
        raise DataError("a page of the image is missing. Save it again as one file")
    y0, x0, y1, x1 = box
    keyframe = page.keyframe
    samples = keyframe.samplesperpixel
    if keyframe.is_memmappable and page.parent.filehandle.is_file:
        check((page, range(len(page.dataoffsets))))
        memory = page.asarray(out="memmap")
        return np.array(memory[y0:y1, x0:x1]).reshape(y1 - y0, x1 - x0, samples)
    out = np.zeros((y1 - y0, x1 - x0, samples), keyframe.dtype)
    numbers = _numbers(keyframe, box)
    check((page, numbers))
    file, tables = page.parent.filehandle, {"jpegtables": page.jpegtables, "jpegheader": keyframe.jpegheader}
    for number in numbers:
        file.seek(page.dataoffsets[number])
        content = file.read(page.databytecounts[number])
        decoded, (_, _, top, left, _), (_, height, width, _) = keyframe.decode(content, number, **tables)
        if decoded is None:
            raise DataError("not a readable TIFF: one of its strips or tiles is missing. Save it again")
        tile = decoded[0][:height, :width]
        rows = slice(max(y0, top), min(y1, top + height))
        columns = slice(max(x0, left), min(x1, left + width))
        out[rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0] = tile[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
    return out


def _numbers(keyframe: Any, box: Box) -> list[int]:
    """Returns the numbers of the tiles or strips that reach into a window."""
    y0, x0, y1, x1 = box
    height, width = _segment_shape(keyframe)
    across = math.ceil(keyframe.imagewidth / width)
    return [
        row * across + column
        for row in range(y0 // height, (y1 - 1) // height + 1)
        for column in range(x0 // width, (x1 - 1) // width + 1)
    ]


def _segment_shape(keyframe: Any) -> tuple[int, int]:
    if keyframe.is_tiled:
        return keyframe.tilelength, keyframe.tilewidth
    return min(keyframe.rowsperstrip, keyframe.imagelength), keyframe.imagewidth


def _segment_bytes(keyframe: Any) -> int:
    height, width = _segment_shape(keyframe)
    return int(height * width * keyframe.samplesperpixel * np.dtype(keyframe.dtype).itemsize)
