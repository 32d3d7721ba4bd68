"""The size of the objects of an image: estimated by the network itself, and what the network is shown because of it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nanonuclei.config.pixels import WindowsConfig
from nanonuclei.errors import ConfigError
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.score_maps import score_maps
from nanonuclei.imaging.sizing.resizing import resized
from nanonuclei.imaging.types import Float32Array

OCTAVE = 24
"""Steps per doubling of the diameter in a target, whose uint8 then reaches 2**(255 / 24) = 1578 px."""

OCTAVES = 8.0
"""A network tells ``log2(diameter) / OCTAVES``: diameters up to 256 px."""

FEWEST = 2.5
"""Objects that an estimate must rest on."""

WELL_SEEN = (0.5, 2.5)
"""Diameters, in best ones, between which objects are found as well as in any other size."""

AIMED_AT = (0.7, 1.25)
"""Diameters, in best ones, to which smaller and larger objects are brought. Of the validation images of the Data
Science Bowl 2018, pooled AP at IoU 0.5: as they are .800; those below 12 px enlarged by 1.4 .803, at 1.2 times
the work; by 2 .802, at 1.4 times."""

MOST_ENLARGED = 3.0
"""An image is not enlarged by more than this: work grows with its square."""

SMALLEST = 5.0
"""px; smaller things are dust or noise and no reason to enlarge an image."""

LEAST_STEP = 0.4
"""Octaves between two sizes that are worth another look."""

MOST_LOOKS = 3
"""Times that one image is shown to the network at most."""


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

        With `diameter` ``auto``, an image is shown as it is, and its map tells how large its objects are. Where they
        are too small or too large to be well seen, the image is shown again in a better size.

        Args:
            inputs: Normalised images ``(height, width, 3)`` float32 of any sizes; read as needed, not all at once.

        Raises:
            ConfigError: The diameter is larger than an image.
        """
        waiting: deque[tuple[Float32Array, float]] = deque()
        for score_map in self._at(self._scaled(inputs, waiting)):
            image, factor = waiting.popleft()
            yield self._looked_again(image, score_map, factor) if self.config.diameter == "auto" else score_map

    def common_factor(self, parts: Sequence[Float32Array]) -> float:
        """Returns by how much an image is enlarged, so that its objects are well seen, told by parts of it together.

        Args:
            parts: Normalised, as in `maps`.
        """
        factor = 1.0
        for _ in range(MOST_LOOKS - 1):
            maps = list(self._at(resized(part, factor) for part in parts))
            joined = np.concatenate([one.reshape(1, -1, one.shape[-1]) for one in maps], axis=1)
            diameter, number = median_diameter(joined)
            better = self._better(diameter / factor) if number >= FEWEST else factor
            if abs(math.log2(better / factor)) < LEAST_STEP:
                break
            factor = better
        return factor

    def factor(self, image: Float32Array) -> float:
        """Returns by how much an image is enlarged at first."""
        wanted = self.config.diameter
        if isinstance(wanted, str):
            return 1.0
        if wanted > max(image.shape[:2]):
            raise ConfigError(
                f"windows.diameter must be the size of the objects in the images, at most "
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

    def _looked_again(self, image: Float32Array, score_map: Float32Array, factor: float) -> Float32Array:
        """Returns the map of an image in the size in which its objects are well seen."""
        for _ in range(MOST_LOOKS - 1):
            diameter, number = median_diameter(score_map)
            better = self._better(diameter / factor) if number >= FEWEST else factor
            if abs(math.log2(better / factor)) < LEAST_STEP:
                break
            factor = better
            score_map = next(self._at([resized(image, factor)]))
        return score_map

    def _better(self, diameter: float) -> float:
        """Returns by how much an image whose objects have that diameter, px, should be enlarged."""
        share = diameter / self.config.best_diameter
        if diameter < SMALLEST:
            return 1.0
        if share < WELL_SEEN[0]:
            return min(AIMED_AT[0] / share, MOST_ENLARGED)
        return AIMED_AT[1] / share if share > WELL_SEEN[1] else 1.0
