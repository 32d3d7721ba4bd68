"""Boxes that people drew about nanotubes: a CSV table, COCO and LabelMe. Label Studio is read in `label_studio.py`.

Parsers collect problems instead of stopping at the first, so that a dataset's problems can be listed together.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from nanonuclei.data.catalog import BadSample

COLUMNS = ("image", "y0", "x0", "y1", "x1")
"""Columns of a table of boxes; more may be there."""

TUBE_NAMES = ("tnt", "tnts", "nanotube", "nanotubes", "tunneling nanotube", "tunnelling nanotube")
"""Labels that mean a nanotube, in small letters; a file with one label only may call it as it likes."""

THIN = 3.0
"""A line without width gets a box at least this wide, px."""

Box = tuple[float, float, float, float]

Polyline = tuple[tuple[float, float], ...]
"""Points x, y in px."""


@dataclass(frozen=True)
class Marks:
    """What somebody marked in one image.

    Attributes:
        image: The image, as the file refers to it: a name, a path or an address.
        boxes: y0, x0, y1, x1 in px, half open; empty where the image was looked at and holds no nanotube.
        origin: File, and line or entry, for messages.
        size: Height and width that the image had when it was marked; None where the file does not tell.
        group: Name of the field of view; None where the file does not tell.
        lines: Centre lines of nanotubes, where those were drawn; None where boxes were.
        doubtful: Centre lines of what may be a nanotube; only with `lines`.
    """

    image: str
    boxes: tuple[Box, ...]
    origin: str
    size: tuple[int, int] | None = None
    group: str | None = None
    lines: tuple[Polyline, ...] | None = None
    doubtful: tuple[Polyline, ...] = ()


@dataclass(frozen=True)
class Parsed:
    """What a file of annotations holds.

    Attributes:
        marks: One per image that was marked.
        problems: Everything that cannot be used.
        notes: What was passed over on purpose, one line each.
    """

    marks: list[Marks] = field(default_factory=list)
    problems: list[BadSample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def bad(self, origin: str, problem: str) -> None:
        """Adds a problem."""
        self.problems.append(BadSample(origin, origin, problem))


def is_boxes_csv(content: bytes) -> bool:
    """Whether a file begins with the columns of a table of boxes."""
    first = content[:1024].decode("utf-8-sig", "replace").splitlines()[:1]
    return bool(first) and set(COLUMNS) <= {name.strip() for name in first[0].split(",")}


def parse_boxes_csv(content: bytes, origin: str) -> Parsed:
    """Reads a table with the columns ``image,y0,x0,y1,x1``, one row per nanotube.

    A row with a name and four empty cells says that the image holds none.

    Args:
        content: The file, UTF-8.
        origin: Its name, for messages.
    """
    parsed = Parsed()
    boxes: dict[str, list[Box]] = {}
    try:
        rows = read_rows(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, csv.Error) as error:
        parsed.bad(origin, f"not a table of comma-separated values ({error}). Save it as CSV, UTF-8")
        return parsed
    for number, row in enumerate(rows, start=2):
        if not any(row.values()):
            continue
        line = f"{origin} line {number}"
        name, cells = row["image"].strip(), [row[column].strip() for column in COLUMNS[1:]]
        if not name:
            parsed.bad(line, "no image is named. Fill the column image")
            continue
        of_image = boxes.setdefault(name, [])
        if not any(cells):
            continue
        try:
            values = [float(cell) for cell in cells]
        except ValueError:
            parsed.bad(line, f"y0, x0, y1, x1 must be numbers, got {', '.join(cells)}. Leave all four empty for none")
            continue
        problem = box_problem(values)
        if problem:
            parsed.bad(line, problem)
        else:
            of_image.append((values[0], values[1], values[2], values[3]))
    parsed.marks.extend(Marks(name, tuple(found), origin) for name, found in boxes.items())
    return parsed


def read_rows(text: str) -> list[dict[str, str]]:
    """Returns the rows of a table by the names of its columns; missing cells and empty lines are empty.

    Raises:
        csv.Error: It is no table of comma-separated values.
    """
    reader = csv.reader(io.StringIO(text), skipinitialspace=True)
    names = [name.strip() for name in next(reader, [])]
    return [dict(zip_longest(names, row[: len(names)], fillvalue="")) for row in reader]


def box_problem(box: Sequence[float]) -> str:
    """Says in a few words what is wrong with y0, x0, y1, x1; nothing where nothing is."""
    y0, x0, y1, x1 = box
    if not all(math.isfinite(value) for value in box):
        return f"y0, x0, y1, x1 must be finite, got {_text(box)}. Draw the box again"
    if y1 <= y0 or x1 <= x0:
        return f"y1 and x1 must exceed y0 and x0, got {_text(box)} (y0, x0, y1, x1). Swap them, or draw the box again"
    return ""


def parse_coco(tree: dict[str, Any], origin: str) -> Parsed:
    """Reads COCO's format for detection: `images`, `annotations` with `bbox` (x, y, width, height), `categories`.

    Every image of the list counts as looked at; one without annotations holds no nanotube.

    Args:
        tree: The file.
        origin: Its name, for messages.
    """
    parsed = Parsed()
    names = {_id(entry["id"]): str(entry.get("name", "")) for entry in _entries(tree, "categories") if "id" in entry}
    annotations = _entries(tree, "annotations")
    wanted = _wanted([names.get(_id(entry.get("category_id")), "") for entry in annotations], parsed, origin)
    images = {_id(entry.get("id")): entry for entry in _entries(tree, "images")}
    boxes: dict[Any, list[Box]] = defaultdict(list)
    for entry in annotations:
        if names.get(_id(entry.get("category_id")), "") not in wanted:
            continue
        place = f"{origin} annotation {entry.get('id')}"
        if _id(entry.get("image_id")) not in images:
            parsed.bad(place, f"belongs to image {entry.get('image_id')!r}, which `images` lacks. Export it again")
            continue
        try:
            x, y, width, height = (float(value) for value in entry["bbox"])
        except (KeyError, TypeError, ValueError):
            parsed.bad(place, "bbox must be four numbers: x, y, width, height. Export boxes, not only outlines")
            continue
        box = (y, x, y + height, x + width)
        problem = box_problem(box)
        if problem:
            parsed.bad(place, problem)
        else:
            boxes[_id(entry["image_id"])].append(box)
    for key, entry in images.items():
        name = entry.get("file_name")
        if not isinstance(name, str):
            parsed.bad(f"{origin} image {key}", "file_name is missing. Export it again")
            continue
        parsed.marks.append(Marks(name, tuple(boxes[key]), origin, _size(entry.get("height"), entry.get("width"))))
    return parsed


def parse_labelme(tree: dict[str, Any], origin: str) -> Parsed:
    """Reads a LabelMe file: one image, `shapes` of any kind; the box about a shape is taken.

    Args:
        tree: The file.
        origin: Its name, for messages.
    """
    parsed = Parsed()
    shapes = _entries(tree, "shapes")
    wanted = _wanted([str(shape.get("label", "")) for shape in shapes], parsed, origin)
    boxes: list[Box] = []
    for number, shape in enumerate(shapes, start=1):
        if str(shape.get("label", "")) not in wanted:
            continue
        place = f"{origin} shape {number}"
        if shape.get("shape_type", "polygon") in ("point", "circle", "mask"):
            parsed.bad(
                place, f"a {shape['shape_type']} has no box. Draw a rectangle, polygon or line about the nanotube"
            )
            continue
        try:
            box = box_about([(float(y), float(x)) for x, y in shape["points"]])
        except (KeyError, TypeError, ValueError):
            parsed.bad(place, "points must be pairs of numbers, x and y. Draw the shape again")
            continue
        problem = box_problem(box)
        if problem:
            parsed.bad(place, problem)
        else:
            boxes.append(box)
    name = str(tree["imagePath"]).replace("\\", "/")
    parsed.marks.append(Marks(name, tuple(boxes), origin, _size(tree.get("imageHeight"), tree.get("imageWidth"))))
    return parsed


def box_about(points: Sequence[tuple[float, float]]) -> Box:
    """Returns the box about points (y, x), at least `THIN` px on either side.

    Raises:
        ValueError: There is no point.
    """
    if not points:
        raise ValueError("no points")
    sides = []
    for values in zip(*points, strict=True):
        low, high = min(values), max(values)
        grow = max(THIN - (high - low), 0.0) / 2.0
        sides.append((low - grow, high + grow))
    return sides[0][0], sides[1][0], sides[0][1], sides[1][1]


def json_kind(tree: object) -> str:
    """Tells formats of annotations apart: ``coco``, ``labelme``, ``label_studio``, ``lines``, or nothing."""
    if isinstance(tree, dict):
        if isinstance(tree.get("images"), list) and isinstance(tree.get("annotations"), list):
            return "coco"
        return "labelme" if isinstance(tree.get("shapes"), list) and "imagePath" in tree else ""
    if isinstance(tree, list) and all(isinstance(entry, dict) for entry in tree):
        if tree and all("polyline" in entry for entry in tree):
            return "lines"
        if tree and all(isinstance(entry.get("data"), dict) for entry in tree):
            return "label_studio"
        return "label_studio" if tree and all("annotation_id" in entry for entry in tree) else ""
    return ""


def load_json(content: bytes) -> object:
    """Returns the tree of a JSON file; None where it is none."""
    try:
        tree: object = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return tree


def tube_labels(names: Iterable[str]) -> set[str]:
    """Returns which of the labels of a file mean a nanotube: all of them if there is one only, else `TUBE_NAMES`."""
    known = set(names)
    if len(known) <= 1:
        return known
    return {name for name in known if name.strip().lower().replace("_", " ") in TUBE_NAMES}


def _wanted(names: Sequence[str], parsed: Parsed, origin: str) -> set[str]:
    wanted = tube_labels(names)
    others = sorted(set(names) - wanted)
    if names and not wanted:
        parsed.bad(origin, f"none of the labels {', '.join(others)} means a nanotube. Call the label TNT")
    elif others:
        parsed.notes.append(f"{origin}: passed over what is labelled {', '.join(others)}")
    return wanted


def _id(value: object) -> object:
    """Returns an id as a key; of what is no id, such as a list, its text."""
    return value if isinstance(value, int | str | float) else repr(value)


def _entries(tree: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = tree.get(name, [])
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _size(height: object, width: object) -> tuple[int, int] | None:
    return (height, width) if isinstance(height, int) and isinstance(width, int) and height > 0 < width else None


def _text(box: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in box)
