"""Label images: PNG of 16 bit, or TIFF of 32 bit where there are more objects, with the size of a pixel."""

from __future__ import annotations

import io

import numpy as np
import tifffile

from nanonuclei.imaging.types import Int32Array
from nanonuclei.report.exports.png import grey_png

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
