"""Images that were dropped on the page: files of a temporary folder, few and not for long, each under a random id."""

from __future__ import annotations

import secrets
import threading
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nanonuclei.data.contents import Contents, readings
from nanonuclei.data.files.limits import ImageLimits
from nanonuclei.data.files.reading import stem
from nanonuclei.errors import DataError

MOST = 64
"""Images that are kept at a time; the one that was not used for longest goes first."""

MOST_BYTES = 4 * 2**30
"""Of all images together, on disk."""

IDLE_SECONDS = 3600.0
"""Images that were not used for so long are removed when the next one comes."""

LONGEST_NAME = 100
"""Characters of a name that are kept."""


@dataclass(frozen=True)
class Upload:
    """An image on the page.

    Attributes:
        id: Random; who does not know it cannot reach the image.
        file: Its file name, as the user knows it.
        path: Where its content lies.
        size: Bytes.
        readings: What it holds to choose from, by the axes that it may have, see `contents.readings`.
    """

    id: str
    file: str
    path: Path
    size: int
    readings: Mapping[str | None, Sequence[Contents]]

    @property
    def name(self) -> str:
        """The file name without its suffix."""
        return stem(self.file)

    @property
    def axes(self) -> str | None:
        """The axes that are meant where none are chosen; None where the file tells them."""
        return next(iter(self.readings))

    def recordings(self, axes: str | None) -> Sequence[Contents]:
        """Returns what it holds if it has certain axes.

        Raises:
            DataError: It cannot have these.
        """
        if axes not in self.readings:
            raise DataError(f"the image has no axes {axes!r}. Load the page again")
        return self.readings[axes]


class Uploads:
    """The images on the page. Methods may be called from several threads.

    Args:
        folder: Holds their files; whoever makes it removes it.
        limits: What is decoded at most.
        most: Images that are kept.
        most_bytes: Of all of them together.
    """

    def __init__(self, folder: Path, *, limits: ImageLimits, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._folder, self._limits, self._most, self._most_bytes = folder, limits, most, most_bytes
        self._kept: OrderedDict[str, tuple[Upload, float]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def new_path(self) -> Path:
        """Returns a path to write the content of an image to; see `keep`."""
        return self._folder / secrets.token_urlsafe(16)

    def keep(self, path: Path, file: str) -> tuple[Upload, list[str]]:
        """Takes up a file that was written, and removes others where there are too many.

        Args:
            path: Of `new_path`; the file is removed where it is refused.
            file: Its name, as the user knows it.

        Returns:
            The image, and the ids of those that were removed.

        Raises:
            DataError: It is no image that can be read.
        """
        called = clean_name(file)
        try:
            found = readings(path, name=called, limits=self._limits)
            for recording in next(iter(found.values())):
                self._limits.check(recording.height, recording.width)
        except DataError as error:
            path.unlink(missing_ok=True)
            text = str(error)
            raise DataError(text if text.startswith(called) else f"{called}: {text}") from error
        upload = Upload(path.name, called, path, path.stat().st_size, found)
        with self._lock:
            self._kept[upload.id] = (upload, time.monotonic())
            removed = self._surplus()
        for one in removed:
            one.path.unlink(missing_ok=True)
        return upload, [one.id for one in removed]

    def get(self, key: str) -> Upload:
        """Returns an image by its id.

        Raises:
            DataError: It is not there, or no longer.
        """
        with self._lock:
            if key not in self._kept:
                raise DataError("this image is no longer on the page: it was removed to make room. Drop it again")
            upload, _ = self._kept[key]
            self._kept[key] = (upload, time.monotonic())
            self._kept.move_to_end(key)
            return upload

    def remove(self, key: str) -> None:
        """Removes an image, if it is there."""
        with self._lock:
            upload, _ = self._kept.pop(key, (None, 0.0))
        if upload is not None:
            upload.path.unlink(missing_ok=True)

    def _surplus(self) -> list[Upload]:
        """Takes out the images that must go; the newest stays."""
        removed, now = [], time.monotonic()
        while len(self._kept) > 1:
            upload, used = next(iter(self._kept.values()))
            num_bytes = sum(other.size for other, _ in self._kept.values())
            if len(self._kept) <= self._most and num_bytes <= self._most_bytes and now - used <= IDLE_SECONDS:
                break
            del self._kept[upload.id]
            removed.append(upload)
        return removed


def clean_name(file: str) -> str:
    """Returns a file name without folders and without characters that are not to be printed."""
    base = PurePosixPath(file.replace("\\", "/")).name
    shown = "".join(letter for letter in base if unicodedata.category(letter)[0] != "C").strip()
    return shown[-LONGEST_NAME:].lstrip(".") or "image"
