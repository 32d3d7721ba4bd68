"""What a network is shown of an image, so that its objects have the size that the network knows best."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nanonuclei.config.pixels import WindowsConfig
from nanonuclei.errors import ConfigError
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.score_maps import score_maps
from nanonuclei.imaging.sizing.estimate import median_diameter
from nanonuclei.imaging.sizing.grain import GLANCE, diameter_beyond_grain
from nanonuclei.imaging.sizing.resizing import resized
from nanonuclei.imaging.types import Float32Array

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
            if factor == 1.0 and not math.isnan(large := self._beyond_grain(parts, maps)):
                return self._reduced(large)
            diameter, number = median_diameter(*maps)
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
        if not math.isnan(large := self._beyond_grain([image], [score_map])):
            return next(self._at([resized(image, self._reduced(large))]))
        for _ in range(MOST_LOOKS - 1):
            diameter, number = median_diameter(score_map)
            better = self._better(diameter / factor) if number >= FEWEST else factor
            if abs(math.log2(better / factor)) < LEAST_STEP:
                break
            factor = better
            score_map = next(self._at([resized(image, factor)]))
        return score_map

    def _beyond_grain(self, images: Sequence[Float32Array], maps: Sequence[Float32Array]) -> float:
        """Returns the diameter of objects whose grain looks like small objects, px of the images; nan without any."""
        small, _ = median_diameter(*maps)
        if not small < self.config.best_diameter:  # grain is smaller; nan: nothing was found
            return math.nan
        glances = list(self._at(resized(image, GLANCE) for image in images))
        return diameter_beyond_grain(images, maps, glances)

    def _reduced(self, diameter: float) -> float:
        """Returns by how much an image of large objects and grain is reduced, which averages the grain away."""
        return min(1.0, AIMED_AT[1] * self.config.best_diameter / diameter)

    def _better(self, diameter: float) -> float:
        """Returns by how much an image whose objects have that diameter, px, should be enlarged."""
        share = diameter / self.config.best_diameter
        if diameter < SMALLEST:
            return 1.0
        if share < WELL_SEEN[0]:
            return min(AIMED_AT[0] / share, MOST_ENLARGED)
        return AIMED_AT[1] / share if share > WELL_SEEN[1] else 1.0
