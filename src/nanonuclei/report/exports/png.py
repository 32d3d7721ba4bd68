"""Parts of PNG files that OpenCV does not write: the size of a pixel, and palettes."""

from __future__ import annotations

import struct
import zlib

import cv2

from nanonuclei.imaging.types import UInt8Array, UInt16Array

_SIGNATURE, _HEADER_END = 8, 33
"""Where the first chunk of a PNG begins and ends, bytes."""

_PALETTE = 3
"""Type of colour, in the first chunk: each pixel is the number of a colour."""


def grey_png(image: UInt8Array | UInt16Array, *, pixel_size: float | None = None) -> bytes:
    """Returns a PNG of ``(height, width)``.

    Args:
        image: The pixels.
        pixel_size: Side of a pixel, micrometres.
    """
    content = _encoded(image)
    if pixel_size is None:
        return content
    per_metre = min(round(1e6 / pixel_size), 2**31 - 1)
    resolution = _chunk(b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1))
    return content[:_HEADER_END] + resolution + content[_HEADER_END:]


def colour_png(image: UInt8Array) -> bytes:
    """Returns a PNG of ``(height, width, 3)``, red, green, blue."""
    return _encoded(image[..., ::-1])


def palette_png(image: UInt8Array, colours: UInt8Array) -> bytes:
    """Returns a PNG whose pixels are numbers of colours: a third of the work and size of one in true colours.

    Args:
        image: ``(height, width)``, numbers of colours.
        colours: ``(256, 3)`` red, green, blue.
    """
    content = _encoded(image)
    fields = content[_SIGNATURE + 8 : _HEADER_END - 4]
    header = _chunk(b"IHDR", fields[:9] + bytes([_PALETTE]) + fields[10:])
    return content[:_SIGNATURE] + header + _chunk(b"PLTE", colours.tobytes()) + content[_HEADER_END:]


def _encoded(image: UInt8Array | UInt16Array) -> bytes:
    return bytes(cv2.imencode(".png", image)[1].tobytes())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
