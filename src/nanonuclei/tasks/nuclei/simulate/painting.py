"""The light of nuclei and of what lies about them."""

from __future__ import annotations

import math

import cv2
import numpy as np

from nanonuclei.data.microscope import add_spots, smooth_field
from nanonuclei.imaging.types import Float32Array, UInt16Array
from nanonuclei.tasks.nuclei.simulate.scene import Placed, Scene, Shape, windows

TILE = 192
"""Side of the texture that nuclei are cut from, px; above the largest window, 2 * 1.8 * MAX_RADIUS + 5."""


def draw_texture(scene: Scene, rng: np.random.Generator) -> Float32Array:
    """Chromatin: coarse clumps and fine grain, about 1 on average."""
    coarse, fine = (
        cv2.GaussianBlur(rng.standard_normal((TILE, TILE), dtype=np.float32), (0, 0), sigma)
        for sigma in (max(scene.radius / 5.0, 1.2), max(scene.radius / 14.0, 0.7))
    )
    chromatin: Float32Array = np.exp(scene.texture * (0.75 * coarse / coarse.std() + 0.65 * fine / fine.std()))
    return chromatin


def paint(
    layer: Float32Array,
    labels: UInt16Array,
    *,
    nucleus: Placed,
    scene: Scene,
    tile: Float32Array,
    rng: np.random.Generator,
) -> None:
    """Adds the light of one nucleus to a layer; a usual nucleus has light 1. Below another it is mostly hidden."""
    shape, side = nucleus.shape, 2 * nucleus.shape.reach + 1
    light = np.clip((1.0 - shape.relative) * np.float32(0.55 * shape.radius) + 0.35, 0.0, 1.0)
    light *= 1.0 - np.float32(scene.dome) * np.minimum(shape.relative, 1.0) ** 2
    top, left = rng.integers(0, TILE - side, 2)
    light *= tile[top : top + side, left : left + side]
    brightness = math.exp(scene.brightness_spread * rng.standard_normal())
    if shape.mitotic:
        brightness *= rng.uniform(1.6, 3.2)
    else:
        light *= 1.0 - np.minimum(_draw_nucleoli(shape, scene, rng), 0.6)
    there, here = windows(nucleus.y, nucleus.x, shape.reach, labels.shape[0])
    hidden = (labels[there] != nucleus.label) & (labels[there] != 0)
    layer[there] += light[here] * np.where(hidden, np.float32(0.3 * brightness), np.float32(brightness))


def _draw_nucleoli(shape: Shape, scene: Scene, rng: np.random.Generator) -> Float32Array:
    """Dark spots in the window of a nucleus, 0 where there are none."""
    dark = np.zeros_like(shape.relative)
    spots = np.empty((rng.poisson(scene.nucleoli), 4), np.float32)
    spots[:, :2] = shape.reach + shape.radius * rng.uniform(-0.5, 0.5, (len(spots), 2))
    spots[:, 2] = shape.radius * rng.uniform(0.1, 0.2, len(spots))
    spots[:, 3] = rng.uniform(0.2, 0.5, len(spots))
    add_spots(dark, spots)
    return dark


def draw_haze(scene: Scene, nuclei: list[Placed], size: int, rng: np.random.Generator) -> Float32Array:
    """Cytoplasm: a faint spindle of light about each nucleus, drawn at a quarter of the resolution."""
    coarse = size // 4
    haze = np.zeros((coarse, coarse), np.float32)
    if scene.haze > 0.0:
        for nucleus in nuclei:
            shape = nucleus.shape
            axes = [shape.radius / 4.0 * rng.uniform(*span) for span in ((2.0, 6.0), (0.4, 1.3))]
            reach = math.ceil(axes[0]) + 1
            spindle = np.zeros((2 * reach + 1,) * 2, np.float32)
            # OpenCV takes sixteenths of a pixel when told to shift by 4 bits.
            middle, lengths = (16 * reach, 16 * reach), (round(16 * axes[0]), round(16 * axes[1]))
            turn, strength = math.degrees(shape.orientation), rng.uniform(0.3, 1.5)
            cv2.ellipse(spindle, middle, lengths, turn, 0, 360, strength, cv2.FILLED, cv2.LINE_AA, 4)
            there, here = windows(nucleus.y // 4, nucleus.x // 4, reach, coarse)
            haze[there] += spindle[here]
        haze = cv2.GaussianBlur(haze, (0, 0), max(scene.radius / 6.0, 1.0))
    full: Float32Array = cv2.resize(haze, (size, size), interpolation=cv2.INTER_CUBIC)
    full *= np.clip(1.0 + 0.5 * smooth_field(size, 2.0 * scene.radius, rng), 0.1, None) * np.float32(scene.haze)
    return full


def add_debris(light: Float32Array, scene: Scene, rng: np.random.Generator) -> None:
    """Adds specks: too small to be nuclei, without a label."""
    size = light.shape[0]
    specks = np.empty((scene.debris, 4), np.float32)
    specks[:, :2] = rng.uniform(0, size, (scene.debris, 2))
    specks[:, 2] = rng.uniform(0.8, 1.5, scene.debris)
    specks[:, 3] = rng.uniform(0.1, 0.9, scene.debris)
    add_spots(light, specks)
