"""Objects that are lines as pre-annotations of Label Studio: vectors, https://labelstud.io/tags/vectorlabels.

Vertices are percent of the image's width and height.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nanonuclei.report.exports.found import Found
from nanonuclei.report.exports.label_studio import DIGITS, TO_NAME

FROM_VECTOR = "line"
"""Name of the control in `line_interface`."""

DOUBTFUL = "Doubtful"
"""Label of what may be an object or not."""


def line_interface(noun: str) -> str:
    """Returns what to paste into a project's settings under Labeling Interface, Code.

    Args:
        noun: What an object is called.
    """
    return f"""<View>
  <Image name="{TO_NAME}" value="$image" zoom="true" brightnessControl="true" contrastControl="true"/>
  <VectorLabels name="{FROM_VECTOR}" toName="{TO_NAME}" strokeWidth="2" pointSize="small" closable="false">
    <Label value="{noun.capitalize()}" background="#ffb000"/>
    <Label value="{DOUBTFUL}" background="#40c4ff"/>
  </VectorLabels>
</View>
"""


def vectors(lines: Sequence[Sequence[Sequence[float]]], found: Found) -> list[dict[str, Any]]:
    """Returns the regions of an image, entries of ``predictions[0].result``.

    Args:
        lines: Points x, y of each object, px, the corner of the first pixel of the image being 0, 0.
        found: The objects.
    """
    height, width = found.image.shape[:2]
    results = []
    for number, (line, score) in enumerate(zip(lines, found.instances.scores.tolist(), strict=True), start=1):
        name = f"{found.name}-{number}"
        vertices = [
            {
                "id": f"{name}-{place}",
                "x": round(100.0 * x / width, DIGITS),
                "y": round(100.0 * y / height, DIGITS),
                "prevPointId": f"{name}-{place - 1}" if place > 1 else None,
                "isBezier": False,
            }
            for place, (x, y) in enumerate(line, start=1)
        ]
        results.append(
            {
                "id": name,
                "type": "vectorlabels",
                "from_name": FROM_VECTOR,
                "to_name": TO_NAME,
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "score": round(score, 4),
                "value": {"vertices": vertices, "closed": False, "vectorlabels": [found.noun.capitalize()]},
            }
        )
    return results
