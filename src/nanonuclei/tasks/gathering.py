"""How the objects of a large image are put together while its windows pass one by one: what every task gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.seams.grid import Tile
from nanonuclei.imaging.types import Box, Float32Array, Int32Array


@dataclass(frozen=True)
class Gathered:
    """The objects of a large image, in the order of `place_order`.

    Attributes:
        boxes: ``(n, 4)`` int64, y0, x0, y1, x1 in px, half open.
        scores: ``(n,)`` float32.
        read: Returns the label image of a window, objects 1..n.
        rows: What else is told of each object, see `Objects.rows`; empty where tables need no more than its pixels.
        measures: Numbers of the whole image, see `Objects.measures`.
        layers: Each returns a label image of a window, see `Objects.layers`.
    """

    boxes: NDArray[np.int64]
    scores: NDArray[np.float32]
    read: Callable[[Box], Int32Array]
    rows: Sequence[Mapping[str, Any]] = ()
    measures: Mapping[str, float] = field(default_factory=dict)
    layers: Mapping[str, Callable[[Box], Int32Array]] = field(default_factory=dict)


class Gatherer(ABC):
    """Takes the score maps of windows, row by row from the top."""

    @abstractmethod
    def advance(self, top: int, bottom: int) -> None:
        """Tells that no later window reaches above a row.

        Args:
            top: First row of the next windows.
            bottom: The row after their last.
        """

    @abstractmethod
    def add(self, score_map: Float32Array, tile: Tile) -> None:
        """Takes the score map of a window, `tile.box`."""

    @abstractmethod
    def gathered(self, step: int) -> Gathered:
        """Returns the objects, once all windows were added.

        Args:
            step: Side of the squares by which objects are ordered, see `place_order`.
        """
