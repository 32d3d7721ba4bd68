"""Outlines of objects along the edges of their pixels, so that the area of an outline is that of the pixels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.polygon import orient

from nanonuclei.imaging.instances import Instances

_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""x and y of the directions right, down, left, up."""

Ring = list[tuple[int, int]]


def outlines(instances: Instances, corner: tuple[int, int] = (0, 0)) -> Iterator[Polygon | MultiPolygon]:
    """Yields the outline of each object, in order.

    Args:
        instances: With labels.
        corner: y and x of the first pixel of the labels, px, where they are a window of a larger image.

    Yields:
        A valid polygon with its holes, the corners x and y in px, the corner of the first pixel of the image being
        0, 0. Of an object in several parts a multipolygon; an empty polygon of an object without pixels.

    Raises:
        DataError: The objects are boxes only.
    """
    labels = instances.pixels()
    for number, (y0, x0, y1, x1) in enumerate(instances.boxes.tolist(), start=1):
        yield outline(labels[y0:y1, x0:x1] == number, x0=x0 + corner[1], y0=y0 + corner[0])


def outline(mask: NDArray[np.bool_], *, x0: int = 0, y0: int = 0) -> Polygon | MultiPolygon:
    """Returns the outline of a mask whose first pixel has its corner at `x0`, `y0`; see `outlines`."""
    shells: list[Ring] = []
    holes: list[Ring] = []
    for ring in _rings(mask):
        moved = [(x + x0, y + y0) for x, y in ring]
        (shells if _doubled_area(ring) > 0 else holes).append(moved)
    if len(shells) == 1:
        found: Polygon | MultiPolygon = Polygon(shells[0], holes)
    else:
        parts = [Polygon(shell) for shell in shells]
        inside: list[list[Ring]] = [[] for _ in parts]
        for hole in holes:
            around = [place for place, part in enumerate(parts) if part.covers(Polygon(hole))]
            inside[min(around, key=lambda place: parts[place].area)].append(hole)
        found = MultiPolygon([(shell, own) for shell, own in zip(shells, inside, strict=True)])
    if not found.is_valid:
        found = shapely.make_valid(found, method="structure")
    return orient(found) if isinstance(found, Polygon) else found


def _rings(mask: NDArray[np.bool_]) -> Iterator[Ring]:
    """Yields the closed lines around the parts of a mask and around its holes, the mask to their right.

    Where two pixels of the mask touch at a corner alone, a line passes between the two pixels that are not of the mask.
    """
    framed = np.pad(mask, 1)
    inner, above, left = framed[1:, 1:], framed[:-1, 1:], framed[1:, :-1]
    starts = (
        (np.argwhere(inner & ~above), (0, 0)),  # along the upper side of a pixel, to the right
        (np.argwhere(left & ~inner), (0, 0)),  # along its right side, down
        (np.argwhere(above & ~inner), (1, 0)),  # along its lower side, to the left
        (np.argwhere(inner & ~left), (0, 1)),  # along its left side, up
    )
    leaving: dict[tuple[int, int], list[int]] = {}
    for direction, (corners, (dx, dy)) in enumerate(starts):
        for y, x in corners.tolist():
            leaving.setdefault((x + dx, y + dy), []).append(direction)
    while leaving:
        first = at = next(iter(leaving))
        heading, ring = leaving[at][0], [at]
        while True:
            leaving[at].remove(heading)
            if not leaving[at]:
                del leaving[at]
            at = (at[0] + _STEPS[heading][0], at[1] + _STEPS[heading][1])
            if at == first:
                break
            ways = leaving[at]
            turn = ways[0] if len(ways) == 1 else (heading - 1) % 4
            if turn != heading:
                ring.append(at)
            heading = turn
        yield [*ring, first]


def _doubled_area(ring: Ring) -> int:
    """Returns twice the area of a closed line, above 0 where it runs to the right above its inside."""
    return sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in itertools.pairwise(ring))
