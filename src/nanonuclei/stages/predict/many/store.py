"""Where results of many machines go: a folder that all of them see, or a URL such as ``s3://bucket/out``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from nanonuclei.data.lists.remote import file_system
from nanonuclei.errors import DataError
from nanonuclei.writing import PARTIAL, write_bytes


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


def open_store(place: str) -> Store:
    """Returns the store at a path or URL.

    Raises:
        DataError: The packages for this kind of URL are not installed.
    """
    return _Remote(place) if "://" in place else _Folder(Path(place))


class _Folder(Store):
    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self, folder: str = "") -> set[str]:
        place = self._root / folder
        if not place.is_dir():
            return set()
        return {path.name for path in place.iterdir() if path.is_file() and not path.name.startswith(PARTIAL)}

    def read(self, path: str) -> bytes | None:
        file = self._root / path
        return file.read_bytes() if file.is_file() else None

    def write(self, path: str, content: bytes) -> None:
        write_bytes(self._root / path, content)

    def remove(self, path: str) -> None:
        (self._root / path).unlink(missing_ok=True)


class _Remote(Store):
    """Objects of a store such as S3, where an upload that is cut off leaves nothing."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._files, root = file_system(self._url)
        self._root = root.rstrip("/")

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

    def _explained(self, path: str, error: Exception) -> DataError:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return DataError(f"cannot reach {self._url}/{path}: {why}. Check the URL, your rights and the network")
