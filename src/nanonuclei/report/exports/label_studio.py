"""Objects as pre-annotations of Label Studio: polygons, or brush strokes where an object has holes or parts.

Forms: https://labelstud.io/guide/predictions, https://labelstud.io/tags/polygonlabels. Corners are percent of the
image's width and height.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon

from nanonuclei.data.corrected.brush import encode
from nanonuclei.data.corrected.shapes import Shape, pixels
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.types import Int32Array
from nanonuclei.report.exports.outlines import outlines

FROM_POLYGON, FROM_BRUSH, TO_NAME = "outline", "brush", "image"
"""Names of the controls and of the image in `interface`."""

SIMPLIFIED = 0.5
"""px that an outline may move so that it has fewer corners to drag."""

MOST_SHARED = 0.04
"""Largest share of an object that a simplified outline may take from its neighbours; `fetch` accepts a tenth of two."""

MOST_CHANGED = 0.2
"""Largest share of an object's pixels that may differ with a simplified outline, which small objects exceed."""

DIGITS = 5
"""Decimals of a corner, in percent: a thousandth of a pixel in images of 10,000 px."""


def interface(noun: str) -> str:
    """Returns what to paste into a project's settings under Labeling Interface, Code.

    Args:
        noun: What an object is called.
    """
    return f"""<View>
  <Image name="{TO_NAME}" value="$image" zoom="true" brightnessControl="true" contrastControl="true"/>
  <PolygonLabels name="{FROM_POLYGON}" toName="{TO_NAME}" strokeWidth="1" pointSize="small" opacity="0.3">
    <Label value="{noun.capitalize()}" background="#ffb000"/>
  </PolygonLabels>
  <BrushLabels name="{FROM_BRUSH}" toName="{TO_NAME}">
    <Label value="{noun.capitalize()}" background="#40c4ff"/>
  </BrushLabels>
</View>
"""


def pre_annotations(instances: Instances, *, noun: str, prefix: str) -> tuple[list[dict[str, Any]], Int32Array]:
    """Returns the regions of an image, and the label image that they show.

    Args:
        instances: With labels.
        noun: What an object is called.
        prefix: What the ids of the regions begin with.

    Returns:
        Entries of ``predictions[0].result``; ``(height, width)`` int32, each pixel of the first region that holds it.
    """
    labels = instances.pixels()
    height, width = labels.shape
    shown = np.zeros(labels.size, np.int32)
    results = []
    for number, outline in enumerate(outlines(instances), start=1):
        common = {
            "id": f"{prefix}-{number}",
            "to_name": TO_NAME,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "score": round(float(instances.scores[number - 1]), 4),
        }
        if isinstance(outline, Polygon) and not outline.interiors and not outline.is_empty:
            points, inside = _corners(outline, labels, number)
            value: dict[str, Any] = {"points": points, "closed": True, "polygonlabels": [noun.capitalize()]}
            results.append({**common, "type": "polygonlabels", "from_name": FROM_POLYGON, "value": value})
        else:
            mask = labels == number
            inside = np.flatnonzero(mask)
            value = {"format": "rle", "rle": encode(mask), "brushlabels": [noun.capitalize()]}
            results.append({**common, "type": "brushlabels", "from_name": FROM_BRUSH, "value": value})
        shown[inside[shown[inside] == 0]] = number
    return results, shown.reshape(labels.shape)


def _corners(outline: Polygon, labels: Int32Array, number: int) -> tuple[list[list[float]], NDArray[np.intp]]:
    """Returns the corners of an outline in percent and the pixels inside: simplified where that moves little."""
    exact = _percent(outline, labels.shape)
    before = _inside(exact, labels.shape)
    simple = outline.simplify(SIMPLIFIED)
    if not isinstance(simple, Polygon) or not simple.is_valid or simple.is_empty:
        return exact, before
    corners = _percent(simple, labels.shape)
    inside = _inside(corners, labels.shape)
    owners = labels.ravel()[inside]
    own = np.count_nonzero(owners == number)
    neighbours = np.count_nonzero((owners != number) & (owners != 0))
    changed = len(before) + len(inside) - 2 * own
    if neighbours <= MOST_SHARED * len(before) and changed <= MOST_CHANGED * len(before):
        return corners, inside
    return exact, before


def _percent(outline: Polygon, shape: tuple[int, ...]) -> list[list[float]]:
    height, width = shape[:2]
    return [[round(100 * x / width, DIGITS), round(100 * y / height, DIGITS)] for x, y in outline.exterior.coords[:-1]]


def _inside(corners: list[list[float]], shape: tuple[int, ...]) -> NDArray[np.intp]:
    height, width = shape[:2]
    return pixels(Shape("", (np.array(corners) / 100.0 * [width, height],)), (height, width))
