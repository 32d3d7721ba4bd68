"""Where the bytes of a file are: on disk, in a part of a larger file such as a zip, or in memory."""

from __future__ import annotations

import io
import stat
from dataclasses import dataclass
from pathlib import Path

import tifffile

from nanonuclei.errors import DataError

HEAD = 2**16
"""Bytes that tell the format of a file."""

MAX_FILE = 2 * 2**30
"""Largest file that is read into memory, bytes. TIFF and OME-Zarr files on disk are read in parts and may be larger."""


@dataclass(frozen=True)
class Place:
    """Bytes on disk that are the content of a file: a file of a folder, or one stored uncompressed in a zip.

    Attributes:
        path: The file, or the zip.
        offset: Where the content begins, bytes.
        size: Length of the content, bytes.
    """

    path: Path
    offset: int
    size: int


Content = bytes | Path | Place
"""The content of a file, or where it is."""


def head(content: Content) -> bytes:
    """Returns the first `HEAD` bytes.

    Raises:
        DataError: The file cannot be read.
    """
    return content[:HEAD] if isinstance(content, bytes) else _read(content, HEAD)


def whole(content: Content) -> bytes:
    """Returns all bytes.

    Raises:
        DataError: The file cannot be read, or is larger than `MAX_FILE`.
    """
    if isinstance(content, bytes):
        return content
    found = _read(content, MAX_FILE + 1)
    if len(found) > MAX_FILE:
        raise DataError(f"more than {MAX_FILE:,} bytes. Save it as TIFF, which is read in parts")
    return found


def handle(content: Content) -> io.BytesIO | tifffile.FileHandle:
    """Returns an open file that tifffile reads from."""
    if isinstance(content, bytes):
        return io.BytesIO(content)
    if isinstance(content, Path):
        return tifffile.FileHandle(content)
    return tifffile.FileHandle(content.path, offset=content.offset, size=content.size)


def _read(content: Path | Place, most: int) -> bytes:
    place = Place(content, 0, most) if isinstance(content, Path) else content
    try:
        if not stat.S_ISREG(place.path.stat().st_mode):  # to open a pipe would wait for ever
            raise DataError("must be a file, but is a folder, pipe, socket or device. Leave it out")
        with place.path.open("rb") as stream:
            stream.seek(place.offset)
            return stream.read(min(most, place.size))
    except OSError as error:
        raise DataError(f"cannot be opened: {error.strerror or error}. Check the path and its rights") from error
