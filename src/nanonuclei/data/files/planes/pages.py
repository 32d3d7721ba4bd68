"""Pages of a TIFF, or of several that make one image: each is read once its parts are seen to be there, and sound."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from nanonuclei.data.files.headers import read_header
from nanonuclei.data.files.limits import ImageLimits
from nanonuclei.errors import DataError

_WITH_HEADERS = frozenset({6, 7, 33003, 33004, 33005, 33007, 34712, 34892, 34927, 34933, 50001})
"""Compressions whose segments are image files of their own: JPEG, JPEG 2000, PNG and WebP."""
LOSSY = frozenset({6, 7, 33007, 34892})
_SEGMENT_SLACK = 4
"""Times as many pixels as its place in the image has that a compressed segment may claim; padding needs less."""


@contextlib.contextmanager
def opened(page: Any) -> Iterator[None]:
    """Opens the file of a page, where it is one of several that make an image and is closed between its pages."""
    file = page.parent.filehandle
    if not file.closed:
        yield
        return
    file.open()
    try:
        yield
    finally:
        file.close()


def page_at(series: tifffile.TiffPageSeries, number: int) -> Any:
    """Returns a page of a series, by its number.

    Raises:
        DataError: It is missing, or is of another size or kind than the others.
    """
    page, first = series.pages[number], series.keyframe
    if page is None:
        raise DataError("a page of the image is missing. Save it again as one file")
    if page.parent is not first.parent and _kind(page.keyframe) != _kind(first):
        raise DataError(f"its files must hold planes of one size and kind, but {page.parent.filename} holds others")
    return page


def _kind(page: Any) -> tuple[object, ...]:
    size = (page.shape, page.dtype, page.bitspersample, page.photometric, page.planarconfig)
    parts = (page.tilelength, page.tilewidth) if page.is_tiled else ()
    return (*size, page.compression, page.extrasamples, parts, page.imagedepth)


def read_page(page: Any, limits: ImageLimits) -> NDArray[Any]:
    """Reads a page of `page_at`.

    Raises:
        DataError: Its compression cannot be read, or as in `check_segments`.
    """
    check_segments(page, limits)
    try:
        in_place = page.is_memmappable and page.parent.filehandle.is_file
        return np.asarray(page.asarray(out="memmap" if in_place else None))
    except (ValueError, KeyError, ImportError) as error:
        name = getattr(page.keyframe.compression, "name", page.keyframe.compression)
        if "imagecodecs" in str(error) or "compression" in str(error).lower():
            raise DataError(
                f"compression {name} of the TIFF cannot be read. Save it uncompressed, or with LZW or Deflate"
            ) from error
        raise


def check_segments(page: Any, limits: ImageLimits, numbers: Sequence[int] | None = None) -> None:
    """Refuses a page of which strips or tiles are missing, beyond the end of the file, cut short or bombs.

    Args:
        page: The page.
        limits: What is decoded at most.
        numbers: Of the strips or tiles that are read; None for all.
    """
    keyframe = page.keyframe
    end = page.parent.filehandle.size
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    segments = segments if numbers is None else [segments[number] for number in numbers]
    if not segments or any(offset <= 0 or count <= 0 for offset, count in segments):
        raise DataError("not a readable TIFF: some of its strips or tiles are missing. Save it again")
    if max(offset + count for offset, count in segments) > end:
        raise DataError("not a readable TIFF: it is cut short, some of its pixels are missing. Save it again")
    if keyframe.compression not in _WITH_HEADERS:
        return
    rows, columns = (
        (keyframe.tilelength, keyframe.tilewidth)
        if keyframe.is_tiled
        else (min(keyframe.rowsperstrip, keyframe.imagelength), keyframe.imagewidth)
    )
    most = ImageLimits(_SEGMENT_SLACK * max(rows * columns, 2**16), limits.num_bytes)
    for offset, count in segments:
        page.parent.filehandle.seek(offset)
        content = page.parent.filehandle.read(count)
        if keyframe.compression in LOSSY and b"\xff\xd9" not in content[-64:]:
            raise DataError("not a readable TIFF: a strip or tile is cut short. Save it again")
        if not (keyframe.compression in LOSSY and not content.startswith(b"\xff\xd8")):
            header = read_header(content)
            most.check(header.height, header.width, bytes_per_pixel=header.bytes_per_pixel)
