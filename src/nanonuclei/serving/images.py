"""From what a request holds to images: decoded once their header says that they fit, refused in one sentence."""

from __future__ import annotations

import base64
import binascii
import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from nanonuclei.imaging.types import Image
from nanonuclei.serving.refusal import Refused

PNG, JPEG, TIFF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of a file of each kind."""

FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a JPEG that begin a frame."""

SMALLEST, LONGEST = 1, 65_535
"""Least and largest height and width, px."""


@dataclass(frozen=True)
class Encoded:
    """An image that was looked at, but not decoded.

    Attributes:
        name: How messages call it, such as ``image 0``.
        content: The bytes of a file, or the pixels.
        num_pixels: Height times width.
    """

    name: str
    content: bytes | Image
    num_pixels: int


def examine(items: Sequence[object], *, max_pixels: int) -> list[Encoded]:
    """Finds out what each item of a request is and how large, before anything is decoded.

    Args:
        items: Bytes of PNG, JPEG or TIFF files, base64 text of such, paths (`pathlib.Path`) or arrays ``(height,
            width)`` or ``(height, width, 3 or 4)``, uint8 or uint16. Text is never a path: requests over HTTP must not
            read files of the server.
        max_pixels: Of all images together.

    Raises:
        Refused: There is none, one is no such image, or they are too large.
    """
    if not len(items):
        raise Refused("a request must hold at least one image, got none")
    images = [_examine(item, name=f"image {number}") for number, item in enumerate(items)]
    total = sum(image.num_pixels for image in images)
    if total > max_pixels:
        raise Refused(f"the images of a request must have at most {max_pixels} px together, got {total} px")
    return images


def decode(image: Encoded) -> Image:
    """Decodes an image as the prepared datasets are decoded.

    Returns:
        ``(height, width)`` or ``(height, width, 3)`` RGB, uint8 or uint16.

    Raises:
        Refused: It is broken, or of another type of pixels.
    """
    if isinstance(image.content, np.ndarray):
        return image.content
    try:
        found = cv2.imdecode(np.frombuffer(image.content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        found = None
    if found is None:
        raise Refused(f"{image.name} is broken: its pixels cannot be decoded")
    if found.shape[0] * found.shape[1] != image.num_pixels:
        raise Refused(f"{image.name} is broken: its header tells another size than its pixels")
    _check_type(found, image.name)
    pixels: Image = found if found.ndim == 2 else cv2.cvtColor(found[..., :3], cv2.COLOR_BGR2RGB)
    return pixels


def decoded(images: Sequence[Encoded]) -> Iterator[Image]:
    """Decodes images one by one, as they are asked for."""
    for image in images:
        yield decode(image)


def _examine(item: object, *, name: str) -> Encoded:
    if isinstance(item, np.ndarray):
        if item.ndim not in (2, 3) or item.size == 0 or item.shape[2:] not in ((), (1,), (3,), (4,)):
            raise Refused(f"{name} must be (height, width) or (height, width, 1, 3 or 4), got shape {item.shape}")
        _check_type(item, name)
        return Encoded(name, item, item.shape[0] * item.shape[1])
    if isinstance(item, Path):
        try:
            item = item.read_bytes()
        except OSError as error:
            raise Refused(f"{name} cannot be read from its path: {error.strerror}") from error
    elif isinstance(item, str):
        try:
            item = base64.b64decode(item, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Refused(f"{name} is not base64 text") from error
    if not isinstance(item, bytes | bytearray):
        raise Refused(f"{name} must be the bytes of an image or base64 text, got {type(item).__name__}")
    content = bytes(item)
    height, width = _size(content, name)
    if not (SMALLEST <= height <= LONGEST and SMALLEST <= width <= LONGEST):
        raise Refused(f"{name} must have {SMALLEST} to {LONGEST} px in height and width, got {height} x {width}")
    return Encoded(name, content, height * width)


def _size(content: bytes, name: str) -> tuple[int, int]:
    """Returns height and width, px, as the header tells them; nothing is decoded."""
    if content.startswith(PNG):
        if len(content) < 33 or content[12:16] != b"IHDR" or b"IEND" not in content[-1024:]:
            raise Refused(f"{name} is truncated: a PNG without its end")
        width, height = struct.unpack(">II", content[16:24])
        return height, width
    if content.startswith(JPEG):
        if content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
            raise Refused(f"{name} is truncated: a JPEG without its end")
        return _size_of_jpeg(content, name)
    if content.startswith(TIFF):
        return _size_of_tiff(content, name)
    raise Refused(f"{name} is not a PNG, JPEG or TIFF")


def _size_of_jpeg(content: bytes, name: str) -> tuple[int, int]:
    """Walks from segment to segment up to the frame's header (ITU-T T.81, B.1 and B.2.2)."""
    place = 2
    while place + 9 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker in FRAMES:
            height, width = struct.unpack(">HH", content[place + 5 : place + 9])
            return height, width
        place += 1 if marker == 0xFF else 2 + struct.unpack(">H", content[place + 2 : place + 4])[0]
    raise Refused(f"{name} is broken: its header cannot be read")


def _size_of_tiff(content: bytes, name: str) -> tuple[int, int]:
    from tifffile import TiffFile

    try:
        with TiffFile(io.BytesIO(content)) as file:
            page = file.pages.first
            height, width, depth = page.imagelength, page.imagewidth, page.imagedepth
            ends = [a + b for a, b in zip(page.dataoffsets, page.databytecounts, strict=True)]
    except Exception as error:  # as above
        raise Refused(f"{name} is broken: its header cannot be read") from error
    if depth != 1:
        raise Refused(f"{name} must be a flat image, got a TIFF of {depth} planes")
    if not ends or max(ends) > len(content):
        raise Refused(f"{name} is truncated: a TIFF without all of its pixels")
    return int(height), int(width)


def _check_type(pixels: Image, name: str) -> None:
    if pixels.dtype not in (np.uint8, np.uint16):
        raise Refused(f"{name} must have 8 or 16 bits per pixel and channel, got {pixels.dtype}")
