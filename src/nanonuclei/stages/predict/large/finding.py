"""The objects of a large image: its windows pass the network one by one, and are put together across the seams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.seams.grid import Grid, Tile
from nanonuclei.imaging.seams.label_rows import LabelRows
from nanonuclei.imaging.seams.stitching import Stitcher
from nanonuclei.imaging.types import Box, Float32Array
from nanonuclei.stages.predict.large.windows import Windows
from nanonuclei.tasks.base import Reader
from nanonuclei.tasks.gathering import Gathered, Gatherer

PARTS = 9
"""Windows by which the size of objects is estimated, at most."""

PART = 1024
"""Side of such a window, px."""


class PixelGatherer(Gatherer):
    """Puts objects together that are sets of pixels; their label image grows on disk.

    Args:
        reader: Reads the objects of a window.
        shape: Height and width of the image, px.
        file: Path of a file for the label image, which does not exist.
    """

    def __init__(self, reader: Reader, shape: tuple[int, int], file: Path) -> None:
        self._reader, self._shape = reader, shape
        self._labels, self._stitcher = LabelRows(file, shape[1]), Stitcher(shape)

    def advance(self, top: int, bottom: int) -> None:
        """Writes the finished rows of the label image."""
        self._labels.append(self._stitcher.advance(top, bottom))

    def add(self, score_map: Float32Array, tile: Tile) -> None:
        """Paints the objects of a window."""
        y0, x0, y1, x1 = tile.box
        self._stitcher.add(self._reader.instances(score_map, (y1 - y0, x1 - x0)), tile)

    def gathered(self, step: int) -> Gathered:
        """Returns the objects, and how their label image is read."""
        self.advance(self._shape[0], self._shape[0])
        numbers, boxes, scores = self._stitcher.numbers(step)
        self._labels.translate(numbers)
        return Gathered(boxes, scores, self._labels.read)


@dataclass(frozen=True)
class LargeObjects:
    """The objects of a large image.

    Attributes:
        found: The objects, in the order of the cores that they belong to.
        grid: Its cores.
        shown: Height of the score map by that of the image.
    """

    found: Gathered
    grid: Grid
    shown: float


def find_objects(windows: Windows, reader: Reader, network: Network, *, grid: Grid, file: Path) -> LargeObjects:
    """Finds the objects of a large image.

    Grey values are scaled by a sample of the whole image, and what else depends on all of it is told by some parts, so
    that every window is read alike.

    Args:
        windows: The image.
        reader: Of the task, with a `window`.
        network: Its network.
        grid: The windows.
        file: Path of a file for the label image, which does not exist.

    Raises:
        DataError: The image is damaged.
    """
    scaled = reader.scaled_by(windows.sample())
    settled = reader.settled(network, [scaled(windows.image(box)) for box in _parts(windows.shape)])
    gatherer = settled.gatherer(windows.shape, file) or PixelGatherer(settled, windows.shape, file)
    shown = 1.0
    for row in grid.rows():
        top, _, bottom, _ = row[0].box
        gatherer.advance(top, bottom)
        for tile in row:
            image = scaled(windows.image(tile.box))
            score_map: Float32Array = next(iter(settled.score_maps(network, [image])))
            del image
            shown = score_map.shape[0] / (bottom - top)
            gatherer.add(score_map, tile)
    return LargeObjects(gatherer.gathered(grid.step), grid, shown)


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
