"""The objects of an image for the page, as JSON: their number, shapes and figures; and as files to take along."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from shapely.geometry import MultiPolygon, Polygon

from nanonuclei.report.exports.found import Found
from nanonuclei.report.exports.geojson import geojson
from nanonuclei.report.exports.imagej_roi import imagej_rois
from nanonuclei.report.exports.labels import label_file
from nanonuclei.report.exports.outlines import outlines
from nanonuclei.report.exports.overlay import overlay
from nanonuclei.report.exports.readme import meaning
from nanonuclei.report.exports.tables import object_table
from nanonuclei.tasks import measure_texts_of
from nanonuclei.tasks.base import Reader

FILES: Mapping[str, str] = {
    "csv": "Table (CSV)",
    "geojson": "QuPath (GeoJSON)",
    "roi": "Fiji (ROI zip)",
    "labels": "Label image",
    "overlay": "Picture",
}
"""What can be taken along, by name, and what it is called."""

_DECIMALS = 4


def outcome(found: Found, reader: Reader) -> dict[str, Any]:
    """Returns the objects of an image.

    Returns:
        ``count`` and ``text`` (such as ``12 cells``); ``closed``: whether shapes are outlines, not lines; ``shapes``:
        per object a list of rings ``[x, y, x, y, ...]`` in px, the first pixel's corner being 0, 0; ``columns``:
        objects with ``name``, ``meaning`` and ``values``, None where one is not known; ``size``: the column that tells
        how large objects are.
    """
    lines = found.lines()
    number = len(found.instances)
    shapes = (
        [_rings(shape) for shape in outlines(found.instances)] if lines is None else [[_flat(line)] for line in lines]
    )
    columns = [
        {"name": name, "meaning": meaning(name, reader.column_texts), "values": _numbers(values)}
        for name, values in found.columns.items()
        if not (values and isinstance(values[0], str))
    ]
    return {
        "count": number,
        "text": reader.noun.count(number),
        "closed": lines is None,
        "shapes": shapes,
        "columns": columns,
        "size": _size_column(found, reader),
    }


def file_of(found: Found, kind: str) -> tuple[str, str, bytes]:
    """Returns suffix, media type and content of a file of `FILES`."""
    if kind == "labels":
        suffix, content = label_file(found.instances.pixels(), pixel_size=found.pixel_size)
        return f"-labels{suffix}", "image/png" if suffix == ".png" else "image/tiff", content
    lay_out: dict[str, tuple[str, str, Callable[[Found], bytes]]] = {
        "csv": (".csv", "text/csv; charset=utf-8", lambda one: object_table(one).encode()),
        "geojson": (".geojson", "application/geo+json", geojson),
        "roi": ("-roi.zip", "application/zip", imagej_rois),
        "overlay": (
            "-overlay.png",
            "image/png",
            lambda one: overlay(one.image, one.instances.pixels(), one.layers.values()),
        ),
    }
    suffix, media, write = lay_out[kind]
    return suffix, media, write(found)


def shown_measures(measures: Mapping[str, float], task: str) -> dict[str, float]:
    """Returns the numbers of an image that are known, by what people call them; of a silent task by their names."""
    texts = measure_texts_of(task) or {name: name.replace("_", " ").capitalize() for name in measures}
    return {texts[name]: value for name, value in measures.items() if name in texts and math.isfinite(value)}


def _size_column(found: Found, reader: Reader) -> str:
    own = [name for name, (_, unit) in reader.column_texts.items() if unit == "px" and name in found.columns]
    name = own[0] if own else "equivalent_diameter"
    return f"{name}_um" if f"{name}_um" in found.columns else name


def _numbers(values: Sequence[Any]) -> list[float | bool | None]:
    if values and isinstance(values[0], bool):
        return list(values)
    rounded = np.round(np.array(values, np.float64), _DECIMALS).tolist()
    return [None if not math.isfinite(value) else int(value) if value == int(value) else value for value in rounded]


def _rings(shape: Polygon | MultiPolygon) -> list[list[int]]:
    parts = [shape] if isinstance(shape, Polygon) else list(shape.geoms)
    rings = [ring for part in parts if not part.is_empty for ring in (part.exterior, *part.interiors)]
    return [np.asarray(ring.coords, np.int64)[:-1].ravel().tolist() for ring in rings]


def _flat(line: Sequence[Sequence[float]]) -> list[float]:
    return [round(value, 2) for point in line for value in point]
