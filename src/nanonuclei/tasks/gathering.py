"""How the objects of a large image are put together while its windows pass one by one: what every task gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.networks import Network
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


class InWindows:
    """How a reader reads images that are too large for memory: in windows."""

    @property
    def window(self) -> tuple[int, int] | None:
        """Side of the windows by which images that are too large for memory are read, and what they share, px.

        `scaled_by` and `settled` hold what depends on the whole image, `gatherer` makes objects whole across seams.
        None: images are read whole.
        """
        return None

    def gatherer(self, shape: tuple[int, int], file: Path) -> Gatherer | None:
        """Returns what puts the objects of a large image together.

        Args:
            shape: Height and width of the image, px.
            file: Path of a file for a label image, which does not exist.

        Returns:
            None where objects are sets of pixels, and `instances` tells all that is to be known of them.
        """
        return None

    def settled(self, network: Network, parts: Sequence[Float32Array]) -> Self:
        """Returns a reader that shows every window of a large image to the network in one size.

        Args:
            network: As in `score_maps`.
            parts: Parts of the image as network input.
        """
        return self
