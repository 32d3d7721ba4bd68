"""From light to grey values: focus, stray light, uneven background and camera noise of a simulated image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from nanonuclei.imaging.types import Float32Array, UInt8Array


@dataclass(frozen=True)
class Camera:
    """How light becomes 8-bit grey values.

    Attributes:
        background: Grey value without any light.
        unevenness: Standard deviation of the slow changes of the background, grey values.
        vignetting: Share of the light that is lost in the corners, 0..1.
        glare: Share of the light that is scattered widely, 0..1.
        read_noise: Standard deviation of the noise without any light, grey values.
        shot_noise: Variance of the noise per grey value of light.
    """

    background: float
    unevenness: float
    vignetting: float
    glare: float
    read_noise: float
    shot_noise: float


def draw_camera(contrast: float, rng: np.random.Generator) -> Camera:
    """Draws the camera of one image; the ranges follow the fluorescence images of the Data Science Bowl 2018.

    Args:
        contrast: Grey values of a usual nucleus above the background.
        rng: Source of all randomness.
    """
    return Camera(
        background=float(rng.choice([rng.uniform(2.0, 6.0), rng.uniform(8.0, 16.0)], p=[0.65, 0.35])),
        unevenness=min(rng.exponential(0.008) * contrast, 4.0),
        vignetting=rng.uniform(0.0, 0.35),
        glare=min(rng.exponential(0.05), 0.3),
        read_noise=rng.uniform(0.35, 1.1),
        shot_noise=rng.uniform(0.01, 0.06) * math.sqrt(contrast / 40.0) * rng.choice([1.0, 6.0], p=[0.85, 0.15]),
    )


def smooth_field(size: int, scale: float, rng: np.random.Generator) -> Float32Array:
    """Draws a smooth random surface, ``(size, size)``, mean about 0 and standard deviation about 1.

    Args:
        size: Side, px.
        scale: Distance over which it changes, px, at least 1.
        rng: Source of all randomness.
    """
    nodes = rng.standard_normal((math.ceil(size / scale) + 1,) * 2, dtype=np.float32)
    fine = max(round(len(nodes) * scale), size)
    surface = cv2.resize(nodes, (fine, fine), interpolation=cv2.INTER_CUBIC)
    margin = (fine - size) // 2
    # OpenCV's cubic surface over independent nodes has a standard deviation of about 0.85.
    field: Float32Array = surface[margin : margin + size, margin : margin + size] / np.float32(0.85)
    return field


def add_spots(light: Float32Array, spots: Float32Array) -> None:
    """Adds round Gaussian spots of light in place.

    Args:
        light: ``(size, size)`` float32.
        spots: ``(n, 4)``: y and x of the middle, px; standard deviation, px; light in the middle.
    """
    size = light.shape[0]
    for y, x, sigma, peak in spots:
        reach = math.ceil(3.0 * float(sigma))
        rows, columns = (slice(max(int(at) - reach, 0), min(int(at) + reach + 1, size)) for at in (y, x))
        across, down = (np.arange(part.start, part.stop, dtype=np.float32) for part in (columns, rows))
        profile_y, profile_x = np.exp(-(((down - y) / sigma) ** 2) / 2.0), np.exp(-(((across - x) / sigma) ** 2) / 2.0)
        light[rows, columns] += peak * profile_y[:, None] * profile_x[None, :]


def focus(layers: Float32Array, sigmas: tuple[float, ...]) -> Float32Array:
    """Blurs each layer of light by its own width and adds them.

    Args:
        layers: ``(n, size, size)`` float32.
        sigmas: Standard deviation of the blur per layer, px.

    Returns:
        ``(size, size)`` float32.
    """
    light = np.zeros(layers.shape[1:], np.float32)
    for layer, sigma in zip(layers, sigmas, strict=True):
        light += cv2.GaussianBlur(layer, (0, 0), sigma)
    return light


def expose(light: Float32Array, camera: Camera, rng: np.random.Generator) -> UInt8Array:
    """Takes the picture: glare, vignetting, background, shot noise and read noise.

    Args:
        light: ``(size, size)`` float32, grey values above the background, 0 or more.
        camera: What it is taken with.
        rng: Source of all randomness.

    Returns:
        ``(size, size)`` uint8.
    """
    size = light.shape[0]
    small = cv2.resize(light, (max(size // 8, 1),) * 2, interpolation=cv2.INTER_AREA)
    wide = cv2.resize(cv2.GaussianBlur(small, (0, 0), 3.0), (size, size), interpolation=cv2.INTER_LINEAR)
    light = light * np.float32(1.0 - camera.glare) + wide * np.float32(2.0 * camera.glare)
    middle = rng.uniform(0.35, 0.65, 2)
    down, across = (((np.arange(size, dtype=np.float32) + 0.5) / size - np.float32(at)) ** 2 for at in middle)
    light *= 1.0 - np.float32(2.0 * camera.vignetting) * (down[:, None] + across[None, :])
    light += np.maximum(smooth_field(size, size / 3.0, rng) * np.float32(camera.unevenness), -camera.background / 2.0)
    noise = np.sqrt(np.maximum(light, 0.0) * np.float32(camera.shot_noise) + np.float32(camera.read_noise**2))
    light += noise * rng.standard_normal(light.shape, dtype=np.float32) + np.float32(camera.background)
    grey: UInt8Array = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    return grey
