"""Masks become one label map per image: a mask per nucleus, a label image, or a mask whose parts are the nuclei."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Int32Array, UInt16Array

MaskKind = Literal["one_per_nucleus", "labels", "connected"]
"""What a mask file is: the setting ``data.masks``."""

MAX_OVERLAP = 0.10
"""Most of the smaller of two masks that both may claim; above it one is taken to be a mistake. The corrected set
shares 9 px in all, so the figure separates slips of the brush from nuclei that were outlined twice."""

MAX_OBJECTS = 65_535
"""Most objects per image: what a uint16 label map can number."""

MAX_SHADES = 20
"""Most values beside a dominant one that are taken for labels; a soft brush leaves more."""

_LARGE_PART = 0.1
"""Share of the largest part of a mask from which on another part is no speck but a nucleus of its own."""

_PARTS_PER_LABEL = 3
"""Separate parts per value from which on values are taken for colours that several nuclei share."""

_MOST_PARTS = 2
"""Separate parts of one of several masks that may be one nucleus; those of the corrected set have one."""

_SMALLEST = 20
"""Area from which on a part of one of several masks is taken for a nucleus, px."""

_NO_MASK = "a mask must hold whole numbers from 0. Save it with 8 or 16 bit"
_CONNECTED = "Set data.masks=connected if each part is a nucleus"


def objects_of(values: NDArray[Any], kind: MaskKind, *, alone: bool) -> NDArray[np.bool_] | Int32Array:
    """Returns the objects of a mask file.

    Args:
        values: ``(height, width)`` or ``(height, width, 3)``, the numbers of the file.
        kind: What a mask file is. With ``one_per_nucleus`` a file with several values, the only one of its image, is
            read as a label image; one of several must be one nucleus.
        alone: Whether it is the only mask of its image.

    Returns:
        ``(height, width)``: int32, 0 background, 1..n the objects, n = 0 for an empty mask; bool where the file is one
        object whatever its values.

    Raises:
        DataError: The values are no whole numbers, or the mask holds several nuclei as separate parts where one is
            expected; the message has the remedy.
    """
    from skimage.measure import label as connected_parts  # takes a quarter of a second

    if kind == "one_per_nucleus" and not alone:
        return _one_of_several(values)
    plane = _whole_numbers(values)
    found, counts = np.unique(plane[plane != 0], return_counts=True)
    if not len(found):
        return np.zeros(plane.shape, np.int32)
    if kind == "connected":
        return np.asarray(connected_parts(plane, background=0, connectivity=2), np.int32)
    if len(found) > MAX_SHADES + 1 and counts.max() > counts.sum() / 2:
        raise DataError(
            f"the mask has {len(found)} values, as a soft brush leaves. Draw with a hard brush, one value per nucleus"
        )
    if kind == "labels":
        return _sequential(plane)
    parts = np.asarray(connected_parts(plane, background=0, connectivity=2))
    areas = np.bincount(parts.ravel())[1:]
    num_parts = int(np.count_nonzero(areas >= _LARGE_PART * areas.max()))
    if len(found) == 1 and num_parts > 1:
        raise DataError(f"one mask with {num_parts} separate parts where one nucleus is expected. {_CONNECTED}")
    if len(found) > 1 and num_parts >= _PARTS_PER_LABEL * len(found):
        raise DataError(
            f"a mask with {len(found)} values in {num_parts} separate parts. {_CONNECTED}, or data.masks=labels if "
            f"each value is one"
        )
    return _sequential(plane)


def _one_of_several(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Returns the nucleus of a mask beside which there are others; another nucleus may part it in two."""
    if values.dtype.kind not in "bu" and not _are_whole_numbers(values):
        raise DataError(_NO_MASK)
    inside = values != 0
    if inside.ndim == 3:
        inside, values = np.asarray(inside.any(axis=-1)), values.max(axis=-1)
    pixels = np.ascontiguousarray(inside).view(np.uint8)
    x, y, width, height = cv2.boundingRect(pixels)
    if not width:
        return np.asarray(inside)
    around = np.ascontiguousarray(pixels[y : y + height, x : x + width])  # the image is a hundred times as large
    _, _, stats, _ = cv2.connectedComponentsWithStats(around, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    num_parts = int(np.count_nonzero(areas >= max(_LARGE_PART * areas.max(), _SMALLEST)))
    several = num_parts > 1 and bool((values[inside] != values.max()).any())
    if several or num_parts > _MOST_PARTS:
        raise DataError(
            f"one of several masks, with {num_parts} separate parts where one nucleus is expected. {_CONNECTED}, or "
            "data.masks=labels if each value is one"
        )
    return np.asarray(inside)


class Painting:
    """The label map of one image while its masks are painted into it; a pixel belongs to the first that claims it.

    Attributes:
        labels: ``(height, width)`` uint16, 0 background, 1..n the objects so far.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.labels: UInt16Array = np.zeros(shape, np.uint16)
        self._names: list[str] = []
        self._areas: list[int] = []

    def add(self, name: str, objects: NDArray[np.bool_] | Int32Array) -> Iterator[str]:
        """Paints the objects of one mask and yields its problems, a few words each."""
        if objects.shape != self.labels.shape:
            yield f"mask has {_size(objects.shape)} px, its image {_size(self.labels.shape)} px (width x height)"
            return
        flat = objects.ravel()
        pixels = np.flatnonzero(flat != 0)  # many times as fast on true and false
        ends = np.cumsum(np.bincount(flat[pixels])[1:])
        if len(self._names) + len(ends) > MAX_OBJECTS:
            yield f"{len(self._names) + len(ends):,} objects, more than the {MAX_OBJECTS:,} that fit. Cut the image"
            return
        if len(ends) == 1:
            yield from self.paint(name, pixels)
            return
        for one in np.split(pixels[np.argsort(flat[pixels], kind="stable")], ends[:-1]):
            yield from self.paint(name, one)

    def paint(self, name: str, pixels: NDArray[np.intp]) -> Iterator[str]:
        """Paints one object, given as places in the flattened image, and yields its problems."""
        flat = self.labels.reshape(-1)
        taken = flat[pixels]
        free = pixels[taken == 0]
        self._names.append(name)
        self._areas.append(len(pixels))
        flat[free] = len(self._names)
        if len(free) == len(pixels):
            return
        too_much = list(self._overlaps(taken, area=len(pixels)))
        yield from too_much
        if not too_much and not len(free):
            yield "covered by other masks: no pixel is left"

    def _overlaps(self, taken: UInt16Array, *, area: int) -> Iterator[str]:
        shared = np.bincount(taken)
        for other in np.flatnonzero(shared[1:]):
            share = int(shared[other + 1]) / min(area, self._areas[other])
            if share > MAX_OVERLAP:
                yield (
                    f"shares {shared[other + 1]:,} px with {self._names[other].split('/')[-1]}, "
                    f"{share:.0%} of the smaller mask; at most {MAX_OVERLAP:.0%} are taken for a slip"
                )


def _whole_numbers(values: NDArray[Any]) -> NDArray[np.int64]:
    """Returns ``(height, width)`` int64 of a mask in grey, or in colours of which only red is used (BBBC039)."""
    if values.ndim == 3:
        red, rest = values[..., 0], values[..., 1:]
        if rest.any() and not all(np.array_equal(red, rest[..., place]) for place in range(rest.shape[2])):
            raise DataError("a mask in colours. Save it in grey: one value per nucleus, 0 elsewhere")
        values = red
    if not _are_whole_numbers(values):
        raise DataError(_NO_MASK)
    return values.astype(np.int64)


def _are_whole_numbers(values: NDArray[Any]) -> bool:
    whole = values.dtype.kind in "bui" or (
        values.dtype.kind == "f" and bool((np.isfinite(values) & (values == np.rint(values))).all())
    )
    return whole and float(values.min()) >= 0 and float(values.max()) < 2**53


def _sequential(plane: NDArray[np.int64]) -> Int32Array:
    found, inverse = np.unique(plane, return_inverse=True)
    if found[0] != 0:
        inverse = inverse + 1
    return inverse.reshape(plane.shape).astype(np.int32)


def _size(shape: Sequence[int]) -> str:
    return f"{shape[1]}x{shape[0]}"
