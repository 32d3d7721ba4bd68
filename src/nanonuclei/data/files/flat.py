"""PNG, JPEG, BMP, GIF, WebP and JPEG 2000: decoded whole, once their header says that they fit, or refused."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from nanonuclei.data.files.headers import Header, is_cut_short, num_png_images
from nanonuclei.data.files.limits import ImageLimits
from nanonuclei.data.files.scene import COLOURS, DAMAGED, Scene, decoding
from nanonuclei.errors import DataError

MAX_FRAMES_PIXELS = 2**26
"""Largest BMP, GIF or WebP, px; Pillow calls images of 89 million pixels bombs."""

_NAMES = {1: ("",), 2: ("", ""), 3: COLOURS, 4: COLOURS}


def read_flat(content: bytes, header: Header, limits: ImageLimits) -> Scene:
    """Reads an image of any format but TIFF.

    Args:
        content: The file.
        header: What its first bytes say.
        limits: What is decoded at most.

    Returns:
        Axes ``YX`` or ``YXS`` with red, green and blue; before them T where it is an animation. Alpha is dropped, a
        palette is applied, CMYK is converted to RGB.

    Raises:
        DataError: It is too large, damaged or cut short.
    """
    limits.check(header.height, header.width, bytes_per_pixel=header.bytes_per_pixel, packed=len(content))
    if header.format in ("GIF", "WebP", "BMP"):
        if header.height * header.width > MAX_FRAMES_PIXELS:
            raise DataError(
                f"{header.width}x{header.height} px, more than the {MAX_FRAMES_PIXELS:,} px that are decoded of a "
                f"{header.format}. Save it as PNG or TIFF"
            )
        return replace(_frames(content, header), lossy=content[12:16] == b"VP8 ")
    if is_cut_short(content):
        raise DataError(f"{DAMAGED}. Save it again as PNG or TIFF")
    if header.format == "PNG" and (num := num_png_images(content)) > 1:
        raise DataError(f"holds {num} images as an animation, of which one would be read. Save them as TIFF")
    with decoding():
        image = _DECODERS[header.format](content)
    if image.shape[:2] != (header.height, header.width):
        raise DataError(f"{DAMAGED}: its header tells another size than its pixels have. Save it again")
    return replace(_scene(_without_alpha(image)), lossy=header.format == "JPEG")


def _jpeg(content: bytes) -> NDArray[Any]:
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:  # more than 8 bit, or lossless
        return np.asarray(imagecodecs.jpeg8_decode(content))
    return np.asarray(decoded if decoded.ndim == 2 else decoded[..., 2::-1])


_DECODERS: dict[str, Callable[[bytes], NDArray[Any]]] = {
    "PNG": imagecodecs.png_decode,
    "JPEG": _jpeg,
    "JPEG 2000": imagecodecs.jpeg2k_decode,
}


def _frames(content: bytes, header: Header) -> Scene:
    with decoding():
        # It stays open, as a frame is decoded from those before it: one after the other, each is decoded once.
        image = Pillow.open(io.BytesIO(content), formats=[header.format.upper()])
        num = getattr(image, "n_frames", 1)
        first = _frame(image, 0)

    def read(index: Mapping[str, int]) -> NDArray[Any]:
        if not index.get("T"):
            return _picked(first, index)
        with decoding():
            return _picked(_frame(image, index["T"]), index)

    axes = "YX" if first.ndim == 2 else "YXS"
    names = _NAMES[1 if first.ndim == 2 else 3]
    shape = first.shape
    if num > 1:
        axes, shape = "T" + axes, (num, *shape)
    return Scene(axes, shape, first.dtype, first.ndim == 3, names, None, read)


def _frame(image: Pillow.Image, number: int) -> NDArray[Any]:
    image.seek(number)
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L"))
    return np.asarray(image.convert("RGB"))


def _without_alpha(image: NDArray[Any]) -> NDArray[Any]:
    if image.ndim == 3 and image.shape[2] in (1, 2):
        return image[..., 0]
    return image[..., :3] if image.ndim == 3 else image


def _scene(image: NDArray[Any]) -> Scene:
    axes = "YX" if image.ndim == 2 else "YXS"
    names = _NAMES[1 if image.ndim == 2 else 3]
    return Scene(axes, image.shape, image.dtype, image.ndim == 3, names, None, lambda index: _picked(image, index))


def _picked(image: NDArray[Any], index: Mapping[str, int]) -> NDArray[Any]:
    return image[..., index["S"]] if "S" in index else image
