"""From what a request holds to images: decoded once their header says that they fit, refused in one sentence."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nanonuclei.data.files.headers import JPEG, PNG, Header, is_cut_short, read_header
from nanonuclei.data.files.limits import ImageLimits
from nanonuclei.data.files.reading import describe, read_values
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Image
from nanonuclei.serving.refusal import Refused

FORMATS = ("PNG", "JPEG", "TIFF")
"""Formats that a request may hold."""

SMALLEST, LONGEST = 1, 65_535
"""Least and largest height and width, px."""


LIMITS = ImageLimits(num_pages=1000)
"""What is decoded at most, whatever a request may hold; the pixels of a request are bounded by `examine`."""


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
        found = read_values(image.content, limits=LIMITS)
    except DataError as error:
        raise Refused(f"{image.name} is broken: {error}") from error
    if found.shape[0] * found.shape[1] != image.num_pixels:
        raise Refused(f"{image.name} is broken: its header tells another size than its pixels")
    _check_type(found, image.name)
    if found.shape[2:] not in ((), (3,)):
        raise Refused(f"{image.name} must be grey or RGB, got {found.shape[2]} channels")
    return found


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
    header = _header(content, name)
    if not (SMALLEST <= header.height <= LONGEST and SMALLEST <= header.width <= LONGEST):
        size = f"{header.height} x {header.width}"
        raise Refused(f"{name} must have {SMALLEST} to {LONGEST} px in height and width, got {size}")
    return Encoded(name, content, header.height * header.width)


def _header(content: bytes, name: str) -> Header:
    """Returns format and size of a file, px; nothing is decoded."""
    if is_cut_short(content):
        raise Refused(f"{name} is truncated: a {'PNG' if content.startswith(PNG) else 'JPEG'} without its end")
    try:
        found = read_header(content)
    except DataError as error:
        known = content.startswith((PNG, JPEG))
        raise Refused(f"{name} is broken: its header cannot be read" if known else _other(name)) from error
    if found.format not in FORMATS:
        raise Refused(_other(name))
    if found.format != "TIFF":
        return found
    try:
        return describe(content, limits=LIMITS)
    except DataError as error:
        raise Refused(f"{name} is broken or no flat image: {error}") from error


def _other(name: str) -> str:
    return f"{name} is not a PNG, JPEG or TIFF"


def _check_type(pixels: Image, name: str) -> None:
    if pixels.dtype not in (np.uint8, np.uint16):
        raise Refused(f"{name} must have 8 or 16 bits per pixel and channel, got {pixels.dtype}")
