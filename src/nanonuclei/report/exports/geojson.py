"""Objects as GeoJSON that QuPath 0.6 imports: detections with measurements."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from nanonuclei.report.exports.found import Found
from nanonuclei.report.exports.outlines import outlines

COLOUR = (255, 176, 0)
"""In which QuPath draws the objects; red, green, blue."""


def geojson(found: Found) -> bytes:
    """Lays out the objects of an image as a feature collection.

    Coordinates are x and y in px, the corner of the first pixel of the image being 0, 0. Objects with pixels are closed
    polygons along the edges of their pixels, with holes; objects that are lines are line strings. Objects without
    pixels are left out. Figures that are not known are left out, as JSON has no NaN.

    Returns:
        UTF-8 text.
    """
    tree = {"type": "FeatureCollection", "features": list(features(found))}
    return (json.dumps(tree, allow_nan=False, ensure_ascii=False) + "\n").encode()


def features(found: Found) -> Iterator[dict[str, Any]]:
    """Yields the features of the objects of an image, or of a window of one; see `geojson`."""
    measurements, lines, frame = found.measurements(), found.lines(), found.frame
    corner, first = ((frame.y0, frame.x0), frame.first) if frame else ((0, 0), 1)
    shapes = outlines(found.instances, corner) if lines is None else map(_line, lines)
    for place, shape in enumerate(shapes):
        if not shape.is_empty:
            yield {
                "type": "Feature",
                "geometry": _geometry(shape),
                "properties": {
                    "objectType": "detection",
                    "name": f"{found.noun} {first + place}",
                    "classification": {"name": found.noun.capitalize(), "color": COLOUR},
                    "measurements": {name: round(value, 4) for name, value in measurements[place].items()},
                },
            }


def _line(points: list[list[float]]) -> BaseGeometry:
    return shapely.LineString(points if len(points) > 1 else points * 2)


def _geometry(shape: BaseGeometry) -> dict[str, Any]:
    geometry: dict[str, Any] = shapely.geometry.mapping(shape)
    return {"type": geometry["type"], "coordinates": _short(geometry["coordinates"])}


def _short(coordinates: Any) -> Any:
    """Returns nested coordinates as lists, whole numbers as such."""
    if isinstance(coordinates, float | int):
        return int(coordinates) if coordinates == int(coordinates) else round(coordinates, 2)
    return [_short(part) for part in coordinates]
