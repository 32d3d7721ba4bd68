"""Label Studio's exports of polygons, brush strokes and vectors, as https://labelstud.io/guide/task_format tells them.

Corners of polygons and vertices of vectors are percent of the image's width and height. An export is either full JSON
(``data`` and ``annotations`` per task) or JSON-MIN (one flat row per annotation).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from nanonuclei.data.corrected.brush import decode
from nanonuclei.data.corrected.shapes import Drawn, Ring, Shape
from nanonuclei.errors import DataError

POLYGONS, STROKES = ("polygonlabels", "polygon"), ("brushlabels", "brush")
VECTORS = ("vectorlabels", "vector")
DRAWN, LINES = "drawn", "lines"
"""Entry of a task's data that tells what is drawn in it, and its value where that is lines."""

_UPLOADED_DIGITS = 8
"""Hex digits and a hyphen that Label Studio puts before the name of an upload."""


def is_label_studio(tree: Any) -> bool:
    """Returns whether a JSON tree is an export of tasks."""
    return isinstance(tree, list) and bool(tree) and all(isinstance(task, Mapping) and "id" in task for task in tree)


def read_label_studio(tasks: Sequence[Mapping[str, Any]]) -> dict[str, Drawn]:
    """Reads what people drew, by the path of the picture.

    Tasks that nobody finished and annotations that were skipped are passed over; of several annotations of one task the
    one that is marked as ground truth counts, else the one that was changed last. Predictions never count.

    Raises:
        DataError: A region cannot be read; the message names the task.
    """
    found: dict[str, Drawn] = {}
    for task in tasks:
        try:
            finished, data = _finished(task)
            if not finished:
                continue
            picture = data.get("image")
            if not isinstance(picture, str):
                raise DataError("no data.image. Name the image so in the labelling interface")
            best = max(finished, key=lambda one: (bool(one.get("ground_truth")), str(one.get("updated_at") or "")))
            found[file_of(picture)] = _drawn(best, data)
        except DataError as error:
            raise DataError(f"task {task.get('id')}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(f"task {task.get('id')} lacks {error}. Export the project as JSON again") from error
    return found


def file_of(reference: str) -> str:
    """Returns the path within a reference to a picture, such as ``/data/local-files/?d=pictures/a.png``.

    Of uploads, whose names begin with eight hex digits that Label Studio puts there, the original name is returned.
    """
    parts = urlsplit(reference.replace("\\", "/"))
    if local := parse_qs(parts.query).get("d"):
        return local[0].replace("\\", "/").lstrip("/")
    path = unquote(parts.path).lstrip("/")
    if not path.startswith("data/upload/"):
        return path
    name = path.rsplit("/", 1)[-1]
    digits, hyphen, rest = name[:_UPLOADED_DIGITS], name[_UPLOADED_DIGITS : _UPLOADED_DIGITS + 1], name[9:]
    uploaded = hyphen == "-" and rest and all(digit in "0123456789abcdef" for digit in digits)
    return rest if uploaded else name


def is_for_lines(data: Mapping[str, Any]) -> bool:
    """Returns whether a task was written for lines: then an annotation without any says that there are none."""
    return data.get(DRAWN) == LINES


def vertices(value: Mapping[str, Any], size: tuple[int, int]) -> Ring:
    """Returns the points of a vector, ``(n, 2)`` x and y in px, the corner of the first pixel being 0, 0.

    Args:
        value: Of the region: ``vertices`` with x and y in percent, or ``points``, as older versions have them.
        size: Height and width of the image, px.

    Raises:
        KeyError, TypeError, ValueError: It has none.
    """
    if "vertices" in value:
        points = [[float(one["x"]), float(one["y"])] for one in value["vertices"]]
    else:
        points = value["points"]
    return np.array(points, np.float64).reshape(-1, 2) / 100.0 * [size[1], size[0]]


def _finished(task: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], Mapping[str, Any]]:
    """Returns the annotations of a task that somebody finished, and its data."""
    data, answers = task.get("data"), task.get("annotations")
    if not isinstance(data, Mapping):
        data, answers = task, [{**task, "result": list(_flat(task))}]
    return [one for one in answers or () if isinstance(one, Mapping) and not one.get("was_cancelled")], data


def _drawn(annotation: Mapping[str, Any], data: Mapping[str, Any]) -> Drawn:
    shapes, size, others = [], None, 0
    if isinstance(data.get("height"), int) and isinstance(data.get("width"), int):
        size = (data["height"], data["width"])
    for number, result in enumerate(annotation.get("result") or (), start=1):
        kind = str(result.get("type", ""))
        if kind not in (*POLYGONS, *STROKES):
            others += 1
            continue
        if result.get("image_rotation"):
            raise DataError(f"the image was turned by {result['image_rotation']} degrees. Turn it back, and correct it")
        size = (int(result["original_height"]), int(result["original_width"]))
        name = f"region {number}"
        if kind in POLYGONS:
            points = np.array(result["value"]["points"], np.float64).reshape(-1, 2) / 100.0
            shapes.append(Shape(name, (points * [size[1], size[0]],)))
        else:
            shapes.append(Shape(name, mask=decode(result["value"]["rle"], size)))
    notes = (f"{others} regions that are neither polygons nor brush strokes are passed over",) if others else ()
    return Drawn(tuple(shapes), size, notes)


def _flat(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the regions of a row of JSON-MIN in the form of the full export."""
    for regions in row.values():
        for region in regions if isinstance(regions, list) else ():
            if isinstance(region, Mapping) and ("points" in region or "rle" in region):
                yield {**region, "type": "polygon" if "points" in region else "brush", "value": region}
