"""What `correct` reads of the results of `predict`: their record, and each image's objects with their scores."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nanonuclei.data.catalog import BadSample
from nanonuclei.data.files.listing import RECORD
from nanonuclei.errors import DataError
from nanonuclei.report.exports.found import LINE
from nanonuclei.stages.predict.record import IMAGES as TABLE
from nanonuclei.stages.predict.record import STATE
from nanonuclei.stages.predict.results import OBJECTS

ENCODING = "utf-8-sig"
"""Of tables; spreadsheets may write the mark of UTF-8 before the first column."""
CHANGED = (OSError, KeyError, ValueError, TypeError, csv.Error)
"""What reading a table raises that is gone, or that a spreadsheet has saved in its own way."""
AGAIN = "Predict again with the formats csv and labels"


@dataclass(frozen=True)
class Predicted:
    """The result of one image.

    Attributes:
        name: Of the image.
        scores: One per object, in the order of the labels.
        state: Of its file when it was read, see `state_of`; empty where it is not known.
        lines: Points of each object as JSON text, where objects are lines; else None.
    """

    name: str
    scores: tuple[float, ...]
    state: str = ""
    lines: tuple[str, ...] | None = None

    @property
    def uncertainty(self) -> float:
        """One less the mean score of the objects; 1 where nothing was found, as that is worth a look."""
        return 1.0 - float(np.mean(self.scores)) if self.scores else 1.0


def ranked(predicted: list[Predicted]) -> list[Predicted]:
    """Returns images in the order in which they are worth correcting: the least certain first, then by name."""
    return sorted(predicted, key=lambda one: (-one.uncertainty, one.name))


def read_record(results: Path) -> Mapping[str, Any]:
    """Returns what a folder of results tells of itself.

    Raises:
        DataError: It is no such folder, or was written by an earlier version.
    """
    try:
        record: Mapping[str, Any] = json.loads((results / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{results} must be a folder of results, but {RECORD} in it cannot be read. Name one that predict wrote"
        ) from error
    if not {"task", "images"} <= record.keys():
        raise DataError(f"{results} was written by an earlier version, which did not note its images. {AGAIN}")
    return record


def read_predicted(results: Path) -> tuple[list[Predicted], list[BadSample]]:
    """Returns the results of all images, and why those of some cannot be read.

    Raises:
        DataError: The table of images cannot be read.
    """
    try:
        rows = csv.DictReader(io.StringIO((results / TABLE).read_text(encoding=ENCODING)))
        states = {row["image"]: row.get(STATE) or "" for row in rows if not row["error"]}
    except CHANGED as error:
        raise DataError(
            f"{results / TABLE} must be the table that predict wrote, but cannot be read ({error}). If another program "
            "has saved it, predict again into a new folder"
        ) from error
    found, problems = [], []
    for name, state in states.items():
        path = results / OBJECTS / f"{name}.csv"
        try:
            found.append(_objects(name, state, path))
        except DataError as error:
            problems.append(BadSample(name, str(path), str(error)))
    return found, problems


def _objects(name: str, state: str, path: Path) -> Predicted:
    try:
        table = csv.DictReader(io.StringIO(path.read_text(encoding=ENCODING)))
        rows = list(table)
        lines = tuple(_line(row[LINE]) for row in rows) if LINE in (table.fieldnames or ()) else None
        return Predicted(name, tuple(float(row["score"]) for row in rows), state, lines)
    except CHANGED as error:
        raise DataError(f"the scores of the objects must be in {path}, but cannot be read. {AGAIN}") from error


def _line(text: str) -> str:
    """Returns the points of a line as they are told, once they are known to be points."""
    np.array(json.loads(text), np.float64).reshape(-1, 2)
    return text
