"""`images.csv` of a folder of results: which images are done, and with which model and settings."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from nanonuclei.data.files.listing import is_of_file
from nanonuclei.errors import DataError
from nanonuclei.report.exports.tables import cell
from nanonuclei.writing import append_text, write_text

IMAGES = "images.csv"
STATE = "file_state"
"""Column that tells a file from another of the same name."""
IN_FILE = "images_in_file"
"""Column that tells how many images the file of an image holds, so that a film is done when all of its times are."""
UNLIKE = "unlike_training"
"""Column of `IMAGES`: in what an image looks unlike each training image of a model that has a fingerprint of them."""
_FIRST = ("image", "file", "height", "width", "pixel_size_um", "num_objects")
_LAST = ("choice", "error", "fingerprint")
_REMEDY = "Remove it: the images are done again"


def _still(row: Mapping[str, str], names: Set[str]) -> bool:
    return not row["error"] and row["image"] in names


class ImagesTable:
    """`images.csv`: a row per image, added when all else of the image is written. Rows of earlier calls are kept.

    Attributes:
        known: Names of the images that had a row before this call.
        done: Files of the images whose results are as this call would write them, by the names of the images.
    """

    def __init__(self, folder: Path, *, fingerprint: str) -> None:
        self._path, self._fingerprint = folder / IMAGES, fingerprint
        self._columns: list[str] = [*_FIRST, *_LAST]
        rows = self._rows()
        self.known = {row["image"] for row in rows}
        done = [row for row in self._latest(rows) if self._is_done(row)]
        self.done = {row["image"]: row["file"] for row in done}
        self._states = {row["image"]: row.get(STATE) or "" for row in done}
        self._stale: set[str] = set()
        self._in_file = {row["file"]: int(row.get(IN_FILE) or 0) for row in done}

    def do_again(self, names: Set[str]) -> None:
        """Takes images for not done, as results of theirs are gone."""
        for name in names:
            self.done.pop(name, None)

    def otherwise(self) -> dict[str, str]:
        """Returns the files of the images that have results of another model or other settings, by their names."""
        rows = self._latest(self._rows())
        return {
            row["image"]: row["file"] for row in rows if not row["error"] and row["fingerprint"] != self._fingerprint
        }

    def outdated(self, states: Mapping[str, str]) -> set[str]:
        """Returns the images that are done and whose files are others now.

        Args:
            states: Of files of this call, see `data.lists.remote.state_of`.
        """
        self._stale = {
            name for name, file in self.done.items() if file in states and states[file] != self._states.get(name, "")
        }
        return set(self._stale)

    def finished(self, files: Mapping[str, str]) -> dict[str, int]:
        """Returns the files of which all images are done, with the numbers of these images.

        Args:
            files: Of this call, by the names of their results.
        """
        names = {file: name for name, file in files.items()}
        found = Counter(file for image, file in self.done.items() if is_of_file(image, names.get(file, "")))
        return {
            name: found[file]
            for name, file in files.items()
            if self.done.get(name) == file or found[file] >= self._in_file.get(file, 0) > 0
        }

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds the row of an image, as text in one piece.

        Args:
            row: At least ``image`` and ``file``; columns that no row had before are put among the others.

        Raises:
            DataError: The disk is full or the folder cannot be written.
        """
        self._stale.discard(row["image"])
        new = [column for column in row if column not in self._columns]
        if new or not self._path.is_file():
            before = self._rows()
            self._columns = [*self._columns[: -len(_LAST)], *new, *_LAST]
            self._write(before)
        append_text(self._path, self._text([{**row, "fingerprint": self._fingerprint}]))

    def finish(self, order: Sequence[str], *, whole: Set[str], names: Set[str]) -> list[dict[str, str]]:
        """Leaves one row per image, in the order of their files, once all images are done.

        Rows of earlier files come last, in their order. Rows of images whose files were changed, and rows of another
        model or other settings, are dropped, where this call has not done them over.

        Args:
            order: Files of this call, as `add` got them.
            whole: Files of which this call read every image without an error: errors of earlier calls are dropped, and
                images that are not in them any more.
            names: Of the images in these files.

        Returns:
            The rows of the images that have results.

        Raises:
            DataError: The disk is full or the folder cannot be written.
        """
        rows = self._rows()
        place = {file: number for number, file in enumerate(order)}
        kept = [row for row in self._latest(rows) if row["file"] not in whole or _still(row, names)]
        kept = [row for row in kept if row["image"] not in self._stale and row["fingerprint"] == self._fingerprint]

        def position(row: Mapping[str, str]) -> tuple[int, int, str]:
            number = place.get(row["file"])
            return (len(place), 0, "") if number is None else (number, len(row["image"]), row["image"])

        kept.sort(key=position)
        if kept != rows:
            self._write(kept)
        return [row for row in kept if self._is_done(row)]

    def rows(self) -> list[dict[str, str]]:
        """Returns the rows as they stand in the file; what is not known is an empty text."""
        return self._rows()

    def _is_done(self, row: Mapping[str, str]) -> bool:
        return row["fingerprint"] == self._fingerprint and not row["error"]

    def _latest(self, rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
        return list({row["image"]: row for row in rows}.values())

    def _rows(self) -> list[dict[str, str]]:
        """Reads the table, and cuts off a last line without end."""
        if not self._path.is_file():
            return []
        stored = self._path.read_bytes()
        content = stored[: stored.rfind(b"\n") + 1]
        try:
            reader = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))
            columns = list(reader.fieldnames or self._columns)
            rows = list(reader)
        except (ValueError, csv.Error) as error:
            raise DataError(f"{self._path} is no table any more ({error}). {_REMEDY}") from error
        if not {*_FIRST, *_LAST} <= set(columns) or any(None in row.values() for row in rows):
            raise DataError(
                f"{self._path} must have a row per image with the columns {', '.join((*_FIRST, *_LAST))}, but another "
                f"program has changed it. {_REMEDY}"
            )
        if len(content) < len(stored):
            with self._path.open("rb+") as file:
                file.truncate(len(content))
        self._columns = columns
        return rows

    def _write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        head = io.StringIO()
        csv.writer(head, lineterminator="\n").writerow(self._columns)
        write_text(self._path, head.getvalue() + self._text(rows))

    def _text(self, rows: Sequence[Mapping[str, Any]]) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([cell(row.get(column)) for column in self._columns] for row in rows)
        return text.getvalue()
