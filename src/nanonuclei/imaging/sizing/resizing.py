"""Images to another size for the network, and objects read off a map of another size back to the image's own."""

from __future__ import annotations

import cv2
import numpy as np

from nanonuclei.imaging.instances import Instances, from_labels
from nanonuclei.imaging.sizing.room import ask_for_room
from nanonuclei.imaging.types import Float32Array

Shape = tuple[int, int]


def resized(image: Float32Array, factor: float) -> Float32Array:
    """Returns an image ``(height, width, channels)`` enlarged linearly, or reduced by local means."""
    if factor == 1.0:
        return image
    height, width = (max(1, round(extent * factor)) for extent in image.shape[:2])
    if factor > 1.0:
        ask_for_room(height * width)
    return to_shape(image, (height, width))


def to_shape(image: Float32Array, shape: Shape) -> Float32Array:
    """Returns an image or map ``(height, width, channels)`` in another height and width."""
    if image.shape[:2] == shape:
        return image
    method = cv2.INTER_LINEAR if shape[0] > image.shape[0] else cv2.INTER_AREA
    out = cv2.resize(np.ascontiguousarray(image), shape[::-1], interpolation=method)
    return np.asarray(out.reshape(*shape, *image.shape[2:]), np.float32)


def instances_to_shape(found: Instances, foreground: Float32Array, *, threshold: float, shape: Shape) -> Instances:
    """Returns the objects of a map of another size, drawn in the size of the image.

    Where the image is larger, outlines follow the foreground between the map's pixels, so that they are as smooth as
    if they had been read there. Objects that are smaller than a pixel of the image are lost.

    Args:
        found: With labels, ``(height, width)`` of the map.
        foreground: The map's foreground score, the same shape.
        threshold: Score from which on a pixel belongs to an object.
        shape: Height and width of the image.
    """
    labels = found.pixels()
    if labels.shape == shape:
        return found
    inside = np.where(labels > 0, np.maximum(foreground, threshold), np.minimum(foreground, threshold - 1e-3))
    score = to_shape(inside.astype(np.float32), shape)
    if shape[0] > labels.shape[0]:
        from skimage.segmentation import expand_labels  # takes a quarter of a second

        nearest = cv2.resize(expand_labels(labels, 1.5), shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        drawn = np.where(score >= threshold, nearest, 0)
    else:
        drawn = cv2.resize(labels, shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    new = from_labels(drawn.astype(np.int32))
    kept = np.unique(drawn)
    return Instances(new.boxes, found.scores[kept[kept > 0] - 1], new.labels)
