"""Shapes and places of whole cells and their nuclei; how they shine is in `staining.py`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray

from nanonuclei.data.microscope import smooth_field
from nanonuclei.imaging.types import Float32Array, UInt16Array
from nanonuclei.tasks.nanotubes.simulate.outlines import NUM_ANGLES, Body, draw_body, draw_look

NUM_TRIES = 10
"""Places that are tried for one cell before it is left out."""

LEAST_SHARE = 0.65
"""Share of its body that a cell keeps at least beside its neighbours."""


@dataclass(frozen=True)
class Cells:
    """The cells of one image; cell k has index k - 1 in the arrays per cell.

    Attributes:
        labels: ``(size, size)`` uint16, 0 background, 1..n the cells, each in one part.
        nuclei: ``(size, size)`` uint16, a nucleus has the label of its cell; a cell may lack one at the border.
        outlines: ``(n, NUM_ANGLES, 2)`` float32, y and x, px; may leave the image and pass below other cells.
        directions: ``(n,)`` float32, angle of the long axis, radians.
        rounded: ``(n,)`` bool, whether it is a small, round, bright cell that holds on loosely.
        sisters: Pairs of labels of rounded cells that have just divided and are still linked.
    """

    labels: UInt16Array
    nuclei: UInt16Array
    outlines: Float32Array
    directions: Float32Array
    rounded: NDArray[np.bool_]
    sisters: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.outlines)


@dataclass(frozen=True)
class Edge:
    """The parts of the cells' outlines that face the background, as points.

    Attributes:
        points: ``(n, 2)`` float32, y and x, px.
        normals: ``(n, 2)`` float32, unit vectors out of the cell.
        owners: ``(n,)`` int64, labels of the cells.
    """

    points: Float32Array
    normals: Float32Array
    owners: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.points)


def grow_cells(size: int, *, radius: float, coverage: float, dividing: float, rng: np.random.Generator) -> Cells:
    """Places cells one by one, alone or against an earlier one.

    Args:
        size: Side of the image, px.
        radius: Mean radius of a spread cell, px.
        coverage: Share of the image to be covered; cells that find no room are left out.
        dividing: Share of the rounded cells that have a sister, 0..1.
        rng: Source of all randomness.
    """
    look = draw_look(radius, rng)
    ground = _Ground(size)
    density = smooth_field(size, max(size / 3.0, 4.0 * radius), rng)
    margin = 0.8 * radius
    num_cells = round(coverage * (size + 2 * margin) ** 2 / (math.pi * radius**2))
    placed: list[tuple[Body, NDArray[np.float64]]] = []
    sisters = []
    for _ in range(num_cells):
        body = draw_body(look, rng)
        grouped = bool(placed) and rng.random() < look.grouping
        for _ in range(NUM_TRIES):
            middle = _beside(placed, body, rng) if grouped else rng.uniform(-margin, size + margin, 2)
            near = np.clip(middle, 0, size - 1).astype(int)
            if not grouped and density[near[0], near[1]] < rng.uniform(-2.0, 0.5):
                continue
            if ground.settle(body, middle, apart=not grouped):
                placed.append((body, middle))
                if body.rounded and rng.random() < dividing:
                    other = _divided(ground, body, middle, rng)
                    if other is not None:
                        placed.append(other)
                        sisters.append((len(placed) - 1, len(placed)))
                break
    labels = ground.labels
    _keep_largest_parts(labels)
    nuclei = np.zeros_like(labels)
    inner = (depth(labels) > 2.0) & (labels > 0)
    for label, (body, middle) in enumerate(placed, start=1):
        box, part = _filled(body.nucleus + middle, size)
        nuclei[box][part & inner[box] & (labels[box] == label)] = label
    outlines = np.array([body.outline + middle for body, middle in placed], np.float32).reshape(-1, NUM_ANGLES, 2)
    directions = np.array([body.direction for body, _ in placed], np.float32)
    rounded = np.array([body.rounded for body, _ in placed], bool)
    return Cells(labels, nuclei, outlines, directions, rounded, tuple(sisters))


def depth(labels: UInt16Array) -> Float32Array:
    """Returns the distance of each pixel to the edge of its own cell, or of the background to the nearest cell.

    Args:
        labels: ``(size, size)``.

    Returns:
        ``(size, size)`` float32, px: 1 next to an edge; the border of the image is no edge.
    """
    inside = np.ones(labels.shape, np.uint8)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    inside[:, 1:][across] = inside[:, :-1][across] = inside[1:][down] = inside[:-1][down] = 0
    if inside.all():
        return np.full(labels.shape, float(max(labels.shape)), np.float32)
    distance: Float32Array = cv2.distanceTransform(inside, cv2.DIST_L2, 5) + np.float32(1.0)
    return distance


def free_edge(cells: Cells) -> Edge:
    """Finds where outlines face the background within the image."""
    size = cells.labels.shape[0]
    points = cells.outlines.reshape(-1, 2)
    tangents = (np.roll(cells.outlines, -1, axis=1) - np.roll(cells.outlines, 1, axis=1)).reshape(-1, 2)
    # Outlines turn from +x to +y, so that outwards is the tangent (ty, tx) turned to (-tx, ty).
    normals = np.stack([-tangents[:, 1], tangents[:, 0]], axis=1)
    normals /= np.maximum(np.hypot(*normals.T), 1e-6)[:, None]
    owners = np.repeat(np.arange(1, len(cells) + 1), NUM_ANGLES)
    free = ((points >= 4) & (points < size - 4)).all(axis=1)
    for distance, wanted in ((-1.5, owners), (1.5, 0), (3.0, 0)):
        at = np.clip(np.rint(points + distance * normals), 0, size - 1).astype(np.intp)
        free &= cells.labels[at[:, 0], at[:, 1]] == wanted
    return Edge(points[free], normals[free].astype(np.float32), owners[free])


class _Ground:
    """Where cells settle. Those that meet press against each other: a pixel is of the cell whose middle is nearer.

    Near is meant in units of the distance from the middle to the outline in that direction.
    """

    def __init__(self, size: int) -> None:
        self.labels: UInt16Array = np.zeros((size, size), np.uint16)
        self._nearness = np.full((size, size), np.inf, np.float32)
        self._full: list[int] = [0]
        self._left: list[int] = [0]

    def settle(self, body: Body, middle: NDArray[np.float64], *, apart: bool) -> bool:
        """Adds a cell if it has room and leaves enough to its neighbours; says whether it did."""
        reach = float(body.radii.max()) + 8.0
        low, high = (np.clip(np.rint(middle + side), 0, len(self.labels)).astype(int) for side in (-reach, reach))
        box = slice(low[0], high[0]), slice(low[1], high[1])
        labels, nearness = self.labels[box], self._nearness[box]
        if labels.size == 0:
            return False
        y, x = (
            np.arange(part.start, part.stop, dtype=np.float32) - np.float32(at)
            for part, at in zip(box, middle, strict=True)
        )
        turn = np.arctan2(y[:, None], x[None, :]) * np.float32(NUM_ANGLES / (2.0 * math.pi)) % NUM_ANGLES
        edge = np.interp(turn, np.arange(NUM_ANGLES + 1), body.radii[np.arange(NUM_ANGLES + 1) % NUM_ANGLES])
        distance = np.hypot(y[:, None], x[None, :])
        if apart and labels[distance <= edge + 7.0].any():
            return False
        won = (distance <= edge) & (distance / edge < nearness)
        area = int(np.count_nonzero(distance <= edge))
        lost = np.bincount(labels[won], minlength=len(self._left))
        lost[0] = 0
        left = np.array(self._left) - lost
        if (
            area < 150
            or np.count_nonzero(won) < LEAST_SHARE * area
            or (left < LEAST_SHARE * np.array(self._full)).any()
        ):
            return False
        labels[won] = len(self._full)
        nearness[won] = (distance / edge)[won]
        self._left = [*left.tolist(), int(np.count_nonzero(won))]
        self._full.append(area)
        return True


def _divided(
    ground: _Ground, body: Body, middle: NDArray[np.float64], rng: np.random.Generator
) -> tuple[Body, NDArray[np.float64]] | None:
    """Places the sister of a cell, of the same shape, a little apart; None where there is no room."""
    for angle in rng.uniform(0.0, 2.0 * math.pi, NUM_TRIES):
        gap = 2.0 * float(body.radii.mean()) + rng.uniform(9.0, 14.0)
        place = middle + gap * np.array([math.sin(angle), math.cos(angle)])
        if ground.settle(body, place, apart=True):
            return body, place
    return None


def _beside(placed: list[tuple[Body, NDArray[np.float64]]], body: Body, rng: np.random.Generator) -> NDArray[Any]:
    """A middle at which the outline meets that of a cell that is there already."""
    other, middle = placed[int(rng.integers(len(placed)))]
    turn = int(rng.integers(NUM_ANGLES))
    facing = body.outline[(turn + NUM_ANGLES // 2) % NUM_ANGLES]
    touching: NDArray[Any] = middle + (other.outline[turn] - facing) * rng.uniform(0.78, 0.98)
    return touching


def _filled(outline: NDArray[Any], size: int) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """The window of the image about an outline, empty where they do not meet, and the pixels inside within it."""
    low = np.clip(np.floor(outline.min(axis=0)).astype(int) - 1, 0, size)
    high = np.clip(np.ceil(outline.max(axis=0)).astype(int) + 2, 0, size)
    part = np.zeros(tuple(np.maximum(high - low, 0)), np.uint8)
    if part.size:
        # OpenCV takes x before y, and sixteenths of a pixel when told to shift by 4 bits.
        corners = np.rint((outline - low)[:, ::-1] * 16.0).astype(np.int32)
        cv2.fillPoly(part, [corners], 1, cv2.LINE_8, 4)
    return (slice(low[0], max(high[0], low[0])), slice(low[1], max(high[1], low[1]))), part.view(bool)


def _keep_largest_parts(labels: UInt16Array) -> None:
    """Clears what was cut off from a cell by its neighbours, in place."""
    for label, box in enumerate(scipy.ndimage.find_objects(labels), start=1):
        part = labels[box] == label
        num_parts, parts, figures, _ = cv2.connectedComponentsWithStats(part.view(np.uint8), connectivity=4)
        if num_parts > 2:
            labels[box][part & (parts != 1 + int(np.argmax(figures[1:, cv2.CC_STAT_AREA])))] = 0
