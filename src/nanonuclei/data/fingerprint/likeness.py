"""Exposure and objects of the training images as seven numbers each, to tell whether many new images are like them.

Exposure, colour and size of the objects are looked at together: an image whose grey values and diameter both occur in
training, but never in one image, is strange too. Owns drift; `look` owns single images, as the network sees them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nanonuclei.imaging.types import Image

PERCENTILES = (1, 25, 50, 75, 99)
MOST_PIXELS = 2**12
"""Grey values of an image that are looked at; of a larger image every n-th row and column."""
NEIGHBOURS = 3
"""The strangeness of an image is its distance to the third nearest training image: one odd image makes no friend."""
_DARK, _PALE = 1 / 128, 1 / 32
"""Added to grey values and to colourfulness before the logarithm: smaller differences mean nothing."""


class Features(NamedTuple):
    """What is known of an image.

    Attributes:
        p1, p25, p50, p75, p99: Percentiles of the grey values, as shares of the largest value of the image's type.
        colour: Mean distance of the channels from grey, as such a share; 0 for grey images.
        diameter: Median over the objects of the geometric mean of height and width, px, which is the diameter of a
            disc; 0 where there are none. Boxes tell it, whichever task found the objects.
    """

    p1: float
    p25: float
    p50: float
    p75: float
    p99: float
    colour: float
    diameter: float


Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Likeness:
    """The training images of a model, and how far each lies from the others.

    Attributes:
        rows: ``(n, 7)`` `Features`, one row per image.
        fields: ``(n,)`` number of the field of view; neighbours are sought in other fields.
    """

    rows: Rows
    fields: NDArray[np.int64]

    @cached_property
    def _spread(self) -> Rows:
        """The unit of each feature: its standard deviation, as 80 % of the images tell it, and a little."""
        low, high = np.percentile(as_points(self.rows), (10, 90), axis=0)
        return np.asarray((high - low) / 2.56 + 0.1, np.float64)

    @cached_property
    def _points(self) -> Rows:
        return as_points(self.rows) / self._spread

    @cached_property
    def _own(self) -> Rows:
        """How far each training image lies from its neighbours of other fields, sorted."""
        apart = np.sqrt(((self._points[:, None] - self._points[None]) ** 2).sum(axis=2))
        apart[self.fields[:, None] == self.fields[None]] = np.inf
        kth = np.sort(apart, axis=1)[:, min(NEIGHBOURS, len(apart)) - 1]
        return np.sort(kth[np.isfinite(kth)])

    def strangeness(self, features: Features) -> float:
        """Returns the share of the training images that lie nearer to the others than this image does, 0 to 1.

        For images like those of training it is spread evenly over 0 to 1, so that its mean over many is near 0.5.
        """
        point = as_points([features])[0] / self._spread
        apart = np.sqrt(((self._points - point) ** 2).sum(axis=1))
        kth = np.partition(apart, min(NEIGHBOURS, len(apart)) - 1)[min(NEIGHBOURS, len(apart)) - 1]
        return float(np.searchsorted(self._own, kth)) / max(1, len(self._own))

    def difference(self, batch: Sequence[Features]) -> str:
        """Returns how a batch of images differs most from training, in words.

        Returns:
            Such as ``images are 3.1 times darker than any of training``.
        """
        points = as_points(batch)
        middle = np.median(points, axis=0)
        known = as_points(self.rows)
        low, high = known.min(axis=0), known.max(axis=0)
        beyond = (np.minimum(0, middle - low) + np.maximum(0, middle - high)) / self._spread
        if np.abs(beyond).max() > 0:
            place = int(np.abs(beyond).argmax())
            return _said(place, middle[place] - (low if beyond[place] < 0 else high)[place], "any of training")
        scaled = points / self._spread
        apart = ((scaled[:, None] - self._points[None]) ** 2).sum(axis=2)
        offsets = np.median(points - known[apart.argmin(axis=1)], axis=0)
        place = int(np.abs(offsets / self._spread).argmax())
        return _said(place, offsets[place], "the most alike of training")


def measure(image: Image, *, boxes: ArrayLike) -> Features:
    """Measures an image and its objects, in less than a millisecond.

    Args:
        image: ``(height, width)`` or ``(height, width, 3)``, unsigned integers, or floats in 0..1.
        boxes: Of the objects, ``(n, 4)`` y0, x0, y1, x1 px, half open.
    """
    step = max(1, math.ceil(math.sqrt(image.shape[0] * image.shape[1] / MOST_PIXELS)))
    seen = image[::step, ::step].astype(np.float32)
    if image.dtype.kind == "u":
        seen /= float(np.iinfo(image.dtype).max)
    grey = seen if seen.ndim == 2 else seen.mean(axis=2)
    colour = 0.0 if seen.ndim == 2 else float(np.abs(seen - grey[..., None]).mean())
    y0, x0, y1, x1 = np.asarray(boxes, np.float64).reshape(-1, 4).T
    sizes = np.sqrt((y1 - y0) * (x1 - x0))
    p1, p25, p50, p75, p99 = np.percentile(grey, PERCENTILES).tolist()
    return Features(p1, p25, p50, p75, p99, colour, float(np.median(sizes)) if sizes.size else 0.0)


def as_points(rows: Iterable[Sequence[float]] | Rows) -> Rows:
    """Returns features as points in a space where a doubling is a step of 1 wherever it means something."""
    table = np.asarray(rows if isinstance(rows, np.ndarray) else list(rows), np.float64).reshape(
        -1, len(Features._fields)
    )
    greys, colour, diameter = table[:, :5], table[:, 5:6], table[:, 6:]
    return np.asarray(np.log2(np.hstack([greys + _DARK, colour + _PALE, np.maximum(diameter, 1.0)])), np.float64)


_WORDS = (
    *[("darker", "brighter")] * 5,
    ("paler in colour", "more colourful"),
)
_PLACES = (
    "in their darkest parts",
    "in their darker half",
    "",
    "in their brighter half",
    "in their brightest parts",
    "",
    "",
)


def _said(place: int, steps: float, than: str) -> str:
    factor, more = f"{2 ** abs(steps):.1f} times", int(steps > 0)
    if place < len(_WORDS):
        what = f"images are {factor} {_WORDS[place][more]}"
        return f"{what}{' ' + _PLACES[place] if _PLACES[place] else ''} than {than}"
    return f"objects are {factor} {'larger' if more else 'smaller'} than in {than}"
