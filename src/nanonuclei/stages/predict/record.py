"""What stands in a folder of results: which images are done, and with which model and settings."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nanonuclei.config.params import flatten
from nanonuclei.data.files.listing import RECORD, is_of_file
from nanonuclei.errors import ConfigError, DataError
from nanonuclei.invocation import option
from nanonuclei.report.exports.tables import cell
from nanonuclei.serving.folder import CONFIG, NETWORK
from nanonuclei.serving.named import OpenedModel
from nanonuclei.serving.shipped.provenance import NO_ANSWER_NEEDS, PROVENANCE, file_sha256, starts_with
from nanonuclei.stages.predict.request import Request, check_free
from nanonuclei.writing import HELD, PARTIAL, WritingError, append_text, remove_partial, write_text

FORMAT = 1
"""Version of the files in a folder of results; a change of their content raises it."""

IMAGES = "images.csv"
LOCK = f"{PARTIAL}{HELD}"
"""File that is locked, and there, while a call is at work."""
STATE = "file_state"
"""Column that tells a file from another of the same name."""
IN_FILE = "images_in_file"
"""Column that tells how many images the file of an image holds, so that a film is done when all of its times are."""
UNLIKE = "unlike_training"
"""Column of `IMAGES`: in what an image looks unlike each training image of a model that has a fingerprint of them."""
_FIRST = ("image", "file", "height", "width", "pixel_size_um", "num_objects")
_LAST = ("choice", "error", "fingerprint")
_REMEDY = "Remove it: the images are done again"


def fingerprint(opened: OpenedModel, request: Request) -> str:
    """Returns 12 hex digits over all that decides what is written of an image."""
    folder = opened.named.folder
    skipped = (*NO_ANSWER_NEEDS, PROVENANCE, NETWORK, CONFIG)
    files = {
        path.name: file_sha256(path)
        for path in sorted(folder.iterdir())
        if path.is_file() and not starts_with(path.name, skipped)
    }
    asked = {
        "format": FORMAT,
        "files": files,
        "config": flatten(opened.config),
        "channel": request.channel,
        "z": request.z,
        **({"axes": request.axes} if request.axes else {}),
        "formats": sorted(request.formats),
        "submission": request.submission,
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]


@contextlib.contextmanager
def open_folder(output: Path, made_with: Mapping[str, Any], *, resume: bool) -> Iterator[list[str]]:
    """Makes a folder of results, or takes up one that is there; no other call writes to it meanwhile.

    A new one in which no image has a row yet is removed again where anything is raised.

    Args:
        output: The folder.
        made_with: What it is made with; at least ``fingerprint``.
        resume: Whether to go on in a folder that holds results.

    Yields:
        What the user should know, a line each.

    Raises:
        ConfigError: The folder holds something else, or results, and `resume` was not asked for; or another call is at
            work in it.
        DataError: The disk is full or the folder cannot be written.
    """
    record, lines = output / RECORD, []
    again = record.is_file()
    same = not again or _read(record).get("fingerprint") == made_with["fingerprint"]
    check_free(output, resume=resume, same=same)
    if not same:
        lines.append(f"{output} was made with another model or other settings: its images are done over.")
    elif resume and not again:
        lines.append(f"{output} holds no results yet: all images are done.")
    made = [folder for folder in (output, *output.parents) if not folder.exists()]
    try:
        with _alone(output):
            try:
                if again:
                    remove_partial(output)
                write_text(record, json.dumps(dict(made_with), indent=2, ensure_ascii=False) + "\n")
                yield lines
            except BaseException:
                if not again and not (output / IMAGES).is_file():
                    _empty(output)
                raise
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):  # not empty, or not there
                folder.rmdir()
        raise


def _empty(output: Path) -> None:
    """Removes what stands in a folder of results, but the lock."""
    for path in output.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(output: Path) -> Iterator[None]:
    """Holds a folder of results, as two calls at once would drop each other's rows."""
    lock = FileLock(output / LOCK, blocking=False)
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise ConfigError(
            f"one call at a time writes to a folder, but another is at work in {output}. Wait for its end, or name "
            f"another folder with `{option('output', 'FOLDER')}`"
        ) from error
    except OSError as error:
        raise WritingError(
            f"cannot write {output / LOCK}: {error.strerror or error}. Free space or rights in {output}"
        ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            (output / LOCK).unlink()
        lock.release()


def _read(record: Path) -> dict[str, Any]:
    try:
        tree = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}


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

        Rows of images whose files were changed are dropped, where this call has not done them over.

        Args:
            order: Files of this call, as `add` got them.
            whole: Files of which this call read every image without an error: errors of earlier calls are dropped, and
                images that are not in them any more.
            names: Of the images in these files.

        Returns:
            The rows of the images that have results of this call's model and settings.

        Raises:
            DataError: The disk is full or the folder cannot be written.
        """
        rows = self._rows()
        place = {file: number for number, file in enumerate(order)}
        kept = [row for row in self._latest(rows) if row["file"] not in whole or _still(row, names)]
        kept = [row for row in kept if row["image"] not in self._stale]
        kept.sort(key=lambda row: (place.get(row["file"], len(place)), len(row["image"]), row["image"]))
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
