"""The size of the objects of an image: estimated by the network itself, and what the network is shown because of it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from nanonuclei.config.pixels import WindowsConfig
from nanonuclei.errors import ConfigError
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.resizing import resized
from nanonuclei.imaging.score_maps import score_maps
from nanonuclei.imaging.types import Float32Array

OCTAVE = 24
"""Steps per doubling of the diameter in a target, whose uint8 then reaches 2**(255 / 24) = 1578 px."""

OCTAVES = 8.0
"""A network tells ``log2(diameter) / OCTAVES``: diameters up to 256 px."""

FEWEST = 2.5
"""Objects that an estimate must rest on."""

GLANCE = 4
"""A first glance shows the image reduced by this factor: a sixteenth of the work."""

GLANCE_PIXELS = 2**20
"""Pixels of a glance at most, about: of a larger image parts are glanced at."""

SEEN_AT_A_GLANCE = 7.0
"""Diameter, px, from which on the network tells objects in the reduced image."""

AS_IT_IS = 0.8
"""Octaves by which the objects may differ from the best size without the image being resized."""

MOST_ENLARGED = 3.0
"""An image is not enlarged by more than this: work grows with its square."""


def median_diameter(answer: Float32Array) -> tuple[float, float]:
    """Returns the median diameter of the objects of a map, and about how many objects it rests on.

    Every foreground pixel tells the diameter d of its object; it counts as ``1 / (pi d**2 / 4)`` of an object, so that
    small and large objects weigh alike.

    Args:
        answer: ``(height, width, classes + 1)``: class probabilities, the background first; then
            ``log2(diameter) / OCTAVES``.

    Returns:
        The diameter in px of the map, and the number; ``(nan, 0)`` without foreground.
    """
    octaves = answer[..., -1][answer[..., 0] < 0.5].astype(np.float64) * OCTAVES
    if octaves.size == 0:
        return math.nan, 0.0
    octaves.sort()
    weights = np.cumsum(4.0 / math.pi * 4.0**-octaves)
    middle = int(np.searchsorted(weights, weights[-1] / 2.0))
    return float(2.0 ** octaves[middle]), float(weights[-1])


@dataclass(frozen=True)
class Sizing:
    """Runs a network over full images in the size in which it knows their objects best.

    Attributes:
        network: Called with windows; tells diameters in the last channel where `config.diameter` is ``auto``.
        config: The windows, `diameter` and `best_diameter`.
        step: px of which the network takes multiples.
    """

    network: Network
    config: WindowsConfig
    step: int

    def maps(self, inputs: Iterable[Float32Array]) -> Iterator[Float32Array]:
        """Yields a score map per image, in order, in the size in which the image was shown.

        With `diameter` ``auto``, a glance at the reduced image finds out whether the objects are large. The map itself
        then tells their size again: where that is more than `AS_IT_IS` octaves from the best, the image is shown once
        more.

        Args:
            inputs: Normalised images ``(height, width, 3)`` float32 of any sizes; read as needed, not all at once.

        Raises:
            ConfigError: The diameter is larger than an image.
        """
        waiting: deque[tuple[Float32Array, float]] = deque()
        for score_map in self._at(self._scaled(inputs, waiting)):
            image, factor = waiting.popleft()
            again = self._corrected(score_map, factor) if self.config.diameter == "auto" else factor
            yield score_map if again == factor else next(self._at([resized(image, again)]))

    def factor(self, image: Float32Array) -> float:
        """Returns by how much an image is enlarged at first."""
        wanted = self.config.diameter
        if wanted == "none":
            return 1.0
        if wanted == "auto":
            diameter, number = self._glance(image)
            return self._to_best(diameter) if number >= FEWEST and diameter >= GLANCE * SEEN_AT_A_GLANCE else 1.0
        if wanted > max(image.shape[:2]):
            raise ConfigError(
                f"windows.diameter must be the size of objects in the images, at most "
                f"{max(image.shape[:2])} px in an image of {image.shape[1]} x {image.shape[0]} px, got {wanted:g}. "
                f"Lower it, or set it to auto"
            )
        return min(self.config.best_diameter / wanted, MOST_ENLARGED)

    def _scaled(
        self, inputs: Iterable[Float32Array], waiting: deque[tuple[Float32Array, float]]
    ) -> Iterator[Float32Array]:
        for image in inputs:
            factor = self.factor(image)
            waiting.append((image, factor))
            yield resized(image, factor)

    def _at(self, images: Iterable[Float32Array]) -> Iterator[Float32Array]:
        return score_maps(self.network, images, config=self.config, step=self.step)

    def _glance(self, image: Float32Array) -> tuple[float, float]:
        """Returns the median diameter, px of the image, as a reduced image shows it, and the number of objects."""
        parts = _parts(image, GLANCE_PIXELS * GLANCE**2)
        answers = [
            answer.reshape(-1, 1, answer.shape[-1]) for answer in self._at(resized(p, 1 / GLANCE) for p in parts)
        ]
        diameter, number = median_diameter(np.concatenate(answers))
        return GLANCE * diameter, number

    def _corrected(self, score_map: Float32Array, factor: float) -> float:
        """Returns by how much the image should have been enlarged, from what its map shows."""
        diameter, number = median_diameter(score_map)
        if number < FEWEST or abs(math.log2(diameter / self.config.best_diameter)) <= AS_IT_IS:
            return factor
        return self._to_best(diameter / factor)

    def _to_best(self, diameter: float) -> float:
        factor = self.config.best_diameter / diameter
        return 1.0 if abs(math.log2(factor)) <= AS_IT_IS else min(factor, MOST_ENLARGED)


def _parts(image: Float32Array, most: int) -> list[Float32Array]:
    """Returns the image, or four squares of it, evenly spaced, that have `most` pixels together."""
    height, width = image.shape[:2]
    if height * width <= most:
        return [image]
    side = math.isqrt(most // 4)
    tall, wide = min(side, height), min(side, width)
    corners = [(y * (height - tall) // 3, x * (width - wide) // 3) for y, x in ((0, 1), (1, 3), (2, 0), (3, 2))]
    return [image[y : y + tall, x : x + wide] for y, x in corners]
