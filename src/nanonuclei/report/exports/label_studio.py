"""Objects as pre-annotations of Label Studio: polygons, or brush strokes where an object has holes or parts.

Forms: https://labelstud.io/guide/predictions, https://labelstud.io/tags/polygonlabels. Corners are percent of the
image's width and height.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import skimage
from numpy.typing import NDArray
from shapely.geometry import Polygon

from nanonuclei.data.corrected.brush import encode
from nanonuclei.data.corrected.shapes import Shape, pixels
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.types import Int32Array
from nanonuclei.report.exports.outlines import outlines

FROM_POLYGON, FROM_BRUSH, TO_NAME = "outline", "brush", "image"
"""Names of the controls and of the image in `interface`."""

SIMPLIFIED = 0.3
"""px that an outline through the middles of the pixels' edges may move, so that it has fewer corners to drag. No middle
of a pixel lies nearer to it than 0.35 px: the pixels inside stay the same."""

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


def pre_annotations(instances: Instances, *, noun: str, prefix: str) -> list[dict[str, Any]]:
    """Returns the regions of an image, entries of ``predictions[0].result``; they hold exactly the objects' pixels.

    Args:
        instances: With labels.
        noun: What an object is called.
        prefix: What the ids of the regions begin with.
    """
    labels = instances.pixels()
    height, width = labels.shape
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
            points = _corners(outline, labels, number)
            value: dict[str, Any] = {"points": points, "closed": True, "polygonlabels": [noun.capitalize()]}
            results.append({**common, "type": "polygonlabels", "from_name": FROM_POLYGON, "value": value})
        else:
            value = {"format": "rle", "rle": encode(labels == number), "brushlabels": [noun.capitalize()]}
            results.append({**common, "type": "brushlabels", "from_name": FROM_BRUSH, "value": value})
    return results


def _corners(outline: Polygon, labels: Int32Array, number: int) -> list[list[float]]:
    """Returns the corners of an outline in percent: few ones if the pixels inside are the same, else all."""
    x0, y0, x1, y1 = (int(bound) for bound in outline.bounds)
    mask = np.pad(labels[y0:y1, x0:x1] == number, 1)
    lines = skimage.measure.find_contours(mask.astype(np.float32), 0.5)
    if len(lines) == 1:
        smooth = Polygon(lines[0][:, ::-1] + [x0 - 0.5, y0 - 0.5]).simplify(SIMPLIFIED)
        if isinstance(smooth, Polygon) and smooth.is_valid and not smooth.is_empty:
            corners = _percent(smooth, labels.shape)
            if np.array_equal(_inside(corners, labels.shape), np.flatnonzero(labels == number)):
                return corners
    return _percent(outline, labels.shape)


def _percent(outline: Polygon, shape: tuple[int, ...]) -> list[list[float]]:
    height, width = shape[:2]
    return [[round(100 * x / width, DIGITS), round(100 * y / height, DIGITS)] for x, y in outline.exterior.coords[:-1]]


def _inside(corners: list[list[float]], shape: tuple[int, ...]) -> NDArray[np.intp]:
    height, width = shape[:2]
    return pixels(Shape("", (np.array(corners) / 100.0 * [width, height],)), (height, width))
