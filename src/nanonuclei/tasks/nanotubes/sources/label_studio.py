"""Label Studio: tasks with a model's boxes to begin with, and its exports read back into boxes or centre lines.

The forms are those of https://labelstud.io/guide/task_format and https://labelstud.io/tags/rectanglelabels: lengths are
percent of the image's width and height, a rectangle is turned clockwise about its upper left corner by `rotation`
degrees. An export is either full JSON (`data`, `annotations` per task) or JSON-MIN (one flat row per annotation).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nanonuclei.data.corrected.label_studio import VECTORS, file_of, is_for_lines
from nanonuclei.imaging.types import Float32Array
from nanonuclei.imaging.windows import Window
from nanonuclei.tasks.nanotubes.sources.annotations import Box, Marks, Parsed, box_about, box_problem, tube_labels
from nanonuclei.tasks.nanotubes.sources.drawn.strokes import is_doubtful
from nanonuclei.tasks.nanotubes.sources.drawn.vectors import Region, vector_marks
from nanonuclei.writing import write_text

LABEL, FROM_NAME, TO_NAME = "TNT", "label", "image"
"""The label, and the names of its control and of the image, in `LABELLING_INTERFACE`."""

LABELLING_INTERFACE = f"""<View>
  <Image name="{TO_NAME}" value="$image" zoom="true" brightnessControl="true" contrastControl="true"/>
  <RectangleLabels name="{FROM_NAME}" toName="{TO_NAME}" canRotate="false">
    <Label value="{LABEL}" background="#ffd400"/>
  </RectangleLabels>
</View>
"""
"""What to paste into a project's settings under Labeling Interface, Code."""

LOCAL_FILES = "/data/local-files/?d="
"""How a task refers to a file below the folder that LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT names."""

_RECTANGLES = ("rectanglelabels", "rectangle")
_OUTLINES = ("polygonlabels", "polygon")
_NO_BOX = {
    "brushlabels": "brush strokes",
    "brush": "brush strokes",
    "ellipselabels": "ellipses",
    "ellipse": "ellipses",
    "keypointlabels": "points",
    "keypoint": "points",
}


@dataclass(frozen=True)
class WindowTask:
    """A window of an image that somebody should look at.

    Attributes:
        picture: The window as an image file that browsers show, relative to the folder of the tasks.
        source: Name of the image that it was cut from.
        window: Where it lies in that image, px.
        score: The model's probability that it holds a nanotube; None where no model has looked at it.
        boxes: ``(n, 4)`` y0, x0, y1, x1 of what the model found, px of the source image; cut off at the window.
        box_scores: One per box, 0..1.
    """

    picture: str
    source: str
    window: Window
    score: float | None
    boxes: Float32Array
    box_scores: Sequence[float]


def write_tasks(
    path: Path, tasks: Sequence[WindowTask], *, model: str, threshold: float = 0.5, prefix: str = LOCAL_FILES
) -> None:
    """Writes tasks for Label Studio, the most uncertain window first.

    Args:
        path: The JSON file to write.
        tasks: What to look at.
        model: Name of the model, shown as version of the predictions.
        threshold: The score above which the model says yes; windows nearest to it come first, equals in their order,
            those without a score last.
        prefix: Put before the path of the picture.

    Raises:
        DataError: The file cannot be written.
    """
    ordered = sorted(tasks, key=lambda task: 2.0 if task.score is None else abs(task.score - threshold))
    text = json.dumps([_task(task, number, model, prefix) for number, task in enumerate(ordered, start=1)], indent=1)
    write_text(path, text + "\n")


def parse_label_studio(tasks: Sequence[dict[str, Any]], origin: str) -> Parsed:
    """Reads what people said in a project of Label Studio.

    * Tasks that nobody finished, and annotations that were skipped (`was_cancelled`), are passed over; predictions and
      drafts never count.
    * Of several annotations of one task that marked as ground truth counts, else the one that was changed last.
    * An annotation without rectangles says that the image holds no nanotube.
    * Turned rectangles and polygons become the boxes about them; brush strokes, ellipses and points are problems.
    * Vectors are centre lines. In a file that holds one, or whose tasks were written for lines, every annotation tells
      lines, and boxes are problems; lines called doubtful may be nanotubes or not.

    Args:
        tasks: The export, full or flat.
        origin: Name of the file, for messages.
    """
    parsed = Parsed()
    skipped = several = 0
    chosen: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    for key, data, answers in _by_task(tasks):
        counted = [one for one in answers if not one.get("was_cancelled")]
        skipped += not counted
        several += len(counted) > 1
        if counted:
            best = max(counted, key=lambda one: (bool(one.get("ground_truth")), str(one.get("updated_at") or "")))
            chosen.append((f"{origin} task {key}", data, best))
    labels = {label for _, _, best in chosen for result in _results(best) for label in _labels(result)}
    doubtful = set(filter(is_doubtful, labels))
    wanted = tube_labels(labels - doubtful) | doubtful
    as_lines = any(is_for_lines(data) for _, data, _ in chosen) or any(
        result.get("type") in VECTORS for _, _, best in chosen for result in _results(best)
    )
    if labels and not wanted:
        parsed.bad(origin, f"none of the labels {', '.join(sorted(labels))} means a nanotube. Call the label {LABEL}")
        return parsed
    for place, data, best in chosen:
        if as_lines:
            regions = [Region(str(one.get("type", "")), tuple(_labels(one)), one) for one in _results(best)]
            vector_marks(place, data, [one for one in regions if not one.labels or wanted & set(one.labels)], parsed)
        else:
            _read_annotation(place, data, best, wanted, parsed)
    if labels - wanted:
        parsed.notes.append(f"{origin}: passed over what is labelled {', '.join(sorted(labels - wanted))}")
    if skipped:
        parsed.notes.append(f"{origin}: {skipped} tasks without a finished annotation are left out")
    if several:
        parsed.notes.append(f"{origin}: {several} tasks have several annotations; ground truth or the latest counts")
    return parsed


def _task(task: WindowTask, number: int, model: str, prefix: str) -> dict[str, Any]:
    y0, x0, y1, x1 = task.window
    height, width = y1 - y0, x1 - x0
    results = []
    for place, (box, score) in enumerate(zip(task.boxes.tolist(), task.box_scores, strict=True), start=1):
        top, bottom = (min(max(box[axis] - y0, 0.0), height) for axis in (0, 2))
        left, right = (min(max(box[axis] - x0, 0.0), width) for axis in (1, 3))
        if bottom <= top or right <= left:
            continue
        value = {
            "x": 100.0 * left / width,
            "y": 100.0 * top / height,
            "width": 100.0 * (right - left) / width,
            "height": 100.0 * (bottom - top) / height,
            "rotation": 0,
            "rectanglelabels": [LABEL],
        }
        results.append(
            {
                "id": f"box{number}-{place}",
                "type": "rectanglelabels",
                "from_name": FROM_NAME,
                "to_name": TO_NAME,
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "score": float(score),
                "value": value,
            }
        )
    data: dict[str, Any] = {
        "image": prefix + quote(task.picture),
        "source": task.source,
        "y0": y0,
        "x0": x0,
        "height": height,
        "width": width,
    }
    if task.score is None:
        return {"data": data}
    prediction = {"model_version": model, "score": float(task.score), "result": results}
    return {"data": data | {"score": round(float(task.score), 4)}, "predictions": [prediction]}


def _by_task(tasks: Sequence[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], list[dict[str, Any]]]]:
    """Yields id, data and annotations of each task, of either kind of export."""
    flat: dict[str, list[dict[str, Any]]] = {}
    for task in tasks:
        if isinstance(task.get("data"), dict):
            answers = task.get("annotations")
            found = [one for one in answers if isinstance(one, dict)] if isinstance(answers, list) else []
            yield str(task.get("id")), task["data"], found
        else:
            flat.setdefault(str(task.get("id")), []).append(task)
    for key, rows in flat.items():
        yield key, rows[0], [{**row, "result": list(_flat_results(row))} for row in rows]


def _flat_results(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the regions of a row of JSON-MIN in the form of the full export."""
    for name, regions in row.items():
        for region in regions if isinstance(regions, list) else ():
            if not isinstance(region, dict):
                continue
            kinds = [key for key in region if key in (*_RECTANGLES, *_OUTLINES, *_NO_BOX, *VECTORS)]
            kinds = kinds or ["vector"] * ("vertices" in region)
            plain = "rectangle" if {"x", "y", "width", "height"} <= region.keys() else "polygon"
            if kinds or {"x", "y", "width", "height"} <= region.keys() or "points" in region:
                yield {**region, "type": kinds[0] if kinds else plain, "value": region, "from_name": name}


def _results(annotation: dict[str, Any]) -> list[dict[str, Any]]:
    results = annotation.get("result")
    return [result for result in results if isinstance(result, dict)] if isinstance(results, list) else []


def _labels(result: dict[str, Any]) -> list[str]:
    kind, value = str(result.get("type", "")), result.get("value")
    names = value.get(kind) if kind.endswith("labels") and isinstance(value, dict) else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _read_annotation(
    place: str, data: dict[str, Any], annotation: dict[str, Any], wanted: set[str], parsed: Parsed
) -> None:
    image = data.get("image")
    if not isinstance(image, str):
        parsed.bad(place, "data.image is missing. Name the image so in the tasks and the labelling interface")
        return
    boxes: list[Box] = []
    size = None
    for result in _results(annotation):
        kind, labels = str(result.get("type", "")), _labels(result)
        if labels and not wanted & set(labels):
            continue
        if kind in _NO_BOX:
            parsed.bad(place, f"{_NO_BOX[kind]} have no box. Mark nanotubes with rectangles or polygons")
            continue
        if kind not in (*_RECTANGLES, *_OUTLINES):
            continue
        if result.get("image_rotation"):
            parsed.bad(
                place, f"the image was turned by {result['image_rotation']} degrees. Turn it back, mark it again"
            )
            continue
        width, height = result.get("original_width"), result.get("original_height")
        if not isinstance(width, int) or not isinstance(height, int) or min(width, height) < 1:
            parsed.bad(
                place, f"original_width and original_height must be px, got {width!r}, {height!r}. Export as JSON"
            )
            continue
        size = (height, width)
        try:
            box = _outline_box(result["value"], size) if kind in _OUTLINES else _rectangle_box(result["value"], size)
        except (KeyError, TypeError, ValueError):
            parsed.bad(place, f"a {kind} lacks its place. Export the project again as JSON")
            continue
        problem = box_problem(box)
        if problem:
            parsed.bad(place, problem)
        else:
            boxes.append(box)
    if size is None and isinstance(data.get("height"), int) and isinstance(data.get("width"), int):
        size = (data["height"], data["width"])
    source = data.get("source")
    parsed.marks.append(Marks(file_of(image), tuple(boxes), place, size, source if isinstance(source, str) else None))


def _rectangle_box(value: dict[str, Any], size: tuple[int, int]) -> Box:
    """The box about a rectangle that is turned clockwise, on the screen, about its upper left corner."""
    height, width = size
    y, x = float(value["y"]) * height / 100.0, float(value["x"]) * width / 100.0
    down, across = float(value["height"]) * height / 100.0, float(value["width"]) * width / 100.0
    turn = math.radians(float(value.get("rotation") or 0.0))
    if turn == 0.0:
        return y, x, y + down, x + across
    corners = [
        (y + dx * math.sin(turn) + dy * math.cos(turn), x + dx * math.cos(turn) - dy * math.sin(turn))
        for dy, dx in ((0.0, 0.0), (0.0, across), (down, 0.0), (down, across))
    ]
    return box_about(corners)


def _outline_box(value: dict[str, Any], size: tuple[int, int]) -> Box:
    height, width = size
    return box_about([(float(y) * height / 100.0, float(x) * width / 100.0) for x, y in value["points"]])
