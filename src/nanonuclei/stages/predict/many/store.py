"""Where results of many machines go: a folder that all of them see, or a URL such as ``s3://bucket/out``."""

from __future__ import annotations

import shutil
import uuid
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from nanonuclei.data.lists.remote import file_system
from nanonuclei.errors import DataError
from nanonuclei.writing import PARTIAL, whole_file

UNFINISHED = f"{PARTIAL}files"
"""Folder, within a place that is a folder, of files that are being written: who reads results never meets them."""


class Store(ABC):
    """Files by their paths within a place; a file is there whole or not at all."""

    @abstractmethod
    def names(self, folder: str = "") -> set[str]:
        """Returns the names of the files directly in a folder; none where it does not exist."""

    @abstractmethod
    def read(self, path: str) -> bytes | None:
        """Returns a file's content; None where there is none."""

    @abstractmethod
    def write(self, path: str, content: bytes) -> None:
        """Writes a file, or writes it anew.

        Raises:
            DataError: It cannot be written.
        """

    @abstractmethod
    def remove(self, path: str) -> None:
        """Removes a file that may be there."""

    @abstractmethod
    def sweep(self) -> None:
        """Removes what workers that were killed left half written; nobody may be writing."""


def open_store(place: str) -> Store:
    """Returns the store at a path or URL; ``file:///...`` is a path.

    Raises:
        DataError: The packages for this kind of URL are not installed.
    """
    if "://" not in place:
        return _Folder(Path(place))
    files, root = file_system(place)
    from fsspec.implementations.local import LocalFileSystem

    return _Folder(Path(root)) if isinstance(files, LocalFileSystem) else _Remote(place, files, root)


class _Folder(Store):
    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self, folder: str = "") -> set[str]:
        place = self._root / folder
        if not place.is_dir():
            return set()
        return {path.name for path in place.iterdir() if path.is_file()}

    def read(self, path: str) -> bytes | None:
        file = self._root / path
        return file.read_bytes() if file.is_file() else None

    def write(self, path: str, content: bytes) -> None:
        aside = self._root / UNFINISHED / f"{uuid.uuid4().hex}{Path(path).suffix}"
        with whole_file(self._root / path, aside=aside) as unfinished:
            unfinished.write_bytes(content)

    def remove(self, path: str) -> None:
        (self._root / path).unlink(missing_ok=True)

    def sweep(self) -> None:
        shutil.rmtree(self._root / UNFINISHED, ignore_errors=True)


class _Remote(Store):
    """Objects of a store such as S3, where an upload that is cut off leaves nothing."""

    def __init__(self, url: str, files: Any, root: str) -> None:
        self._url, self._files, self._root = url.rstrip("/"), files, root.rstrip("/")

    def names(self, folder: str = "") -> set[str]:
        place = f"{self._root}/{folder}".rstrip("/")
        try:
            found = self._files.ls(place, detail=True, refresh=True)
        except FileNotFoundError:
            return set()
        except Exception as error:  # every kind of store has errors of its own
            raise self._explained(folder, error) from error
        return {str(one["name"]).rsplit("/", 1)[-1] for one in found if one["type"] == "file"}

    def read(self, path: str) -> bytes | None:
        try:
            return bytes(self._files.cat_file(f"{self._root}/{path}"))
        except FileNotFoundError:
            return None
        except Exception as error:  # as above
            raise self._explained(path, error) from error

    def write(self, path: str, content: bytes) -> None:
        try:
            self._files.pipe_file(f"{self._root}/{path}", content)
        except Exception as error:  # as above
            raise self._explained(path, error) from error

    def remove(self, path: str) -> None:
        if self.read(path) is not None:
            self._files.rm_file(f"{self._root}/{path}")

    def sweep(self) -> None:
        pass

    def _explained(self, path: str, error: Exception) -> DataError:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return DataError(f"cannot reach {self._url}/{path}: {why}. Check the URL, your rights and the network")
