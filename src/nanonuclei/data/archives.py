"""Files in a folder or a zip, read in place, and zips whose bytes are the same on every machine; knows no dataset."""

from __future__ import annotations

import contextlib
import hashlib
import io
import lzma
import os
import re
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nanonuclei.data.files.content import Content, Place, is_sound
from nanonuclei.data.files.listing import Refused, is_junk, list_files
from nanonuclei.errors import DataError

MAX_FILE = 64 * 2**20
"""Largest file that is read, bytes; the largest of the Data Science Bowl has 0.9 MB."""
MAX_INNER_ZIP = 512 * 2**20
"""Largest zip inside a zip that is read, bytes; it is held in memory."""
MAX_TOTAL = 4 * 2**30
"""Largest sum of all files in a zip, bytes uncompressed."""
MAX_RATIO = 200
"""Most bytes that one compressed byte may become, in files above 1 MiB; PNG files stay near 1, deflate ends at 1032.

The same holds of all files of a zip together above `MAX_FILE`, whatever single files may do: a nearly empty mask lies
beside its image, which does not pack so well.
"""

_LOCAL_HEADER = struct.Struct("<26x2H")
ZIP_DATE = (2018, 4, 11, 0, 0, 0)
_RATIO_FLOOR = 2**20
_UNIX = 3
_FILE_MODE = 0o644
_DRIVE = re.compile(r"[A-Za-z]:")
_ENCRYPTED = 0x1
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError),
)
"""What reading a damaged entry of a zip raises."""


@dataclass(frozen=True)
class Limits:
    """What is read at most.

    Attributes:
        file: Largest file, bytes.
        total: Largest sum of all files in a zip, bytes uncompressed.
        ratio: Most bytes that one compressed byte may become, in files above 1 MiB.
    """

    file: int
    total: int
    ratio: int


class Files(Protocol):
    """Files to read, wherever they lie. `read` may be called from several threads.

    Attributes:
        path: The folder or zip, as messages name it.
        names: Paths within it with ``/``, sorted; no folders.
    """

    path: Path
    names: tuple[str, ...]

    def read(self, name: str) -> bytes:
        """Returns the content of one file.

        Raises:
            DataError: The file is damaged, too large or cannot be read.
        """

    def place(self, name: str) -> Place | None:
        """Returns where the content lies on disk; None where it has to be read, as it is compressed.

        Raises:
            DataError: The file is not there.
        """


def place_of(file: Path) -> Place:
    """Returns the place of a whole file on disk.

    Raises:
        DataError: It is not there, such as the end of a link to nothing.
    """
    try:
        return Place(file, 0, file.stat().st_size)
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from error


def content_of(files: Files, name: str) -> Content:
    """Returns the content of a file, or where it lies on disk, for the reader of image files."""
    place = files.place(name)
    return place if place is not None else files.read(name)


class _Folder:
    """Files below a folder; links to folders are not followed, and links that lead out of it are refused."""

    def __init__(self, path: Path, limits: Limits, refused: dict[str, Refused] | None) -> None:
        self.path = path
        self._limits = limits
        self.names = list_files(path, refused=refused)

    def read(self, name: str) -> bytes:
        file = self.path / name
        try:
            _check_size(file, size=file.stat().st_size, limits=self._limits)
            return file.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {file}: {error.strerror or error}") from error

    def place(self, name: str) -> Place | None:
        return place_of(self.path / name)


class _Zip:
    """Files in a zip; all entries have been checked before the first is read."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, limits: Limits) -> None:
        self.path = path
        self._archive = archive
        self._lock = threading.Lock()
        self._entries: dict[str, zipfile.ZipInfo] = {}
        total = packed = 0
        for entry in archive.infolist():
            _check_entry(path, entry, limits)
            total, packed = total + entry.file_size, packed + entry.compress_size
            if total > limits.total:
                raise DataError(
                    f"{path} unpacks to more than {limits.total:,} bytes. Take a zip that holds the dataset only"
                )
            name = _name_of(entry)
            if name.endswith("/") or is_junk(name):
                continue
            if name in self._entries:
                raise DataError(f"{path} holds {name} twice. Pack it again from the original files")
            self._entries[name] = entry
        if total > max(MAX_FILE, MAX_RATIO * packed):
            raise DataError(
                f"{path} unpacks from {packed:,} to {total:,} bytes, more than {MAX_RATIO} times. Do not use this zip"
            )
        self.names = tuple(sorted(self._entries))

    def read(self, name: str) -> bytes:
        entry = self._entries[name]
        try:
            # A size given to `read` bounds the memory, whatever the entry claims to be.
            with self._lock, self._archive.open(entry) as stream:
                content = stream.read(entry.file_size + 1)
        except _DAMAGED as error:
            raise DataError(f"cannot read {name} in {self.path}: {error}. Fetch the dataset again") from error
        if len(content) != entry.file_size:
            raise DataError(f"cannot read {name} in {self.path}: it ends early. Fetch the dataset again")
        return content

    def place(self, name: str) -> Place | None:
        entry = self._entries[name]
        if entry.compress_type != zipfile.ZIP_STORED or not self.path.is_file():
            return None
        with self.path.open("rb") as stream:
            stream.seek(entry.header_offset)
            name_length, extra_length = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
        return Place(self.path, entry.header_offset + _LOCAL_HEADER.size + name_length + extra_length, entry.file_size)


@contextlib.contextmanager
def open_files(
    path: Path, *, limits: Limits | None = None, refused: dict[str, Refused] | None = None
) -> Iterator[Files]:
    """Opens a folder or a zip for reading in place.

    Args:
        path: A folder or a zip file.
        limits: What is read at most; None: the limits above.
        refused: Takes the files of a folder that must not be read, see `list_files`; None: they are an error.

    Raises:
        DataError: The path does not exist, is no zip, is damaged as a whole, or holds entries that no sound dataset
            has: names that lead out of it, links, encryption, sizes or compression ratios beyond the limits.
    """
    limits = limits or _limits()
    if path.is_dir():
        yield _Folder(path, limits, refused)
        return
    if not path.exists():
        raise DataError(f"{path} does not exist. Give a zip or a folder")
    if not path.is_file():
        raise DataError(f"{path} must be a zip or a folder, but is a pipe, socket or device. Give a file")
    with _open_zip(path, path) as archive:
        yield _Zip(path, archive, limits)


@contextlib.contextmanager
def open_inner_zip(files: Files, name: str) -> Iterator[Files]:
    """Opens a zip that lies among other files; it is held in memory.

    Args:
        files: Where the zip lies.
        name: One of `files.names`, ending in ``.zip``.

    Raises:
        DataError: As in `open_files`.
    """
    path = files.path / name
    with io.BytesIO(files.read(name)) as content, _open_zip(path, content) as archive:
        yield _Zip(path, archive, _limits())


def write_zip(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Writes a zip whose bytes depend on nothing but the names, the contents and their order.

    Args:
        path: Where to; what is there is overwritten.
        files: (path within the zip, content) pairs. Stored uncompressed, dated `ZIP_DATE`, readable by everyone.
    """
    with path.open("wb") as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            for name, content in files:
                entry = zipfile.ZipInfo(name, date_time=ZIP_DATE)
                entry.create_system = _UNIX
                entry.external_attr = _FILE_MODE << 16
                archive.writestr(entry, content)
        stream.flush()
        os.fsync(stream.fileno())


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's content, 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def _open_zip(path: Path, source: Path | io.BytesIO) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise DataError(f"{path} is no complete zip ({error}). Download it again") from error
    with archive:
        yield archive


def _limits() -> Limits:
    return Limits(MAX_FILE, MAX_TOTAL, MAX_RATIO)


def _name_of(entry: zipfile.ZipInfo) -> str:
    """Returns the name of an entry; programs on Windows write it with backslashes."""
    return entry.orig_filename.replace("\\", "/")  # `filename` may have been mended already


def _check_entry(path: Path, entry: zipfile.ZipInfo, limits: Limits) -> None:
    name = _name_of(entry)
    if name.startswith("/") or _DRIVE.match(name) or ".." in name.split("/"):
        raise DataError(
            f"{path} holds {entry.orig_filename!r}, a path that leads out of the archive. Do not use this zip"
        )
    if not is_sound(name):
        raise DataError(f"{path} holds {name!a}, a name with control characters. Do not use this zip")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise DataError(f"{path} holds {name}, a symbolic link. Pack the files themselves")
    if entry.flag_bits & _ENCRYPTED:
        raise DataError(f"{path} holds {name}, which is encrypted. Pack the files without a password")
    _check_size(path / name, size=entry.file_size, limits=limits)
    if entry.file_size > max(_RATIO_FLOOR, limits.ratio * entry.compress_size):
        raise DataError(
            f"{path} holds {name}, which unpacks from {entry.compress_size:,} to {entry.file_size:,} bytes, "
            f"more than {limits.ratio} times. Do not use this zip"
        )


def _check_size(path: Path, *, size: int, limits: Limits) -> None:
    limit = MAX_INNER_ZIP if path.suffix.lower() == ".zip" else limits.file
    if size > limit:
        raise DataError(f"{path} has {size:,} bytes, more than the {limit:,} of any file of the dataset. Leave it out")
