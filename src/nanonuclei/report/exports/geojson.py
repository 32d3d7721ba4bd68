"""Objects as GeoJSON that QuPath 0.6 imports: detections with measurements."""

from __future__ import annotations

import json
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
    measurements, lines = found.measurements(), found.lines()
    features = []
    for place, shape in enumerate(outlines(found.instances) if lines is None else map(_line, lines)):
        if shape.is_empty:
            continue
        features.append(
            {
                "type": "Feature",
                "geometry": _geometry(shape),
                "properties": {
                    "objectType": "detection",
                    "name": f"{found.noun} {place + 1}",
                    "classification": {"name": found.noun.capitalize(), "color": COLOUR},
                    "measurements": {name: round(value, 4) for name, value in measurements[place].items()},
                },
            }
        )
    tree = {"type": "FeatureCollection", "features": features}
    return (json.dumps(tree, allow_nan=False, ensure_ascii=False) + "\n").encode()


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
