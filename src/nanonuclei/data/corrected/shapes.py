"""Outlines, masks and lines that people drew; outlines and masks as pixels of their image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
import skimage
from numpy.typing import NDArray
from shapely.geometry import Polygon

MOST_CROSSED = 0.05
"""Largest share of an outline's area that may be covered twice where it crosses itself, as where a hand closes it."""

Ring = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """One object.

    Attributes:
        name: How messages call it, such as ``object 7``.
        rings: Closed lines ``(n, 2)``, x and y in px, the corner of the first pixel of the image being 0, 0: outlines
            and holes. A pixel is inside where a line from its middle outwards meets them an odd number of times.
        mask: ``(height, width)`` of an object that was painted; then there are no rings.
    """

    name: str
    rings: tuple[Ring, ...] = ()
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Stroke:
    """One object that is a line.

    Attributes:
        name: How messages call it, such as ``object 7``.
        points: ``(n, 2)``, x and y in px, the corner of the first pixel of the image being 0, 0.
        label: What its drawer called its kind; empty where it has no name.
    """

    name: str
    points: Ring
    label: str = ""


@dataclass(frozen=True)
class Drawn:
    """What a file says of one image.

    Attributes:
        shapes: The objects that are areas.
        size: Height and width of the image that they were drawn on, px; None where the file does not tell.
        notes: What was passed over by those who want areas, a few words each.
        strokes: The objects that are lines.
    """

    shapes: tuple[Shape, ...]
    size: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()
    strokes: tuple[Stroke, ...] = ()


MOST_CORNERS = 10_000
"""Corners of an object, at most."""

_MOST_MENDED = 1_000
"""Corners of an outline that crosses itself whose loops are looked at: each may cross each other one."""


def pixels(shape: Shape, size: tuple[int, int]) -> NDArray[np.intp]:
    """Returns the pixels of an object: those whose middle is inside, as sorted places in the flattened image.

    Args:
        shape: The object.
        size: Height and width of the image, px. What lies outside of it is cut off.
    """
    height, width = size
    if shape.mask is not None:
        return np.flatnonzero(shape.mask)
    corners = np.concatenate(shape.rings)
    x0, y0 = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(axis=0)).astype(int), (width, height))
    if x1 <= x0 or y1 <= y0:
        return np.zeros(0, np.intp)
    part = np.zeros((y1 - y0, x1 - x0), bool)
    for ring in shape.rings:
        y, x = skimage.draw.polygon(ring[:, 1] - 0.5 - y0, ring[:, 0] - 0.5 - x0, part.shape)
        part[y, x] ^= True
    y, x = np.nonzero(part)
    return np.asarray((y + y0) * width + x + x0, np.intp)


def problem(shape: Shape, size: tuple[int, int]) -> str:
    """Returns why an object cannot be used, with the remedy; empty where it can.

    Args:
        shape: The object.
        size: Height and width of its image, px.
    """
    height, width = size
    if shape.mask is not None:
        if shape.mask.shape != size:
            return other_size((shape.mask.shape[0], shape.mask.shape[1]), size)
        return "" if shape.mask.any() else f"{shape.name} has no pixel. Remove it"
    corners = np.concatenate(shape.rings) if shape.rings else np.zeros((0, 2))
    if any(len(ring) < 3 for ring in shape.rings) or not len(corners):
        return f"{shape.name} has fewer than three corners. Draw it as an area"
    if len(corners) > MOST_CORNERS:
        return f"{shape.name} has {len(corners):,} corners, more than {MOST_CORNERS:,}. Draw it with fewer"
    if not np.isfinite(corners).all():
        return f"{shape.name} has corners that are no numbers. Export it again"
    x, y = corners.mean(axis=0)
    if not (0 <= x <= width and 0 <= y <= height):
        return (
            f"{shape.name} lies at x {x:.0f}, y {y:.0f}, outside of its image of {width} x {height} px. Correct it on "
            "the image itself, neither scaled nor cut"
        )
    for ring in shape.rings:
        place = _crossing(ring)
        if place:
            return f"{shape.name} crosses itself near {place}. Redraw its outline"
    return "" if len(pixels(shape, size)) else f"{shape.name} holds the middle of no pixel. Remove it"


def other_size(found: tuple[int, int], wanted: tuple[int, int]) -> str:
    """Returns the problem of objects that were drawn on an image of another height and width."""
    return (
        f"drawn on an image of {found[1]} x {found[0]} px, but its image has {wanted[1]} x {wanted[0]} px (width x "
        "height). Correct it on the image itself"
    )


def _crossing(ring: Ring) -> str:
    """Returns where an outline crosses itself with more than a small loop; lines that only touch do not cross."""
    outline = Polygon(ring)
    if outline.is_valid:
        return ""
    reason = shapely.is_valid_reason(outline)
    if not reason.startswith("Self-intersection"):
        return ""
    x, y = (float(number) for number in reason.partition("[")[2].rstrip("]").split())
    place = f"x {x:.0f}, y {y:.0f}"
    if len(ring) > _MOST_MENDED:
        return place
    whole = shapely.make_valid(outline, method="structure", keep_collapsed=False)
    covered = shapely.make_valid(outline).area  # even and odd: what is covered twice is left out
    if whole.area and abs(whole.area - covered) <= MOST_CROSSED * whole.area and _main_share(whole) >= 1 - MOST_CROSSED:
        return ""
    return place


def _main_share(area: shapely.Geometry) -> float:
    """Returns the share of the largest part of an area."""
    parts = [part.area for part in getattr(area, "geoms", [area])]
    return float(max(parts) / sum(parts))
