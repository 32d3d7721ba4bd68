"""Objects found in one image, whichever task found them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanonuclei.errors import DataError
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

    def pixels(self) -> Int32Array:
        """Returns the labels.

        Raises:
            DataError: The objects are boxes only.
        """
        if self.labels is None:
            raise DataError(f"these objects must have pixels, got {len(self)} boxes. Read them in another way")
        return self.labels


def empty(shape: tuple[int, int]) -> Instances:
    """Returns no objects in an image of this height and width, px."""
    return Instances(np.zeros((0, 4), np.int32), np.zeros(0, np.float32), np.zeros(shape, np.int32))


def from_labels(labels: Labels, score_map: Float32Array | None = None) -> Instances:
    """Builds instances from a label image, relabelled 1..n in order of their labels.

    Args:
        labels: ``(height, width)`` integers, 0 background.
        score_map: ``(height, width)`` whose mean inside an object is its score; 1.0 for all where None.

    Raises:
        DataError: The labels are no label image, or the score map has another shape.
    """
    numbered, count = sequential(labels)
    if score_map is None:
        scores = np.ones(count, np.float32)
    elif score_map.shape != numbered.shape:
        raise DataError(
            f"score map and labels must have one shape, got {score_map.shape} and {numbered.shape}. Pass the score map "
            f"that the labels were read from"
        )
    else:
        places = np.flatnonzero(numbered)
        owner = numbered.ravel()[places] - 1
        areas = np.bincount(owner, minlength=count)
        sums = np.bincount(owner, weights=score_map.ravel()[places], minlength=count)
        scores = (sums / areas).astype(np.float32)
    from scipy import ndimage  # takes a quarter of a second, which reading settings need not wait for

    boxes = [(y.start, x.start, y.stop, x.stop) for y, x in ndimage.find_objects(numbered)]
    return Instances(np.array(boxes, np.int32).reshape(-1, 4), scores, numbered)


def without_slivers(found: Instances, *, thickness: int) -> Instances:
    """Drops objects of which the image's border shows a sliver: too little to say what they are.

    Args:
        found: With labels.
        thickness: px; an object that touches a border goes if it reaches no further into the image.
    """
    labels = found.pixels()
    y0, x0, y1, x1 = found.boxes.T
    across = ((y0 == 0) | (y1 == labels.shape[0])) & (y1 - y0 <= thickness)
    along = ((x0 == 0) | (x1 == labels.shape[1])) & (x1 - x0 <= thickness)
    return selected(found, ~(across | along))


def selected(found: Instances, kept: NDArray[np.bool_]) -> Instances:
    """Returns some of the objects, renumbered without gaps.

    Args:
        found: With labels.
        kept: ``(n,)``, which ones.
    """
    if kept.all():
        return found
    numbers = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)]).astype(np.int32)
    return Instances(found.boxes[kept], found.scores[kept], numbers[found.pixels()])


def sequential(labels: Labels) -> tuple[Int32Array, int]:
    """Renumbers a label image to 1..n in order of its labels.

    Args:
        labels: ``(height, width)`` integers of 0 or more, with or without gaps.

    Returns:
        ``(height, width)`` int32 and n.

    Raises:
        DataError: Not two axes, not integers, or a label below 0.
    """
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise DataError(
            f"labels must be (height, width) integers, got shape {labels.shape} of {labels.dtype}. Convert them first"
        )
    if labels.size == 0:
        return labels.astype(np.int32), 0
    if labels.dtype.kind == "i" and labels.min() < 0:
        raise DataError(f"labels must be 0 (background) or more, got {labels.min()}. Set such pixels to 0")
    largest = int(labels.max())
    if largest > 4 * labels.size + 65535:  # a table of that length would cost more than sorting the pixels
        known, places = np.unique(labels, return_inverse=True)
        numbered = places.reshape(labels.shape).astype(np.int32) + np.int32(known[0] != 0)
        return numbered, len(known) - int(known[0] == 0)
    present = np.zeros(largest + 1, bool)
    present[labels] = True
    present[0] = False
    count = int(np.count_nonzero(present))
    if count == largest:
        return labels.astype(np.int32), count
    return np.where(present, np.cumsum(present), 0).astype(np.int32)[labels], count


def to_run_lengths(instances: Instances) -> list[str]:
    """Writes every object as Kaggle's run lengths.

    Returns:
        One text per object, ``start length start length ...``; starts count from 1 down the columns, then to the right,
        and ascend. A run may go on from the foot of one column to the head of the next.

    Raises:
        DataError: The objects are boxes without labels.
    """
    if instances.labels is None:
        raise DataError(
            f"run lengths need the pixels of the objects, got {len(instances)} boxes without labels. "
            f"Take instances made from labels"
        )
    pixels = instances.labels.ravel(order="F")
    starts = np.flatnonzero(np.diff(pixels, prepend=0))
    lengths = np.diff(starts, append=pixels.size)
    owners = pixels[starts]
    order = np.argsort(owners, kind="stable")
    order = order[owners[order] > 0]
    runs = np.stack([starts[order] + 1, lengths[order]], axis=1)
    cuts = np.searchsorted(owners[order], np.arange(2, len(instances) + 1))
    return [" ".join(map(str, part.ravel().tolist())) for part in np.split(runs, cuts)] if len(instances) else []
