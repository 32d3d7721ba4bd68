"""Networks as plain functions on arrays, whatever computes them; no Keras.

`score_maps` covers images with windows of a network that answers per pixel, `scan` those of a `TileNetwork`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nanonuclei.imaging.types import Float32Array
from nanonuclei.imaging.window_geometry import WindowGeometry

Network = Callable[[Float32Array], Float32Array]
"""``(batch, height, width, 3)`` float32 to ``(batch, height, width, channels)`` float32; or a `TileNetwork`."""


@dataclass(frozen=True)
class TileNetwork:
    """A network that scores every window of a tile, and how its windows lie.

    Attributes:
        scores: ``(batch, height, width, 3)`` float32 to ``(batch, rows, columns, 1)`` float32, a score
            per window.
        geometry: Window, margin and stride.
    """

    scores: Callable[[Float32Array], Float32Array]
    geometry: WindowGeometry

    def __call__(self, batch: Float32Array) -> Float32Array:
        """Scores tiles."""
        return self.scores(batch)


class Stopwatch:
    """A function on arrays that counts the seconds spent in it."""

    def __init__(self, function: Network) -> None:
        self._function = function
        self.seconds = 0.0

    def __call__(self, batch: Float32Array) -> Float32Array:
        """Calls the function."""
        started = time.perf_counter()
        answer = self._function(batch)
        self.seconds += time.perf_counter() - started
        return answer


def timed(network: Network) -> tuple[Network, Stopwatch]:
    """Returns a network of the same kind whose seconds are counted, and the watch that counts them."""
    if isinstance(network, TileNetwork):
        watch = Stopwatch(network.scores)
        return dataclasses.replace(network, scores=watch), watch
    watch = Stopwatch(network)
    return watch, watch


def with_views(network: Network, *, num_views: int) -> Network:
    """Returns a network that looks at each window in several ways.

    Args:
        network: The network.
        num_views: 1, or 8 for the mean answer over the flips and 90-degree turns of each window.
    """
    return network if num_views == 1 else _Views(network)


class _Views:
    """The mean answer over the eight symmetries of a square."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(self, batch: Float32Array) -> Float32Array:
        total: Float32Array = np.zeros(1, np.float32)
        for turns in range(4):
            for flip in (False, True):
                view = np.rot90(batch, turns, axes=(1, 2))
                answer = self._network(np.ascontiguousarray(view[:, :, ::-1] if flip else view))
                total = total + np.rot90(answer[:, :, ::-1] if flip else answer, -turns, axes=(1, 2))
        mean: Float32Array = np.asarray(total / np.float32(8.0), np.float32)
        return mean
