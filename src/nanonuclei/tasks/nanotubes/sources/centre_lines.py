"""Centre lines that people drew along nanotubes: a CSV table or JSON, ``image,tube,uncertain,polyline``.

``polyline`` is JSON text (in JSON a list) ``[[x, y], ...]`` in px from the middle of the upper left pixel;
``uncertain`` is 1 for a line that may be a nanotube or not: it counts neither way. The column ``image`` may be called
``panel``.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nanonuclei.data.catalog import BadSample
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import UInt16Array
from nanonuclei.tasks.nanotubes.lines.line import Line, resample
from nanonuclei.tasks.nanotubes.sources.annotations import Marks, Parsed, Polyline, read_rows

DRAWN = 3.0
"""Width of a nanotube that only its centre line is known of, px."""

SLACK = 1.0
"""Points may lie so far beyond their image, px."""

_NAMES = ("image", "panel")
_SURE = {"": False, "0": False, "1": True, "false": False, "true": True}


def is_lines_csv(content: bytes) -> bool:
    """Whether a file begins with the columns of a table of centre lines."""
    first = content[:1024].decode("utf-8-sig", "replace").splitlines()[:1]
    names = {name.strip() for name in first[0].split(",")} if first else set()
    return "polyline" in names and bool(names & set(_NAMES))


def is_panels_csv(content: bytes) -> bool:
    """Whether a file is a table of panels, which tells what images were looked at, and of which paper each is."""
    first = content[:1024].decode("utf-8-sig", "replace").splitlines()[:1]
    return bool(first) and {"panel", "doi"} <= {name.strip() for name in first[0].split(",")}


def parse_panels_csv(content: bytes, origin: str) -> Parsed:
    """Reads a table of panels: each was looked at, and its field of view is its paper (`doi`)."""
    parsed = Parsed()
    try:
        rows = read_rows(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, csv.Error) as error:
        parsed.bad(origin, f"not a table of comma-separated values ({error}). Save it as CSV, UTF-8")
        return parsed
    for row in rows:
        if row["panel"].strip():
            parsed.marks.append(Marks(row["panel"].strip(), (), origin, group=row["doi"].strip() or None, lines=()))
    return parsed


def parse_lines_csv(content: bytes, origin: str) -> Parsed:
    """Reads a table of centre lines, one row per line; a row with an empty polyline says that the image holds none.

    Args:
        content: The file, UTF-8.
        origin: Its name, for messages.
    """
    parsed = Parsed()
    try:
        rows = read_rows(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, csv.Error) as error:
        parsed.bad(origin, f"not a table of comma-separated values ({error}). Save it as CSV, UTF-8")
        return parsed
    return _parsed([(f"{origin} line {number}", row) for number, row in enumerate(rows, start=2) if any(row.values())])


def parse_lines_json(tree: list[dict[str, Any]], origin: str) -> Parsed:
    """Reads a JSON list of centre lines.

    Args:
        tree: The file.
        origin: Its name, for messages.
    """
    return _parsed([(f"{origin} entry {number}", row) for number, row in enumerate(tree, start=1)])


def outside(polyline: Polyline, shape: tuple[int, int]) -> bool:
    """Whether a point of a polyline lies beyond an image of that height and width."""
    return any(not (-SLACK <= x <= shape[1] - 1 + SLACK and -SLACK <= y <= shape[0] - 1 + SLACK) for x, y in polyline)


def as_line(polyline: Polyline) -> Line:
    """Returns the centre line of a polyline, `DRAWN` px wide."""
    return Line(resample(np.array([(y, x) for x, y in polyline], np.float64)), DRAWN)


def paint_lines(lines: tuple[Line, ...], shape: tuple[int, int]) -> UInt16Array:
    """Returns ``(height, width)`` uint16: the pixels of line i have the value i + 1, the later over the earlier."""
    labels = np.zeros(shape, np.uint16)
    for label, line in enumerate(lines, start=1):
        labels[tuple(line.pixels(shape).T)] = label
    return labels


def joined(marks: list[Marks]) -> list[Marks]:
    """Puts the lines of one image from several tables together, and the paper that a table of panels tells."""
    merged: dict[str, Marks] = {}
    for mark in marks:
        if mark.lines is None:
            merged[f"{mark.origin}: {mark.image}"] = mark
            continue
        known = merged.get(mark.image)
        if known is None:
            merged[mark.image] = mark
            continue
        lines, doubtful = (known.lines or ()) + mark.lines, known.doubtful + mark.doubtful
        origin = known.origin if known.lines or known.doubtful else mark.origin
        group = known.group or mark.group
        merged[mark.image] = Marks(mark.image, (), origin, group=group, lines=lines, doubtful=doubtful)
    return list(merged.values())


def _parsed(rows: list[tuple[str, Mapping[str, Any]]]) -> Parsed:
    parsed = Parsed()
    lines: dict[str, tuple[list[Polyline], list[Polyline], str]] = {}
    for place, row in rows:
        name = str(row.get("image") or row.get("panel") or "").strip()
        if not name:
            parsed.bad(place, "no image is named. Fill the column image")
            continue
        sure, doubtful, _ = lines.setdefault(name, ([], [], place))
        text = row["polyline"]
        if text is None or not str(text).strip():
            continue
        uncertain = str(row.get("uncertain", "")).strip().lower()
        if uncertain not in _SURE:
            wrong = f"uncertain must be 0 or 1, got {uncertain!r}. Correct it"
            parsed.problems.append(BadSample(name, place, wrong))
            continue
        try:
            polyline = _polyline(text)
        except DataError as error:
            parsed.problems.append(BadSample(name, place, str(error)))
            continue
        (doubtful if _SURE[uncertain] else sure).append(polyline)
    parsed.marks.extend(
        Marks(name, (), origin, lines=tuple(sure), doubtful=tuple(doubtful))
        for name, (sure, doubtful, origin) in lines.items()
    )
    return parsed


def _polyline(value: object) -> Polyline:
    """Returns the points of a polyline.

    Raises:
        DataError: They are no two points or more of two finite numbers each.
    """
    try:
        points = json.loads(value) if isinstance(value, str) else value
        found = tuple((float(x), float(y)) for x, y in points)  # type: ignore[union-attr]
    except (ValueError, TypeError, RecursionError):
        found = ()
    if len(set(found)) < 2 or not all(math.isfinite(number) for point in found for number in point):
        raise DataError(f"polyline must be [[x, y], ...], two points or more, got {str(value)[:40]!r}. Draw it again")
    return found
