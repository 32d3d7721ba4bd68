"""Thin curved objects such as nanotubes: their centre lines, pixels and measures, in px.

How found lines agree with true ones is in `line_matching.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray

from nanonuclei.errors import DataError
from nanonuclei.imaging.instances import sequential
from nanonuclei.imaging.types import Float32Array, Int32Array, Labels

STEP = 0.5
"""Distance between the points of a centre line, px."""

SMOOTH = 3.0
"""Standard deviation, px along the path, of the smoothing that takes the stairs out of a chain of pixels."""

_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Line:
    """The centre line of a thin object.

    Attributes:
        points: ``(n, 2)`` float32, y and x in px, from end to end about `STEP` apart; pixel (0, 0) has its middle at
            0.0, 0.0.
        width: Mean width, px.
    """

    points: Float32Array
    width: float

    @property
    def length(self) -> float:
        """Arc length, px."""
        return float(np.hypot(*np.diff(self.points, axis=0).T).sum())

    @property
    def straightness(self) -> float:
        """Distance of the ends / arc length, in 0..1, 1 being straight; 1 where the length is 0."""
        length = self.length
        return min(float(np.hypot(*(self.points[-1] - self.points[0]))) / length, 1.0) if length > 0.0 else 1.0

    def pixels(self, shape: tuple[int, int]) -> Int32Array:
        """Returns the pixels whose middles are within half the width of the centre line.

        A line narrower than 1 px is drawn 1 px wide, so that its pixels touch along edges or corners.

        Args:
            shape: Height and width of the image, px; what lies outside is left out.

        Returns:
            ``(n, 2)`` int32, y and x, sorted, each once.
        """
        # The nearest point of the line lies up to half a step beside the nearest of its samples.
        _, places = pixels_near(self.points, float(np.hypot(max(self.width, 1.0) / 2.0, STEP / 2.0)), shape)
        if not len(places):  # shorter than a pixel, between the middles of pixels
            places = np.rint(self.points[:1]).astype(np.int64)
            places = places[((places >= 0) & (places < np.array(shape))).all(axis=1)]
        unique = np.unique(places[:, 0] * shape[1] + places[:, 1])
        return np.stack(np.divmod(unique, shape[1]), axis=1).astype(np.int32)


@dataclass(frozen=True)
class LineMeasure:
    """What a 2-D image can tell of one candidate.

    Attributes:
        line: Its centre line and mean width.
        cells: Label of the cell at the first and at the last end, 0 where there is none.
    """

    line: Line
    cells: tuple[int, int]

    @property
    def joins(self) -> bool:
        """Whether it runs from one cell to another."""
        return 0 not in self.cells and self.cells[0] != self.cells[1]


def pixels_near(
    points: Float32Array, distance: float, shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Finds the pixels of an image whose middles are within a distance of points.

    Args:
        points: ``(n, 2)`` y and x, px.
        distance: px.
        shape: Height and width of the image, px.

    Returns:
        ``(m,)`` indices of points and ``(m, 2)`` pixels near them, y and x; a pixel comes once per point.
    """
    reach = int(np.ceil(distance + 0.5))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    offsets = np.stack([y.ravel(), x.ravel()], axis=1).astype(np.int64)
    around = np.rint(points).astype(np.int64)[:, None, :] + offsets[None, :, :]
    near = ((around - points[:, None, :]) ** 2).sum(axis=-1) <= distance**2
    near &= ((around >= 0) & (around < np.array(shape))).all(axis=-1)
    rows, places = np.nonzero(near)
    return rows, around[rows, places]


def resample(points: NDArray[Any]) -> Float32Array:
    """Puts points `STEP` apart, or a little less, along a polyline.

    Args:
        points: ``(n, 2)`` y and x, px, n at least 1.

    Returns:
        ``(m, 2)`` float32 with the same ends.

    Raises:
        DataError: There is no point, or points are not pairs.
    """
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise DataError(f"a line needs (n, 2) points of y and x, got shape {points.shape}. Pass one point or more")
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    places = np.linspace(0.0, along[-1], int(np.ceil(along[-1] / STEP)) + 1)
    return np.stack([np.interp(places, along, axis) for axis in points.T], axis=1).astype(np.float32)


def trace(mask: NDArray[Any]) -> Line:
    """Finds the centre line of one object: the longest path through its skeleton, made smooth, drawn out to its ends.

    The length is that of the path, the width the area / length: right for a tube, too wide for one with branches.

    Args:
        mask: ``(height, width)``, the object where it is not 0. Of several parts the largest counts.

    Raises:
        DataError: The mask is empty or has other axes.
    """
    if mask.ndim != 2 or not mask.any():
        raise DataError(
            f"a centre line needs a (height, width) mask with pixels, got shape {mask.shape}. Pass an object"
        )
    from skimage.morphology import skeletonize

    padded = np.pad(mask != 0, 2)
    _, parts, figures, _ = cv2.connectedComponentsWithStats(padded.view(np.uint8), connectivity=8)
    part: _Mask = parts == 1 + int(np.argmax(figures[1:, cv2.CC_STAT_AREA]))
    path = _drawn_out(_smooth(_longest_path(skeletonize(part))), part)
    points = resample(path - 2.0)
    length = max(float(np.hypot(*np.diff(points, axis=0).T).sum()), 1.0)
    return Line(points, float(np.count_nonzero(part)) / length)


def measure(labels: Labels, cells: Labels | None = None, *, reach: float = 4.0) -> list[LineMeasure]:
    """Measures every object of a label image as a line.

    Args:
        labels: ``(height, width)`` integers, 0 background.
        cells: ``(height, width)`` labels of the cells that the lines may join; None where they are not known.
        reach: A line meets the cell that it runs into within this distance beyond its end, or else the nearest one
            within it, px.

    Returns:
        One per object, in order of the labels.

    Raises:
        DataError: Labels or cells are no label image, or differ in shape.
    """
    if cells is not None and cells.shape != labels.shape:
        raise DataError(
            f"lines and cells must be labelled in one image, got shapes {labels.shape} and {cells.shape}. "
            f"Bring them to one shape"
        )
    numbered, _ = sequential(labels)
    measures = []
    for label, box in enumerate(scipy.ndimage.find_objects(numbered), start=1):
        line = trace(numbered[box] == label)
        line = Line(line.points + np.array([part.start for part in box], np.float32), line.width)
        ends = (0, 0) if cells is None else cells_joined(line, cells, reach=reach)
        measures.append(LineMeasure(line, ends))
    return measures


def cells_joined(line: Line, cells: Labels, *, reach: float = 4.0) -> tuple[int, int]:
    """Returns the labels of the cells at the first and at the last end of a line, 0 for none; see `measure`."""
    return _cell_at(line.points[::-1], cells, reach), _cell_at(line.points, cells, reach)


def _longest_path(skeleton: _Mask) -> NDArray[np.float64]:
    """The longest of the shortest paths between two pixels of a skeleton, ``(n, 2)``."""
    places = np.argwhere(skeleton)
    numbers = np.full(skeleton.shape, -1, np.int64)
    numbers[tuple(places.T)] = np.arange(len(places))
    rows, columns, weights = [], [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        neighbours = numbers[places[:, 0] + dy, places[:, 1] + dx]
        linked = neighbours >= 0
        rows.append(np.flatnonzero(linked))
        columns.append(neighbours[linked])
        weights.append(np.full(np.count_nonzero(linked), np.hypot(dy, dx)))
    graph = scipy.sparse.coo_array(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=(len(places),) * 2
    ).tocsr()
    # On a tree, the pixel farthest from any pixel is an end of the longest path; loops of a skeleton are small.
    first = int(np.argmax(scipy.sparse.csgraph.dijkstra(graph, directed=False, indices=0)))
    distances, previous = scipy.sparse.csgraph.dijkstra(graph, directed=False, indices=first, return_predecessors=True)
    at = int(np.argmax(np.where(np.isfinite(distances), distances, -1.0)))
    path = [at]
    while path[-1] != first:
        path.append(int(previous[path[-1]]))
    return places[path].astype(np.float64)


def _smooth(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """Takes the stairs out of a chain of pixels; point reflection at the ends keeps them where they are."""
    if len(path) < 3:
        return path
    margin = min(len(path) - 1, int(4 * SMOOTH))
    before, after = 2 * path[0] - path[margin:0:-1], 2 * path[-1] - path[-2 : -2 - margin : -1]
    longer = np.concatenate([before, path, after])
    smooth: NDArray[np.float64] = scipy.ndimage.gaussian_filter1d(longer, SMOOTH, axis=0, mode="nearest")
    return smooth[margin : margin + len(path)]


def _drawn_out(path: NDArray[np.float64], mask: _Mask) -> NDArray[np.float64]:
    """Adds what thinning took off the ends: straight on until the border of the object."""
    if len(path) < 2:
        return path
    back = min(len(path) - 1, 6)
    ends = []
    for end, inner in ((path[0], path[back]), (path[-1], path[-1 - back])):
        ahead = (end - inner) / max(float(np.hypot(*(end - inner))), 1e-6)
        steps = end + np.arange(0.0, max(mask.shape), 0.25)[:, None] * ahead
        pixels = np.clip(np.rint(steps).astype(int), 0, np.array(mask.shape) - 1)
        outside = np.flatnonzero(~mask[tuple(pixels.T)])
        # From middle to middle a row of n pixels is n - 1 long; its border lies where rounding leaves the mask.
        ends.append(steps[max(outside[0] - 1, 0)] if len(outside) else end)
    return np.concatenate([ends[:1], path, ends[1:]])


def _cell_at(points: Float32Array, cells: Labels, reach: float) -> int:
    """The cell that a line runs into beyond its last point, else the nearest, within reach; 0 where there is none."""
    end, back = points[-1], points[max(len(points) - 1 - int(5.0 / STEP), 0)]
    ahead = (end - back) / max(float(np.hypot(*(end - back))), 1e-6)
    on = np.rint(end + np.arange(0.0, reach, 0.25)[:, None] * ahead).astype(int)
    on = on[((on >= 0) & (on < np.array(cells.shape))).all(axis=1)]
    met = np.flatnonzero(cells[on[:, 0], on[:, 1]])
    if len(met):
        return int(cells[tuple(on[met[0]])])
    _, places = pixels_near(end[None], reach, (cells.shape[0], cells.shape[1]))
    places = places[cells[places[:, 0], places[:, 1]] > 0]
    if not len(places):
        return 0
    return int(cells[tuple(places[np.argmin(np.hypot(*(places - end).T))])])
