"""The objects of a large image: its windows pass the network one by one and are stitched to one label image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.files.scene import Box
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.types import Float32Array, Int32Array
from nanonuclei.stages.predict.large.grid import Grid
from nanonuclei.stages.predict.large.stitching import Stitcher
from nanonuclei.stages.predict.large.windows import Windows
from nanonuclei.tasks.base import Reader

PARTS = 9
"""Windows by which the size of objects is estimated, at most."""

PART = 1024
"""Side of such a window, px."""


class LabelRows:
    """A label image on disk, rows of int32: written from the top, read by windows, 4 bytes per px."""

    def __init__(self, path: Path, width: int) -> None:
        self._path, self._width = path, width
        self._numbers: Int32Array | None = None

    def append(self, rows: Int32Array) -> None:
        """Adds rows at the end."""
        with self._path.open("ab") as file:
            np.ascontiguousarray(rows, np.int32).tofile(file)

    def translate(self, numbers: Int32Array) -> None:
        """Makes `read` return ``numbers[label]``."""
        self._numbers = numbers

    def read(self, box: Box) -> Int32Array:
        """Reads a window."""
        y0, x0, y1, x1 = box
        with self._path.open("rb") as file:
            if x0 == 0 and x1 == self._width:
                file.seek(4 * y0 * self._width)
                found = np.fromfile(file, np.int32, (y1 - y0) * self._width).reshape(y1 - y0, self._width)
            else:
                found = np.empty((y1 - y0, x1 - x0), np.int32)
                for row in range(y0, y1):
                    file.seek(4 * (row * self._width + x0))
                    found[row - y0] = np.fromfile(file, np.int32, x1 - x0)
        return found if self._numbers is None else self._numbers[found]


@dataclass(frozen=True)
class LargeObjects:
    """The objects of a large image.

    Attributes:
        labels: Its label image, objects 1..n.
        boxes: ``(n, 4)`` int64, y0, x0, y1, x1 in px, half open.
        scores: ``(n,)`` float32.
        grid: By whose cores the objects are numbered, row by row; an object belongs to the core of its box's corner.
        shown: Height of the score map by that of the image.
    """

    labels: LabelRows
    boxes: NDArray[np.int64]
    scores: NDArray[np.float32]
    grid: Grid
    shown: float


def find_objects(windows: Windows, reader: Reader, network: Network, *, grid: Grid, file: Path) -> LargeObjects:
    """Finds the objects of a large image.

    Grey values are scaled by a sample of the whole image, and the size of objects is estimated once, so that every
    window is shown to the network alike.

    Args:
        windows: The image.
        reader: Of the task, with `by_windows`.
        network: Its network.
        grid: The windows.
        file: Path of a file for the label image, which does not exist.

    Raises:
        DataError: The image is damaged.
    """
    scaled = reader.scaled_by(windows.sample())
    settled = reader.settled(network, [scaled(windows.image(box)) for box in _parts(windows.shape)])
    labels, stitcher = LabelRows(file, windows.shape[1]), Stitcher(windows.shape)
    shown = 1.0
    for row in grid.rows():
        top, _, bottom, _ = row[0].box
        labels.append(stitcher.advance(top, bottom))
        for tile in row:
            y0, x0, y1, x1 = tile.box
            image = scaled(windows.image(tile.box))
            score_map: Float32Array = next(iter(settled.score_maps(network, [image])))
            del image
            shown = score_map.shape[0] / (y1 - y0)
            stitcher.add(settled.instances(score_map, (y1 - y0, x1 - x0)), tile)
    labels.append(stitcher.advance(windows.shape[0], windows.shape[0]))
    numbers, boxes, scores = stitcher.numbers(grid.step)
    labels.translate(numbers)
    return LargeObjects(labels, boxes, scores, grid, shown)


def _parts(shape: tuple[int, int]) -> Iterator[Box]:
    """Yields windows that are spread over the image."""
    side = int(np.sqrt(PARTS))
    height, width = (min(PART, extent) for extent in shape)
    rows, columns = (
        sorted({round(place * (extent - size) / (side - 1)) for place in range(side)})
        for extent, size in zip(shape, (height, width), strict=True)
    )
    for y0 in rows:
        for x0 in columns:
            yield y0, x0, y0 + height, x0 + width
