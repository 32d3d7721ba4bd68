"""Objects found in one image, whichever task found them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nanonuclei.imaging.types import Float32Array, Int32Array, Labels


@dataclass(frozen=True)
class Instances:
    """Objects of one image.

    Attributes:
        boxes: ``(n, 4)`` int32, ``y0, x0, y1, x1`` in px, half open.
        scores: ``(n,)`` float32 in 0..1.
        labels: ``(height, width)`` int32, 0 background, object i labelled i + 1; None where objects are boxes only.
    """

    boxes: Int32Array
    scores: Float32Array
    labels: Int32Array | None

    def __len__(self) -> int:
        return len(self.boxes)


def from_labels(labels: Labels, score_map: Float32Array | None = None) -> Instances:
    """Builds instances from a label image, relabelled 1..n in order of their labels.

    Args:
        labels: ``(height, width)`` integers, 0 background.
        score_map: ``(height, width)`` whose mean inside an object is its score; 1.0 for all where None.
    """
    raise NotImplementedError
