"""Figures of each object of a label image: shape, and light in every channel. All objects are measured at once.

Definitions are those of `skimage.measure.regionprops`, of which this is a faster form: a call of its functions per
object takes longer than the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.types import Int32Array

Figures = dict[str, NDArray[Any]]
"""Column to one value per object."""

STATISTICS = ("mean", "median", "std", "sum")
"""What is told of the light of an object in each channel."""

_NEAR = 1e-6


@dataclass(frozen=True)
class Frame:
    """Where a window lies in a large image.

    Attributes:
        y0: Of its first row, px.
        x0: Of its first column, px.
        shape: Height and width of the large image, px.
        first: Number of its first object in the large image, from 1.
    """

    y0: int
    x0: int
    shape: tuple[int, int]
    first: int


def measure(instances: Instances, frame: Frame | None = None) -> Figures:
    """Measures the shape of each object.

    Args:
        instances: With labels.
        frame: Where the labels lie in a larger image; places are told in that.

    Returns:
        ``label``, ``centroid_y``, ``centroid_x``, the box ``y0, x0, y1, x1``, ``area``, ``equivalent_diameter``,
        ``perimeter``, ``circularity``, ``eccentricity``, ``orientation``, ``solidity``, ``touches_border``, ``score``;
        px, px^2 and radians. NaN where an object has no pixels, or too few for the figure.

    Raises:
        DataError: The objects are boxes only.
    """
    labels, number = instances.pixels(), len(instances)
    height, width = labels.shape
    places = np.flatnonzero(labels)
    owner = labels.ravel()[places] - 1
    y, x = np.divmod(places, width)
    area = np.bincount(owner, minlength=number)
    known = np.where(area > 0, area, np.nan)

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(owner, weights=values, minlength=number) / known, np.float64)

    cy, cx = mean(y), mean(x)
    dy, dx = y - cy[owner], x - cx[owner]
    yy, xx, yx = mean(dy * dy), mean(dx * dx), mean(dy * dx)
    spread = np.sqrt(4 * yx**2 + (yy - xx) ** 2)
    major, minor = (yy + xx + spread) / 2, np.maximum((yy + xx - spread) / 2, 0)
    perimeter = _perimeter(labels, number)
    with np.errstate(invalid="ignore", divide="ignore"):
        eccentricity = np.where(major > 0, np.sqrt(1 - minor / np.where(major > 0, major, 1)), 0.0)
        circularity = np.minimum(4 * np.pi * known / np.where(perimeter > 0, perimeter, np.nan) ** 2, 1.0)
    turned = np.where(yy == xx, np.where(yx > 0, np.pi / 4, -np.pi / 4), 0.5 * np.arctan2(2 * yx, yy - xx))
    frame = frame or Frame(0, 0, (height, width), 1)
    height, width = frame.shape
    y0, x0, y1, x1 = instances.boxes.T + np.array([[frame.y0], [frame.x0], [frame.y0], [frame.x0]], np.int32)
    return {
        "label": np.arange(frame.first, frame.first + number),
        "centroid_y": cy + frame.y0,
        "centroid_x": cx + frame.x0,
        "y0": y0,
        "x0": x0,
        "y1": y1,
        "x1": x1,
        "area": area,
        "equivalent_diameter": np.sqrt(4 / np.pi * known),
        "perimeter": np.where(area > 0, perimeter, np.nan),
        "circularity": circularity,
        "eccentricity": np.where(area > 0, eccentricity, np.nan),
        "orientation": np.where(area > 0, turned, np.nan),
        "solidity": known / _convex_area(owner, y, x, number=number),
        "touches_border": (y0 == 0) | (x0 == 0) | (y1 == height) | (x1 == width),
        "score": instances.scores.astype(np.float64),
    }


def intensities(labels: Int32Array, channels: NDArray[Any], names: Sequence[str], *, number: int) -> Figures:
    """Measures the light of each object in every channel.

    Args:
        labels: ``(height, width)``, 0 background, objects 1..number.
        channels: ``(channel, height, width)``, the numbers of the file.
        names: One per channel; empty where it has none, then its number stands for it.
        number: Of objects.

    Returns:
        ``mean_NAME``, ``median_NAME``, ``std_NAME`` and ``sum_NAME`` per channel, in the numbers of the file; NaN where
        an object has no pixels. The standard deviation is that of the pixels, divided by their number.
    """
    places = np.flatnonzero(labels)
    owner = labels.ravel()[places] - 1
    area = np.bincount(owner, minlength=number)
    known = np.where(area > 0, area, np.nan)
    ends = np.cumsum(area)
    figures: Figures = {}
    for name, channel in zip(channel_columns(names), channels, strict=True):
        values = channel.ravel()[places]
        light = values.astype(np.float64)
        total = np.bincount(owner, weights=light, minlength=number)
        mean = total / known
        with np.errstate(over="ignore", invalid="ignore"):  # numbers near the largest that there are
            variance = np.bincount(owner, weights=(light - mean[owner]) ** 2, minlength=number) / known
        ordered = _ordered(owner, values)
        low = ordered[np.maximum(ends - area + (area - 1) // 2, 0)] if len(ordered) else np.zeros(number)
        high = ordered[np.maximum(ends - area + area // 2, 0).clip(max=len(ordered) - 1)] if len(ordered) else low
        median = np.where(area > 0, (low + high) / 2, np.nan)
        told = (mean, median, np.sqrt(variance), np.where(area > 0, total, np.nan))
        figures |= {f"{kind}_{name}": figure for kind, figure in zip(STATISTICS, told, strict=True)}
    return figures


def channel_columns(names: Sequence[str]) -> list[str]:
    """Returns what stands for each channel in the names of columns: its name, or its number if need be.

    Where the name of one is the number that stands for another, as "1" may be, numbers stand for all.
    """
    known = [" ".join(name.split()) for name in names]
    columns = [name if name and known.count(name) == 1 else str(place) for place, name in enumerate(known)]
    return columns if len(set(columns)) == len(columns) else [str(place) for place in range(len(known))]


def _ordered(owner: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float64]:
    """Returns values in the order of their objects, and of their size within an object."""
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        joined = np.sort((owner.astype(np.int64) << 16) | values)
        return (joined & 0xFFFF).astype(np.float64)
    return values[np.lexsort((values, owner))].astype(np.float64)


def _perimeter(labels: Int32Array, number: int) -> NDArray[np.float64]:
    """Returns the length of each outline through the middles of border pixels (Benkrid et al., 2000), px."""
    height, width = labels.shape
    framed = np.zeros((height + 2, width + 2), np.int32)
    framed[1:-1, 1:-1] = labels
    inner = framed[1:-1, 1:-1]
    edge = inner > 0
    edge &= ~(
        (framed[:-2, 1:-1] == inner)
        & (framed[2:, 1:-1] == inner)
        & (framed[1:-1, :-2] == inner)
        & (framed[1:-1, 2:] == inner)
    )
    border = np.zeros_like(framed)
    border[1:-1, 1:-1][edge] = inner[edge]
    flat, wide = border.ravel(), width + 2
    places = np.flatnonzero(flat)
    own = flat[places]
    straight = sum((flat[places + step] == own).astype(np.int64) for step in (-1, 1, -wide, wide))
    slanted = sum((flat[places + step] == own).astype(np.int64) for step in (-wide - 1, -wide + 1, wide - 1, wide + 1))
    code = 1 + 2 * np.asarray(straight) + 10 * np.asarray(slanted)
    lengths = np.zeros(64)
    lengths[[5, 7, 15, 17, 25, 27]] = 1
    lengths[[21, 33]] = np.sqrt(2)
    lengths[[13, 23]] = (1 + np.sqrt(2)) / 2
    return np.asarray(np.bincount(own - 1, weights=lengths[code], minlength=number), np.float64)


def _convex_area(owner: NDArray[Any], y: NDArray[Any], x: NDArray[Any], *, number: int) -> NDArray[np.float64]:
    """Returns how many px have their middle in the convex hull of each object; NaN for one without pixels.

    The pixels come row by row. As in skimage, a pixel counts by the middles of its four edges. Lengths are doubled
    here, so that these are whole.
    """
    areas = np.full(number, np.nan)
    if not len(owner):
        return areas
    order = np.argsort(owner.astype(np.int16) if number < 2**15 else owner, kind="stable")
    owner, y, x = owner[order], y[order], x[order]
    starts = np.flatnonzero(np.diff(owner, prepend=-1) | np.diff(y, prepend=-1))
    rows, left, right = y[starts], x[starts], x[np.append(starts[1:], len(x)) - 1]
    owners = owner[starts]
    corners = np.stack(
        [
            np.stack([2 * left - 1, 2 * rows], axis=-1),
            np.stack([2 * left, 2 * rows - 1], axis=-1),
            np.stack([2 * left, 2 * rows + 1], axis=-1),
            np.stack([2 * right + 1, 2 * rows], axis=-1),
            np.stack([2 * right, 2 * rows - 1], axis=-1),
            np.stack([2 * right, 2 * rows + 1], axis=-1),
        ],
        axis=1,
    ).astype(np.int32)
    begins = np.flatnonzero(np.diff(owners, prepend=-1))
    ends = np.append(begins[1:], len(owners))
    downs, ups = [], []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        hull = cv2.convexHull(corners[begin:end].reshape(-1, 1, 2))[:, 0]
        top, bottom = int(hull[:, 1].argmin()), int(hull[:, 1].argmax())
        turned = np.concatenate([hull[top:], hull[: top + 1]])
        middle = (bottom - top) % len(hull)
        downs.append(turned[: middle + 1])
        ups.append(turned[middle:][::-1])
    # The objects one below the other, so that the sides of all are known in one go.
    shift = np.arange(len(begins), dtype=np.int64) * (2 * int(rows.max()) + 4)
    numbers = rows[ends - 1] - rows[begins] + 1
    place = np.arange(numbers.sum()) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    lines = np.repeat(shift + 2 * rows[begins], numbers) + 2 * place
    one, other = (_sides(lines, chains, shift) / 2 for chains in (downs, ups))
    low, high = np.minimum(one, other), np.maximum(one, other)
    inside = np.floor(high + _NEAR) - np.ceil(low - _NEAR) + 1
    areas[owners[begins]] = np.bincount(np.repeat(np.arange(len(begins)), numbers), weights=inside)
    return areas


def _sides(
    lines: NDArray[np.int64], chains: Sequence[NDArray[np.int32]], shift: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Returns x where lines cross chains of points x, y, of which each is moved down by its shift."""
    points = np.concatenate(chains)
    down = points[:, 1] + np.repeat(shift, [len(chain) for chain in chains])
    return np.interp(lines, down, points[:, 0])
