"""What a network is shown of an image, as three numbers, and whether any training image looks like it. NumPy only.

Owns single images, for `predict`, the page and servers; `likeness` owns many images together, and their exposure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.types import Float32Array

NAMES = ("background", "colour", "fine detail or noise")
"""What people call the fields of `Look`."""

COLOURED = 0.05
"""Colour of a look from which an image has colours, and not only noise in them."""

FAR = 0.2
"""Distance to the nearest training image from which an image looks unlike them, see `Looks.distance`.

Model that comes along: of the 199 validation and test images of the Data Science Bowl 2018 none is as far; of 80
images of neurites in transmitted light all are, of 27 published panels of stained membranes 23.
"""

OCTAVES = 12.0
"""Octaves of fine detail that weigh as much as the way from a dark to a bright background."""

MOST_PIXELS = 2**18
"""Values that are looked at; of a larger image every n-th row and column."""

CROP = 512
"""px; fine detail is measured in the middle of a larger image."""


class Look(NamedTuple):
    """What the network is shown, whatever the exposure, as shares of its range.

    Attributes:
        background: The median, from 0 the darkest to 1 the brightest.
        colour: 98th percentile of the brightest channel less the darkest.
        detail: Mean step between neighbouring pixels.
    """

    background: float
    colour: float
    detail: float


@dataclass(frozen=True)
class Looks:
    """The looks of the training images. Images of several kinds leave gaps within the range of a measure.

    Attributes:
        rows: One per image.
    """

    rows: tuple[Look, ...]

    def distance(self, look: Look) -> float:
        """Returns how far the look of an image is from that of the nearest training image.

        Returns:
            0 for equal looks; about 1 from a dark to a bright background. NaN without training images.
        """
        if not self.rows:
            return math.nan
        apart = _scaled(self.rows) - _scaled([look])
        return float(np.sqrt((apart**2).sum(axis=1)).min())

    def unlike(self, look: Look) -> str:
        """Tells in what an image looks unlike every training image.

        Returns:
            The measure in which it differs most from the nearest training image, with both values, such as
            ``background 0.51, in the nearest training image 0.18``; empty where it looks like one.
        """
        if not self.distance(look) > FAR:
            return ""
        apart = _scaled(self.rows) - _scaled([look])
        nearest = int((apart**2).sum(axis=1).argmin())
        place = int(np.abs(apart[nearest]).argmax())
        return f"{NAMES[place]} {look[place]:.2g}, in the nearest training image {self.rows[nearest][place]:.2g}"


def look_of(shown: Float32Array) -> Look:
    """Measures an image as the network is shown it; a few milliseconds, however large it is.

    Args:
        shown: ``(height, width, channel)``, by `Reader.network_input`.
    """
    height, width = shown.shape[:2]
    top, left = max(0, (height - CROP) // 2), max(0, (width - CROP) // 2)
    thinned = _thinned(shown)
    light = _mean(thinned)
    middle = np.s_[top : top + CROP, left : left + CROP]
    grey = light[middle] if thinned.shape == shown.shape else _mean(shown[middle])
    brightest, darkest = _over_channels(np.maximum, thinned), _over_channels(np.minimum, thinned)
    dark, background, bright = np.percentile(light, (0.1, 50, 99.9)).tolist()
    contrast = max(bright - dark, 1e-6)
    spread = float(brightest.max() - darkest.min())
    colour = np.percentile(brightest - darkest, 98) / max(spread, 1e-6)
    steps = [float(np.abs(np.diff(grey, axis=axis)).mean()) if grey.shape[axis] > 1 else 0.0 for axis in (0, 1)]
    return Look((background - dark) / contrast, float(colour), sum(steps) / 2.0 / contrast)


def _scaled(looks: Sequence[Look]) -> NDArray[np.float64]:
    """Returns looks ``(n, 3)`` in the units of a distance."""
    table = np.array(looks, np.float64)
    return np.column_stack([table[:, :2], np.log2(np.maximum(table[:, 2], 1e-4)) / OCTAVES])


def _mean(image: Float32Array) -> Float32Array:
    """Returns the mean over the channels; NumPy's own takes five times as long for three of them."""
    return np.asarray(_over_channels(np.add, image) / np.float32(image.shape[2]), np.float32)


def _over_channels(what: np.ufunc, image: Float32Array) -> Float32Array:
    """Returns ``what.reduce(image, axis=2)``, a channel at a time."""
    result = image[..., 0]
    for channel in range(1, image.shape[2]):
        result = what(result, image[..., channel])
    return result


def _thinned(image: Float32Array) -> Float32Array:
    step = max(1, math.isqrt(image.shape[0] * image.shape[1] // MOST_PIXELS))
    return image[::step, ::step]
