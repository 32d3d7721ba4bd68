"""Image files as microscopes write them: chosen channels of PNG, JPEG and TIFF, one plane at a time, and pixel sizes.

Metadata of TIFF files is read in `tiff_metadata.py`.
"""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from nanonuclei.config.channels import GREY, Channel
from nanonuclei.data.archives import Files
from nanonuclei.data.pixel_values import as_image
from nanonuclei.data.tiff_metadata import channel_names, pixel_size
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""Names of image files end so, in small or capital letters."""

MAX_PIXELS = 2**28
"""Largest image that is decoded, px; a stitched image of 16,384 x 16,384."""

MAX_UNNAMED = 8
"""Most pages of a TIFF that are taken for channels where nothing in the file says what they are."""

_TIFF = (".tif", ".tiff")
_COLOURS = ("red", "green", "blue")
_PNG_HEADER = struct.Struct(">16x2I")
# What damaged files make tifffile raise; it promises none of them.
_DAMAGED = (
    tifffile.TiffFileError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    OSError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class Planes:
    """Channels of one image file.

    Attributes:
        images: As asked for, each ``(height, width)`` uint8 or uint16.
        pixel_size: Side of a pixel in micrometres; None where the file does not tell, or pixels are not square.
    """

    images: tuple[Image, ...]
    pixel_size: float | None


@dataclass(frozen=True)
class _Pages:
    """How the channels of a TIFF lie in its pages.

    Attributes:
        size: Height and width, px.
        axis: Axis of the series that counts the channels; None where there is but one.
        names: One per channel, empty where it has none.
    """

    size: tuple[int, int]
    axis: int | None
    names: tuple[str, ...]


def read_planes(files: Files, name: str, channels: Sequence[Channel]) -> Planes:
    """Reads channels of an image file, and no more of it than its layout asks for.

    A grey image has one channel, `grey`. A colour image has `red`, `green`, `blue`, and `grey`, its brightness; alpha
    is dropped. Channels of a TIFF are named by OME or ImageJ. Values that are not of 8 or 16 bit are stretched
    linearly to 16 bit, the least to 0 and the largest to 65,535, unless they are whole numbers that fit.

    Args:
        files: Where the file lies.
        name: One of `files.names`.
        channels: Names, or indices from 0.

    Raises:
        DataError: The file cannot be used; the message is a few words with the remedy, and does not name the file.
    """
    if name.lower().endswith(_TIFF):
        return _read_tiff(files, name, channels)
    image = _decode(files.read(name))
    if image.ndim == 2:
        return Planes(tuple(_checked(image[:, :, None], (GREY,), channel) for channel in channels), None)
    return Planes(tuple(_checked(image[:, :, 2::-1], _COLOURS, channel) for channel in channels), None)


def read_values(files: Files, name: str) -> NDArray[np.generic]:
    """Reads the numbers of an image file that stands for something else than light, such as a mask.

    Args:
        files: Where the file lies.
        name: One of `files.names`.

    Returns:
        ``(height, width)`` of a grey image, ``(height, width, 3)`` of a colour image, of the file's own type.

    Raises:
        DataError: As in `read_planes`.
    """
    if not name.lower().endswith(_TIFF):
        image = _decode(files.read(name))
        return image if image.ndim == 2 else image[:, :, :3]
    with _open_tiff(files, name) as (tiff, pages):
        num = 1 if pages.axis is None else tiff.series[0].shape[pages.axis]
        planes = [_plane(files, name, tiff.series[0], pages, index) for index in range(min(num, 3))]
        return planes[0] if len(planes) == 1 else np.stack(planes, axis=-1)


def stem(name: str) -> str:
    """Returns the name of an image without folders and without ``.png``, ``.ome.tif``..."""
    base = PurePosixPath(name).stem
    return base[:-4] if base.lower().endswith(".ome") else base


def is_image(name: str) -> bool:
    """Whether a file is an image by its name."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def _decode(content: bytes) -> Image:
    if content.startswith(b"\x89PNG") and len(content) >= _PNG_HEADER.size:
        width, height = _PNG_HEADER.unpack_from(content)
        _check_pixels(height, width)
    try:
        image: Image | None = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DataError(f"not a readable image ({error.err}). Save it again as PNG or TIFF") from error
    if image is None:
        raise DataError("not a readable image: damaged, cut short or of another format. Save it again as PNG or TIFF")
    return image


def _read_tiff(files: Files, name: str, channels: Sequence[Channel]) -> Planes:
    with _open_tiff(files, name) as (tiff, pages):
        images = []
        for index in [_index(pages.names, channel) for channel in channels]:
            if index is None:
                colours = [_plane(files, name, tiff.series[0], pages, place) for place in range(3)]
                images.append(_checked(np.stack(colours, axis=-1), _COLOURS, GREY))
            else:
                images.append(as_image(_plane(files, name, tiff.series[0], pages, index)))
        return Planes(tuple(images), pixel_size(tiff))


@contextlib.contextmanager
def _open_tiff(files: Files, name: str) -> Iterator[tuple[tifffile.TiffFile, _Pages]]:
    try:
        place = files.place(name)
        source = (
            tifffile.FileHandle(place.path, offset=place.offset, size=place.size)
            if place is not None
            else io.BytesIO(files.read(name))
        )
        with source, tifffile.TiffFile(source, _multifile=False) as tiff:
            yield tiff, _pages(tiff)
    except _DAMAGED as error:
        raise DataError(f"not a readable TIFF ({_one_line(error)}). Save it again, uncompressed") from error


def _pages(tiff: tifffile.TiffFile) -> _Pages:
    """Finds out what the first series of a TIFF holds, and refuses what is no image of channels."""
    series = tiff.series[0]
    extents = dict(zip(series.axes, series.shape, strict=True))
    height, width = extents.get("Y", 0), extents.get("X", 0)
    if height < 1 or width < 1:
        raise DataError(f"holds no plane of pixels, but axes {series.axes}. Save the image alone")
    _check_pixels(height, width)
    for letter, word in (("Z", "focal planes"), ("T", "times")):
        if extents.get(letter, 1) > 1:
            raise DataError(
                f"holds {extents[letter]} {word} where one plane is expected. Save a projection or single planes"
            )
    others = [axis for axis, letter in enumerate(series.axes) if letter not in "YX" and series.shape[axis] > 1]
    if len(others) > 1:
        raise DataError(f"holds axes {series.axes} where channels, y and x are expected. Save one image of channels")
    if not others:
        return _Pages((height, width), None, (channel_names(tiff, 1)[0] or GREY,))
    axis = others[0]
    num, letter = series.shape[axis], series.axes[axis]
    if letter == "S":
        return _Pages((height, width), axis, _COLOURS if num in (3, 4) else ("",) * num)
    if letter != "C" and num > MAX_UNNAMED:
        raise DataError(
            f"holds {num} planes, and nothing in it says that they are channels. Save a projection, or state the "
            f"channels (in Fiji: Image > Hyperstacks)"
        )
    return _Pages((height, width), axis, channel_names(tiff, num))


def _plane(files: Files, name: str, series: tifffile.TiffPageSeries, pages: _Pages, index: int) -> NDArray[np.generic]:
    """Reads one channel, without the others where the file keeps them apart."""
    single = len(series.pages) > 1 or pages.axis is None
    page = series.pages[index if single else 0]
    if page is None:
        raise DataError("a page of the image is missing. Save it again as one file")
    try:
        if single:
            return np.asarray(page.asarray()).reshape(pages.size)
        stored = page.asarray(out="memmap") if page.is_memmappable else page.asarray()
        whole = np.asarray(stored).reshape(series.shape)
        return np.array(np.take(whole, index, axis=pages.axis)).reshape(pages.size)
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        answer = _plane_by_opencv(files.read(name), page.index, index=None if single else index)
        if answer is None or answer.shape != pages.size:
            raise DataError(
                f"compression {tifffile.COMPRESSION(page.compression).name} of the TIFF cannot be read. Save it "
                f"uncompressed, or with LZW or Deflate"
            ) from error
        return answer


def _plane_by_opencv(content: bytes, number: int, *, index: int | None) -> NDArray[np.generic] | None:
    """Reads a page whose compression tifffile leaves to a package that is not installed; None where it cannot."""
    packed = np.frombuffer(content, np.uint8)
    try:
        read, images = cv2.imdecodemulti(packed, cv2.IMREAD_UNCHANGED, range=(number, number + 1))
    except cv2.error:
        return None
    if not read or not len(images):
        return None
    image: NDArray[np.generic] = np.asarray(images[0])
    if image.ndim == 2:
        return image
    return image[:, :, 2 - index] if index is not None and index < 3 else None


def _checked(image: NDArray[np.generic], names: Sequence[str], channel: Channel) -> Image:
    """Takes a channel out of ``(height, width, channel)``."""
    index = _index(names, channel)
    if index is None:
        if image.dtype not in (np.uint8, np.uint16):
            raise DataError(f"brightness of colours of type {image.dtype} is not defined. Name red, green or blue")
        return as_image(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY))
    return as_image(image[:, :, index])


def _index(names: Sequence[str], channel: Channel) -> int | None:
    """Finds a channel; None stands for the brightness of a colour image."""
    if isinstance(channel, int):
        if channel < len(names):
            return channel
    elif channel in names:
        return names.index(channel)
    elif channel == GREY and tuple(names) == _COLOURS:
        return None
    elif channel == GREY and len(names) == 1:
        return 0
    else:
        lower = [name.lower() for name in names]
        if lower.count(channel.lower()) == 1:
            return lower.index(channel.lower())
    known = ", ".join(f"{index} {name}".rstrip() for index, name in enumerate(names))
    raise DataError(f"no channel {channel!r}; there are: {known}. Change data.channels")


def _check_pixels(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise DataError(f"{width}x{height} px, more than the {MAX_PIXELS:,} px that are decoded. Cut it into parts")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
