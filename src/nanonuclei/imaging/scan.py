"""From full images to score maps by a scan: large tiles through the trunk, one score per window and stride.

No Keras: the network of a scan is a plain function, see `imaging.networks`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nanonuclei.errors import ConfigError
from nanonuclei.imaging.networks import TileNetwork
from nanonuclei.imaging.types import Float32Array
from nanonuclei.imaging.window_geometry import WindowGeometry
from nanonuclei.imaging.windows import cut


def check_tile(tile: int, geometry: WindowGeometry) -> None:
    """Makes sure that a tile of `tile` px holds a window.

    Raises:
        ConfigError: It does not.
    """
    if tile < geometry.patch:
        raise ConfigError(
            f"windows.tile must hold a window of {geometry.window} px with margins of {geometry.margin} px, got "
            f"{tile}. Raise it to {geometry.patch} or more"
        )


@dataclass(frozen=True)
class Scanner:
    """What scans images.

    Attributes:
        network: The scores of a tile.
        tile: Largest side of a tile, margins included, px.

    Raises:
        ConfigError: A tile holds no window with its margins.
    """

    network: TileNetwork
    tile: int

    def __post_init__(self) -> None:
        check_tile(self.tile, self.geometry)

    @property
    def geometry(self) -> WindowGeometry:
        """Window, margin and stride."""
        return self.network.geometry

    def scores(self, image: Float32Array) -> Float32Array:
        """Scores every window of an image whose place is a multiple of the stride.

        Beyond its border the image is mirrored, the border pixel not repeated, as far as margins, and windows that
        reach over the lower and right border, need it.

        Args:
            image: ``(height, width, 3)`` float32 in 0..1.

        Returns:
            ``(rows, columns)`` float32: at r, c the score of the window that begins at ``r * stride, c * stride``.
        """
        geometry = self.geometry
        rows, columns = (geometry.windows_along(length) for length in image.shape[:2])
        tall, wide = (_windows_per_tile(number, geometry.windows_in(self.tile)) for number in (rows, columns))
        scores = np.empty((rows, columns), np.float32)
        for row in _starts(rows, tall):
            for column in _starts(columns, wide):
                corner = (row * geometry.stride - geometry.margin, column * geometry.stride - geometry.margin)
                tile = cut(image, corner, (geometry.extent(tall), geometry.extent(wide)))
                scores[row : row + tall, column : column + wide] = self.network(tile[None])[0, ..., 0]
        return scores

    def score_map(self, image: Float32Array) -> Float32Array:
        """Gives every pixel the score of the window whose middle is nearest, and its grey value beside it.

        Args:
            image: ``(height, width, 3)`` float32 in 0..1.

        Returns:
            ``(height, width, 2)`` float32 in 0..1: score, then the image's first channel.
        """
        scores, geometry = self.scores(image), self.geometry
        offset = (geometry.stride - geometry.window) // 2
        places = [
            np.clip((np.arange(length) + offset) // geometry.stride, 0, number - 1)
            for length, number in zip(image.shape[:2], scores.shape, strict=True)
        ]
        return np.stack([scores[np.ix_(*places)], image[..., 0]], axis=-1)


def _windows_per_tile(number: int, most: int) -> int:
    """Returns how many windows a tile holds along an axis: tiles of one size that overlap as little as can be."""
    return math.ceil(number / math.ceil(number / most))


def _starts(number: int, step: int) -> list[int]:
    return [*range(0, number - step, step), number - step]
