"""Candidates as GeoJSON, one file per image, for QuPath and napari."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

CLASS = {"name": "TNT candidate", "color": [230, 159, 0]}
"""What QuPath shows objects as."""

LEFT_OUT = ("line", "sample_id", "modality", "y0", "x0", "y1", "x1")
"""Columns of a candidate that are no measurements."""


def candidates_geojson(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lays out the candidates of one image as a feature collection of line strings.

    Coordinates are x and y in px of the image, the corner of the first pixel being 0, 0, as QuPath has it. Measurements
    that are not known are left out.

    Args:
        rows: One per candidate: ``line``, JSON text of ``[[x, y], ...]`` with pixel middles at whole numbers, and
            figures by name.
    """
    features = [
        {
            "type": "Feature",
            "geometry": {
                "type": "LineString",
                "coordinates": [[round(x + 0.5, 2), round(y + 0.5, 2)] for x, y in json.loads(row["line"])],
            },
            "properties": {
                "objectType": "annotation",
                "name": f"candidate {number}",
                "classification": CLASS,
                "measurements": {
                    name: round(float(value), 4)
                    for name, value in row.items()
                    if name not in LEFT_OUT and math.isfinite(float(value))
                },
            },
        }
        for number, row in enumerate(rows, start=1)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}, allow_nan=False) + "\n"
