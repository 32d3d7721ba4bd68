"""Vectors of Label Studio, https://labelstud.io/tags/vectorlabels, as centre lines of nanotubes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nanonuclei.data.corrected.label_studio import VECTORS, file_of, vertices
from nanonuclei.tasks.nanotubes.sources.annotations import Marks, Parsed, Polyline
from nanonuclei.tasks.nanotubes.sources.drawn.strokes import centred, is_doubtful, line_problem

_AREAS = ("rectangle", "polygon", "brush", "ellipse")


@dataclass(frozen=True)
class Region:
    """What somebody drew.

    Attributes:
        kind: As Label Studio calls it.
        labels: Its labels.
        result: The region as the export has it.
    """

    kind: str
    labels: tuple[str, ...]
    result: dict[str, Any]


def vector_marks(place: str, data: dict[str, Any], regions: Sequence[Region], parsed: Parsed) -> None:
    """Adds the lines of one annotation to what a file holds; areas are problems, other regions are passed over.

    Args:
        place: File and task, for messages.
        data: Of the task.
        regions: Those that mean nanotubes, or what may be one.
        parsed: Takes lines and problems.
    """
    image = data.get("image")
    if not isinstance(image, str):
        parsed.bad(place, "data.image is missing. Name the image so in the tasks and the labelling interface")
        return
    lines: dict[bool, list[Polyline]] = {False: [], True: []}
    size, before = None, len(parsed.problems)
    if isinstance(data.get("height"), int) and isinstance(data.get("width"), int):
        size = (data["height"], data["width"])
    for number, region in enumerate(regions, start=1):
        if region.kind.removesuffix("labels") in _AREAS:
            parsed.bad(place, f"region {number} is an area. Draw along the nanotube with a vector in its place")
        if region.kind not in VECTORS:
            continue
        if turn := region.result.get("image_rotation"):
            parsed.bad(place, f"the image was turned by {turn} degrees. Turn it back, and draw the lines again")
            continue
        try:
            size = (int(region.result["original_height"]), int(region.result["original_width"]))
            line = centred(vertices(region.result["value"], size))
        except (KeyError, TypeError, ValueError, OverflowError):
            parsed.bad(place, f"region {number} lacks its place. Export the project again as JSON")
            continue
        if problem := line_problem(line):
            parsed.bad(place, f"region {number} {problem}")
        else:
            lines[any(map(is_doubtful, region.labels))].append(line)
    if len(parsed.problems) == before:  # an image of which a line is missing would teach that there is none
        marks = Marks(file_of(image), (), place, size, lines=tuple(lines[False]), doubtful=tuple(lines[True]))
        parsed.marks.append(marks)
