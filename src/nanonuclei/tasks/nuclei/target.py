"""What a network of nuclei learns per pixel: the class, and the diameter of the nucleus around it. Knows no Keras."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.augment.sizes import diameters
from nanonuclei.imaging.distances import distances
from nanonuclei.imaging.sizing.estimate import OCTAVE
from nanonuclei.imaging.types import Labels, UInt8Array
from nanonuclei.tasks.nuclei.config import TargetConfig

AREA_REACH = ((0, 1), (300, 2), (2000, 3))
"""Border width by nucleus size: area from which on, px, and reach, px: what the winners of the competition drew inside
nuclei (github.com/selimsef/dsb2018_topcoders)."""


@dataclass(frozen=True)
class NucleiTarget:
    """Builds targets; may be sent to other processes.

    Attributes:
        config: Kind of the classes, width of borders, whether diameters are learnt.
    """

    config: TargetConfig

    def __call__(self, labels: Labels, areas: NDArray[np.float32] | None = None) -> UInt8Array:
        """Returns ``(height, width, 1 or 2)`` uint8.

        The first channel is the class: 0 background, 1 nucleus; 2 its border or what is not its core. With `kind`
        boundary, 2 is where nuclei nearly touch; with core, it is the outer part of every nucleus. The second channel,
        if `diameter` is set, is ``round(OCTAVE * log2(diameter))`` of the nucleus, at least 1, and 0 in the background.

        Args:
            labels: ``(height, width)`` integers up to 2**24, 0 background.
            areas: Area of each label, px, which may lie only partly within `labels`; counted where None.
        """
        if areas is None:
            areas = np.bincount(labels.ravel()).astype(np.float32)
        target = (labels > 0).astype(np.uint8)
        if self.config.kind == "boundary":
            if self.config.border_width == "fixed":
                border = near_another(labels, reach=self.config.border)
            else:
                border = near_another_by_area(labels, areas)
            target[border] = 2
        elif self.config.kind == "core":
            target[(labels > 0) & ~cores(labels, share=self.config.core)] = 2
        if not self.config.diameter:
            return target[..., None]
        octaves = np.log2(np.maximum(diameters(areas), 1.0))
        steps = np.clip(np.round(OCTAVE * octaves), 1, 255).astype(np.uint8)
        steps[0] = 0
        return np.stack([target, steps[labels]], axis=-1)


def near_another(labels: Labels, *, reach: int) -> NDArray[np.bool_]:
    """Finds pixels of an object that have another object within `reach` px (Chebyshev distance).

    Args:
        labels: ``(height, width)`` integers up to 2**24, 0 background.
        reach: px.
    """
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    values = labels.astype(np.float32)
    highest = cv2.dilate(values, kernel)
    lowest = cv2.erode(np.where(values > 0, values, np.float32(2**25)), kernel)
    near: NDArray[np.bool_] = (labels > 0) & (highest != lowest)
    return near


def near_another_by_area(labels: Labels, areas: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Finds pixels of an object near another, within the reach that `AREA_REACH` gives to objects of its area.

    Args:
        labels: ``(height, width)`` integers up to 2**24, 0 background.
        areas: Area of each label, px.
    """
    near = np.zeros(labels.shape, np.bool_)
    for least, reach in AREA_REACH:
        large = areas >= least
        near = np.where(large[labels], near_another(labels, reach=reach), near)
    return near


def cores(labels: Labels, *, share: float) -> NDArray[np.bool_]:
    """Finds the inner part of every object: what is at least `share` as far from its outside as its deepest pixel.

    Args:
        labels: ``(height, width)`` integers up to 2**24, 0 background; neighbours are outside of an object, the
            image's border is not.
        share: Of the largest distance, above 0 and below 1.
    """
    depth = distances((labels > 0) & ~near_another(labels, reach=1))
    deepest = np.zeros(int(labels.max()) + 1, np.float32)
    inside = labels > 0
    objects, depths = labels[inside], depth[inside]
    np.maximum.at(deepest, objects, depths)
    inner = np.zeros(labels.shape, np.bool_)
    inner[inside] = depths >= share * deepest[objects]
    return inner
