"""How much a training patch is zoomed, so that the network meets nuclei of every size equally often."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanonuclei.config.pixels import AugmentConfig
from nanonuclei.imaging.types import Labels

FEWEST_PX = 4.0
"""Diameter, px, below which the smallest tenth of the nuclei of an image is not shrunk: labels would vanish."""


class ObjectSizes(NamedTuple):
    """Sizes and places of the labels of an image.

    Attributes:
        diameters: Equivalent diameters ``sqrt(4 area / pi)``, px: ``(n,)``, all above 0.
        centres: Centres of mass, y and x, px: ``(n, 2)``.
    """

    diameters: NDArray[np.float32]
    centres: NDArray[np.float32]


def object_sizes(labels: Labels) -> ObjectSizes:
    """Measures the labels of an image.

    Args:
        labels: ``(height, width)`` integers, 0 background.
    """
    flat = labels.ravel()
    areas = np.bincount(flat)
    present = np.flatnonzero(areas)
    present = present[present > 0]
    rows, columns = np.divmod(np.arange(flat.size), labels.shape[1])
    sums = np.stack([np.bincount(flat, weights=rows), np.bincount(flat, weights=columns)], axis=1)
    centres = sums[present] / areas[present, None]
    return ObjectSizes(diameters(areas)[present], centres.astype(np.float32))


def diameters(areas: NDArray[np.generic]) -> NDArray[np.float32]:
    """Returns equivalent diameters, ``sqrt(4 area / pi)``."""
    found: NDArray[np.float32] = np.sqrt(areas.astype(np.float32) * np.float32(4.0 / math.pi))
    return found


def draw_zoom(
    sizes: NDArray[np.float32], *, config: AugmentConfig, rng: np.random.Generator
) -> tuple[float, int | None]:
    """Draws the factor by which an image is enlarged for one patch.

    With probability `config.size_probability` a nucleus of the image, drawn at random, gets a new diameter: in half of
    the cases between `least_diameter` and `largest_diameter`, evenly on a logarithmic scale, otherwise near
    `usual_diameter` (log-normal, half an octave). Else the zoom lies between ``1 / (1 + scale)`` and ``1 + scale``.

    Args:
        sizes: Diameters of the nuclei of the image, px, all above 0; may be empty.
        config: The ranges, and the largest factor `most_zoom` to either side.
        rng: Source of all randomness.

    Returns:
        The factor, and the place of the nucleus that it was drawn for; None where it was drawn for none.
    """
    limit = math.log1p(config.scale)
    zoom = math.exp(rng.uniform(-limit, limit))
    if len(sizes) == 0 or rng.random() >= config.size_probability:
        return zoom, None
    place = int(rng.integers(len(sizes)))
    drawn = float(sizes[place])
    if rng.random() < 0.5:
        wanted = math.exp(rng.uniform(math.log(config.least_diameter), math.log(config.largest_diameter)))
    else:
        wanted = config.usual_diameter * 2.0 ** rng.normal(0.0, 0.5)
    zoom = min(max(wanted / drawn, 1.0 / config.most_zoom), config.most_zoom)
    smallest = float(np.quantile(sizes, 0.1))
    return max(zoom, min(1.0, FEWEST_PX / smallest)), place
