"""GeoJSON as QuPath exports it: annotations, detections and cells, in px, the image's corner being 0, 0."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from shapely.errors import ShapelyError
from shapely.geometry import Point, Polygon, shape

from nanonuclei.counted import counted
from nanonuclei.data.corrected.shapes import Drawn, Shape, Stroke
from nanonuclei.errors import DataError

AREAS = ("Polygon", "MultiPolygon")
LINES = ("LineString", "MultiLineString")
ANNOTATIONS = ("annotation", "PathAnnotationObject")
"""How QuPath calls an annotation, since 0.4 and before."""

REGION = 2
"""Objects whose middles lie in an annotation from which on it is a region around objects and no object itself."""


def read_geojson(content: bytes) -> Drawn:
    """Reads the objects of an image: areas, and lines apart from them.

    Of a cell the nucleus is taken. An annotation that holds the middles of two other objects or more, such as a region
    that was analysed, is passed over, and so are points.

    Args:
        content: A feature collection, a list of features or a single one, in UTF-8.

    Raises:
        DataError: It is no GeoJSON.
    """
    try:
        with np.errstate(invalid="ignore"):  # corners that are no numbers are told one by one
            return _drawn(list(_features(content)))
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, ShapelyError) as error:
        raise DataError(
            f"an object without sound coordinates ({type(error).__name__}). Export the objects again"
        ) from error


def _drawn(features: list[Mapping[str, Any]]) -> Drawn:
    shapes, regions, notes = [], 0, []
    found = [(number, *_geometry(feature)) for number, feature in enumerate(features, start=1)]
    strokes = [
        Stroke(f"object {number}", np.asarray(line, np.float64)[:, :2], _class(features[number - 1]))
        for number, geometry, _ in found
        if geometry.get("type") in LINES
        for line in ([geometry["coordinates"]] if geometry["type"] == "LineString" else geometry["coordinates"])
    ]
    areas = [(number, geometry, kind) for number, geometry, kind in found if geometry.get("type") in AREAS]
    middles = {number: shape(geometry).representative_point() for number, geometry, _ in areas}
    for number, geometry, kind in areas:
        if kind in ANNOTATIONS and _holds(geometry, [p for other, p in middles.items() if other != number]):
            regions += 1
            continue
        polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        rings = tuple(np.asarray(ring, np.float64)[:, :2] for polygon in polygons for ring in polygon)
        shapes.append(Shape(f"object {number}", rings))
    if regions:
        notes.append(f"passed over: {counted(regions, 'region around objects', 'regions around objects')}")
    if len(areas) < len(features):
        notes.append(f"passed over: {counted(len(features) - len(areas), 'point or line', 'points or lines')}")
    return Drawn(tuple(shapes), None, tuple(notes), tuple(strokes))


def is_geojson(tree: Any) -> bool:
    """Returns whether a JSON tree is GeoJSON."""
    first = tree[0] if isinstance(tree, list) and tree else tree
    return isinstance(first, Mapping) and first.get("type") in ("FeatureCollection", "Feature")


def _features(content: bytes) -> Iterator[Mapping[str, Any]]:
    try:
        tree = json.loads(content.decode("utf-8-sig"))
        listed = tree if isinstance(tree, list) else tree.get("features", [tree])
        for feature in listed:
            if isinstance(feature["geometry"], Mapping):
                yield feature
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"no GeoJSON ({type(error).__name__}). In QuPath choose File > Export objects as GeoJSON"
        ) from error


def _geometry(feature: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    properties = feature.get("properties") or {}
    kind = str(properties.get("objectType") or feature.get("id") or "")
    nucleus = feature.get("nucleusGeometry") or properties.get("nucleusGeometry")
    return (nucleus if isinstance(nucleus, Mapping) else feature["geometry"]), kind


def _class(feature: Mapping[str, Any]) -> str:
    """Returns how QuPath's class of an object is called."""
    kind = (feature.get("properties") or {}).get("classification")
    return str(kind.get("name") or "") if isinstance(kind, Mapping) else ""


def _holds(geometry: Mapping[str, Any], middles: list[Point]) -> bool:
    area = Polygon(geometry["coordinates"][0]) if geometry["type"] == "Polygon" else shape(geometry)
    if not area.is_valid:
        return False
    x0, y0, x1, y1 = area.bounds
    near = [p for p in middles if x0 <= p.x <= x1 and y0 <= p.y <= y1]
    return sum(bool(area.contains(p)) for p in near) >= REGION
