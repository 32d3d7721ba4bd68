"""Label images: PNG of 16 bit, or TIFF of 32 bit where there are more objects, with the size of a pixel."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from nanonuclei.imaging.types import Int32Array
from nanonuclei.report.exports.png import grey_png

TILE = 512
"""Side of a tile of a large label image, px."""

MOST = 65_535
"""Most objects of a PNG."""


def label_file(labels: Int32Array, *, pixel_size: float | None) -> tuple[str, bytes]:
    """Writes a label image.

    Args:
        labels: ``(height, width)``, 0 background, 1..n the objects.
        pixel_size: Side of a pixel, micrometres.

    Returns:
        Suffix and content: ``.png`` (uint16) up to `MOST` objects, else ``.tif`` (uint32).
    """
    if int(labels.max(initial=0)) > MOST:
        return ".tif", _tiff(labels, pixel_size)
    return ".png", grey_png(labels.astype(np.uint16), pixel_size=pixel_size)


def write_large_labels(
    path: Path, rows: Callable[[int, int], Int32Array], *, shape: tuple[int, int], pixel_size: float | None
) -> None:
    """Writes the label image of a large image as a tiled BigTIFF (uint32), a row of tiles in memory at a time.

    Args:
        path: The file.
        rows: Called with the first row and the one after the last; returns ``(rows, width)`` labels.
        shape: Height and width, px.
        pixel_size: Side of a pixel, micrometres.
    """
    height, width = shape

    def tiles() -> Iterator[NDArray[np.uint32]]:
        for y0 in range(0, height, TILE):
            band = rows(y0, min(y0 + TILE, height)).astype(np.uint32)
            for x0 in range(0, width, TILE):
                tile = np.zeros((TILE, TILE), np.uint32)
                part = band[:, x0 : x0 + TILE]
                tile[: part.shape[0], : part.shape[1]] = part
                yield tile

    tifffile.imwrite(
        path,
        tiles(),
        shape=shape,
        dtype=np.uint32,
        tile=(TILE, TILE),
        bigtiff=True,
        photometric="minisblack",
        compression="zlib",
        metadata={"axes": "YX"},
        resolution=None if pixel_size is None else (1e4 / pixel_size, 1e4 / pixel_size),
        resolutionunit=None if pixel_size is None else "CENTIMETER",
    )


def _tiff(labels: Int32Array, pixel_size: float | None) -> bytes:
    content = io.BytesIO()
    tifffile.imwrite(
        content,
        labels.astype(np.uint32),
        photometric="minisblack",
        compression="zlib",
        metadata={"axes": "YX"},
        resolution=None if pixel_size is None else (1e4 / pixel_size, 1e4 / pixel_size),
        resolutionunit=None if pixel_size is None else "CENTIMETER",
    )
    return content.getvalue()
