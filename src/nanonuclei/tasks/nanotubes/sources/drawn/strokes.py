"""Lines that people drew in QuPath and Fiji, as centre lines of nanotubes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.corrected.geojson import read_geojson
from nanonuclei.data.corrected.imagej_roi import read_rois
from nanonuclei.data.corrected.shapes import Drawn
from nanonuclei.errors import DataError
from nanonuclei.tasks.nanotubes.sources.annotations import Marks, Parsed, Polyline

DOUBTFUL_NAMES = ("doubtful", "uncertain")
"""Labels that mean what may be a nanotube or not, in small letters."""

READERS: Mapping[str, Callable[[bytes], Drawn]] = {".geojson": read_geojson, ".zip": read_rois, ".roi": read_rois}
"""What reads the lines of one image, by the suffix of the file, which is called as the image."""


def parse_drawn(content: bytes, origin: str, *, image: str) -> Parsed:
    """Reads the lines of one image; a file without any says that the image holds no nanotube.

    Args:
        content: The file.
        origin: Its name, with a suffix of `READERS`.
        image: The image that it belongs to.
    """
    parsed = Parsed()
    try:
        drawn = READERS[PurePosixPath(origin).suffix.lower()](content)
    except DataError as error:
        parsed.bad(origin, str(error))
        return parsed
    for shape in drawn.shapes:
        parsed.bad(origin, f"{shape.name} is an area. Draw along the nanotube with a line in its place, or delete it")
    lines: dict[bool, list[Polyline]] = {False: [], True: []}
    for stroke in drawn.strokes:
        line = centred(stroke.points)
        if problem := line_problem(line):
            parsed.bad(origin, f"{stroke.name} {problem}")
        else:
            lines[is_doubtful(stroke.label)].append(line)
    if not parsed.problems:
        parsed.marks.append(Marks(image, (), origin, lines=tuple(lines[False]), doubtful=tuple(lines[True])))
    return parsed


def centred(points: NDArray[np.float64]) -> Polyline:
    """Returns points x, y from the corner of the first pixel as points from its middle, px."""
    return tuple((float(x) - 0.5, float(y) - 0.5) for x, y in points)


def is_doubtful(label: str) -> bool:
    """Whether a label means what may be a nanotube or not."""
    return label.strip().lower() in DOUBTFUL_NAMES


def line_problem(line: Polyline) -> str:
    """Says in a few words what is wrong with a centre line; nothing where nothing is."""
    if not all(math.isfinite(number) for point in line for number in point):
        return "has points that are no numbers. Draw it again"
    if len(set(line)) < 2:
        return "has fewer than two points. Draw along the nanotube, from end to end"
    return ""
