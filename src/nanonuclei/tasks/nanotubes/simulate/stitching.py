"""What a camera and the stitching of its tiles make of light: steps of shading, scratches and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nanonuclei.data.microscope import smooth_field
from nanonuclei.imaging.types import Float32Array, UInt8Array


@dataclass(frozen=True)
class Sensor:
    """How light becomes 8-bit grey values.

    Attributes:
        background: Grey value without light.
        read_noise: Standard deviation of the noise without light, grey values.
        shot_noise: Variance of the noise per grey value of light.
    """

    background: float
    read_noise: float
    shot_noise: float

    @property
    def floor(self) -> float:
        """Standard deviation of the noise beside the cells, grey values; 3 of light are always there."""
        return math.sqrt(self.read_noise**2 + 3.0 * self.shot_noise)


def draw_sensor(rng: np.random.Generator) -> Sensor:
    """Draws the sensor of one channel."""
    return Sensor(
        background=rng.uniform(6.0, 22.0),
        read_noise=rng.uniform(1.0, 2.6),
        shot_noise=rng.uniform(0.15, 0.7),
    )


def shade_tiles(size: int, tile: int, rng: np.random.Generator) -> tuple[Float32Array, Float32Array]:
    """Draws the shading of an image that was stitched from tiles without correction.

    All tiles share one vignette, that of the optics; gain and offset jump from tile to tile.

    Args:
        size: Side of the image, px.
        tile: Side of a tile, px; 0 for an image taken at once.
        rng: Source of all randomness.

    Returns:
        Gain, about 1, and offset, grey values, about 0, each ``(size, size)`` float32.
    """
    side = tile if tile else size
    start = rng.integers(0, side, 2) if tile else np.zeros(2, np.int64)
    strength, middle = rng.uniform(0.05, 0.35), rng.uniform(0.4, 0.6, 2)
    steps = rng.uniform(0.02, 0.09) if tile else 0.0
    rows, columns = ((np.arange(size) + at) // side for at in start)
    num_tiles = (rows[-1] + 1, columns[-1] + 1)
    gains = np.exp(steps * rng.standard_normal(num_tiles)).astype(np.float32)
    offsets = (rng.uniform(0.3, 1.8) * bool(tile) * rng.standard_normal(num_tiles)).astype(np.float32)
    down, across = (
        ((((np.arange(size) + at) % side + 0.5) / side - centre) ** 2).astype(np.float32)
        for at, centre in zip(start, middle, strict=True)
    )
    vignette = 1.0 - np.float32(2.0 * strength) * (down[:, None] + across[None, :])
    at_tile = np.ix_(rows, columns)
    return gains[at_tile] * vignette, offsets[at_tile]


def expose(
    light: Float32Array,
    sensor: Sensor,
    *,
    shading: tuple[Float32Array, Float32Array],
    noise: float,
    rng: np.random.Generator,
) -> UInt8Array:
    """Takes the picture of one channel.

    Args:
        light: ``(size, size)`` float32, grey values above the background, 0 or more.
        sensor: What it is taken with.
        shading: Gain and offset, from `shade_tiles`.
        noise: Factor on the standard deviation of the noise, 1 as drawn.
        rng: Source of all randomness.

    Returns:
        ``(size, size)`` uint8; the brightest parts may be clipped at 255.
    """
    size = light.shape[0]
    gain, offset = shading
    slow = np.maximum(2.0 + smooth_field(size, size / 2.5, rng), 0.0)
    seen = (light + slow + np.float32(0.6 * sensor.background)) * gain
    spread = np.sqrt(np.maximum(seen - 0.6 * sensor.background, 0.0) * sensor.shot_noise + sensor.read_noise**2)
    seen += spread.astype(np.float32) * np.float32(noise) * rng.standard_normal(light.shape, dtype=np.float32)
    seen += offset + np.float32(0.4 * sensor.background)
    grey: UInt8Array = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
    return grey
