"""Label images: PNG of 16 bit, or TIFF of 32 bit where there are more objects, with the size of a pixel."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import tifffile

from nanonuclei.imaging.types import Int32Array

MOST = 65_535
"""Most objects of a PNG."""

_HEAD = 33
"""Bytes of a PNG up to the end of its first chunk."""


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
    content: bytes = cv2.imencode(".png", labels.astype(np.uint16))[1].tobytes()
    if pixel_size is None:
        return ".png", content
    per_metre = min(round(1e6 / pixel_size), 2**31 - 1)
    chunk = b"pHYs" + struct.pack(">IIB", per_metre, per_metre, 1)
    extra = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return ".png", content[:_HEAD] + extra + content[_HEAD:]


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
