"""Where the bytes of a file are: on disk, in a part of a larger file, or in memory; and which are not read."""

from __future__ import annotations

import io
import re
import stat
from dataclasses import dataclass
from pathlib import Path

import tifffile

from nanonuclei.errors import DataError

HEAD = 2**16
"""Bytes that tell the format of a file."""

MAX_FILE = 2 * 2**30
"""Largest file that is read into memory, bytes. TIFF and OME-Zarr files on disk are read in parts and may be larger."""


UNSOUND = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, ends of lines, and what Python puts in the place of bytes that are no UTF-8."""


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


def is_sound(name: str) -> bool:
    """Returns whether a name can stand in tables, zips and messages: it is UTF-8 and holds no control character."""
    return not UNSOUND.search(name)


def check_inside(file: Path, folder: Path) -> None:
    """Refuses a link that leads out of a folder or in a circle, and what is no file, such as a pipe.

    Raises:
        DataError: It is one of these.
    """
    try:
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            if not file.resolve().is_relative_to(folder.resolve()):
                raise DataError(
                    f"{file} is a link that leads out of {folder}. Put the file itself there, or remove the link"
                )
            mode = file.stat().st_mode
    except RuntimeError as error:
        raise DataError(f"{file} is a link that leads back to itself. Remove it") from error
    except OSError:
        return  # a link to nothing, which its reader tells
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(f"{file} must be a file, but is a pipe, socket or device. Leave it out")


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
