"""Writes files and folders under a temporary name, then renames them: they appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from nanonuclei.errors import DataError

PARTIAL = "partial-"
"""What temporary names begin with."""
HELD = "held"
"""Lock in a temporary folder: its process is at work."""
_FILE = re.compile(rf"{PARTIAL}\d+-.")
"""Temporary names of files begin so, with the number of their process."""
_LONG = 200
"""Bytes of a name from which on its temporary name is made of its digest: file systems take 255."""
OF_NAME = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST})
"""Errors of the operating system that a name alone brings about."""
ABANDONED_SECONDS = 86_400.0
"""Time after which a temporary folder without a lock is nobody's."""


class WritingError(DataError):
    """A file cannot be written: the disk is full, or rights are missing."""

    @property
    def is_of_name(self) -> bool:
        """Whether the name alone is at fault, so that other files can be written: too long, or a file's and a folder's.

        A folder ``a.csv`` and a file ``a.csv`` cannot lie in one place.
        """
        return isinstance(self.__cause__, OSError) and self.__cause__.errno in OF_NAME


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8, with its folder where that is missing.

    Raises:
        DataError: The disk is full or the folder cannot be written.
    """
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file, with its folder where that is missing.

    Raises:
        DataError: The disk is full or the folder cannot be written.
    """
    with whole_file(path) as partial:
        partial.write_bytes(content)


def append_text(path: Path, text: str) -> None:
    """Adds text to the end of a file, which is made where it is missing: all of it, or nothing.

    Raises:
        DataError: The disk is full or the folder cannot be written.
    """
    content = text.encode()
    with _os_errors_explained(path), path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            if file.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except BaseException:
            file.truncate(before)
            raise


def remove_partial(folder: Path) -> None:
    """Removes what a process that was killed left half done: folders in a folder, files anywhere below it.

    Results that are only called so, such as ``objects/partial-scan/1.csv``, stay.
    """
    for path in list(folder.rglob(f"{PARTIAL}*")):
        if path.is_dir() and path.parent == folder:
            shutil.rmtree(path, ignore_errors=True)
        elif _FILE.match(path.name) and path.is_file():
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_file(path: Path, *, aside: Path | None = None) -> Iterator[Path]:
    """Yields a temporary path beside `path`, with its suffix; the file is renamed to `path` at the end.

    On any failure the file is removed, and what was at `path` before is untouched.

    Args:
        path: The file to make.
        aside: Another temporary path on the same file system; its folder is made where it is missing.

    Raises:
        DataError: The disk is full or the folder cannot be written.
    """
    name = path.name
    if len(name.encode()) > _LONG:
        name = hashlib.sha256(name.encode()).hexdigest()[:16] + path.suffix[-16:]
    partial = aside or path.with_name(f"{PARTIAL}{os.getpid()}-{name}")
    try:
        with _os_errors_explained(path):
            for folder in (path.parent, partial.parent):
                folder.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


@contextlib.contextmanager
def no_empty_folder(folder: Path) -> Iterator[None]:
    """Removes a folder at the end, and those above it, where they were not there before and are empty."""
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it holds files, or is not there
            for place in new:
                place.rmdir()


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside `path`, which is renamed to `path` at the end; on any failure it is removed.

    Args:
        path: The folder to make; it may exist, if it is empty.

    Raises:
        DataError: The disk is full, the parent folder cannot be written, or `path` holds files.
    """
    with _os_errors_explained(path), being_made(path) as partial:
        yield partial
        if path.exists():
            path.rmdir()
        partial.replace(path)


@contextlib.contextmanager
def being_made(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside `path` that no other process writes to.

    The caller renames it; a folder that was not renamed is removed at the end.

    Raises:
        DataError: The disk is full, or the parent folder cannot be written.
    """
    with _os_errors_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        own, held = _held_folder(path)
    try:
        partial = own / path.name
        partial.mkdir()  # with the usual access rights, which a temporary folder does not have
        yield partial
    finally:
        held.release()
        shutil.rmtree(own, ignore_errors=True)


def _held_folder(path: Path) -> tuple[Path, FileLock]:
    """Makes a temporary folder beside `path` and holds its lock.

    Another process may find the folder before its lock is held, and remove it as abandoned; then there is a new one.
    """
    while True:
        own = Path(tempfile.mkdtemp(dir=path.parent, prefix=f"{PARTIAL}{path.name}-"))
        held = FileLock(own / HELD)
        with contextlib.suppress(FileNotFoundError):
            held.acquire()
            if (own / HELD).exists():
                return own, held
            held.release()


def remove_leftovers(folder: Path) -> list[Path]:
    """Removes the temporary folders of `being_made` that killed processes left in a folder; returns them.

    A folder that is being made is held by a lock, which a killed process lets go. One without a lock is removed a day
    after its last change.
    """
    removed = []
    for own in sorted(folder.glob(f"{PARTIAL}*")):
        if own.is_dir() and _remove_abandoned(own):
            removed.append(own)
    return removed


def _remove_abandoned(own: Path) -> bool:
    """Removes a temporary folder that is nobody's, holding its lock meanwhile; tells whether it was."""
    if not (own / HELD).exists():
        old = _is_old(own)  # its age alone tells: its process may be about to take the lock
        if old:
            shutil.rmtree(own, ignore_errors=True)
        return old
    lock = FileLock(own / HELD, blocking=False)
    try:
        lock.acquire()
    except (Timeout, OSError):
        return False
    shutil.rmtree(own, ignore_errors=True)
    lock.release()
    if os.name == "nt":  # a file that is open stays there
        shutil.rmtree(own, ignore_errors=True)
    return True


def is_abandoned(path: Path) -> bool:
    """Tells whether a file or folder with a temporary name is nobody's: its process was killed.

    A folder that is being made is held by a lock; one without a lock, and a file, are nobody's a day after their last
    change.
    """
    if (path / HELD).exists():
        lock = FileLock(path / HELD, blocking=False)
        try:
            lock.acquire()
        except (Timeout, OSError):
            return False
        lock.release()
        return True
    return _is_old(path)


def _is_old(path: Path) -> bool:
    """Tells whether a file or folder was last changed a day ago; not of one that is gone."""
    try:
        return time.time() - path.stat().st_mtime >= ABANDONED_SECONDS
    except FileNotFoundError:
        return False


def check_new_folder(path: Path) -> None:
    """Makes sure that a folder can be made: it does not exist, or is empty.

    Raises:
        DataError: It holds files, or is a file.
    """
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise DataError(f"the output must be a new or empty folder, but {path} exists. Name another, or remove it")


@contextlib.contextmanager
def _os_errors_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if file := next((place for place in path.parents if place.exists() and not place.is_dir()), None):
            raise WritingError(f"cannot write {path}: {file} is a file, not a folder. Name another place") from error
        raise WritingError(
            f"cannot write {path}: {error.strerror or error}. Free space or rights in {path.parent}"
        ) from error
