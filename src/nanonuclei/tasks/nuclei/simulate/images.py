"""Fluorescence images of nuclei with exact labels, drawn from a seed: which nuclei there are and where.

What the microscope and its camera add is in `microscope.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.catalog import Sample
from nanonuclei.data.microscope import draw_camera, expose, focus, smooth_field
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Float32Array, UInt16Array
from nanonuclei.tasks.nuclei.simulate.painting import add_debris, draw_haze, draw_texture, paint
from nanonuclei.tasks.nuclei.simulate.scene import NUM_ANGLES, Placed, Scene, Shape, draw_scene, draw_shape, windows

MIN_AREA = 20
"""Least area of a nucleus, px; no nucleus of the Data Science Bowl 2018 is smaller than 21."""

NUM_TRIES = 12
"""Places that are tried for one nucleus before it is left out."""


def simulate_nuclei(num_images: int, *, size: int, seed: int) -> Iterator[Sample]:
    """Draws fluorescence-like images of nuclei, each with its exact label map.

    Radius (about 4 to 25 px), number, brightness, focus, grouping and noise differ from image to image; their ranges
    follow the fluorescence images of the Data Science Bowl 2018. An image depends on `seed`, its index and `size`
    alone, not on how many are drawn.

    Args:
        num_images: How many.
        size: Side of the square images, px, at least 64.
        seed: Seed of all randomness, 0 or more.

    Yields:
        Samples ``simulated_0000``, ``simulated_0001``...: the image ``(size, size)`` uint8, the labels ``(size, size)``
        uint16, numbered 1..n without gap, every label one part of at least 20 px connected along edges.

    Raises:
        DataError: `size` is below 64, or `num_images` or `seed` is negative.
    """
    if size < 64 or num_images < 0 or seed < 0:
        raise DataError(
            f"simulated images need size >= 64, num_images >= 0 and seed >= 0, got size={size}, "
            f"num_images={num_images}, seed={seed}. Change data.simulated or seed"
        )
    return (_simulate(index, size, seed) for index in range(num_images))


def _simulate(index: int, size: int, seed: int) -> Sample:
    rng = np.random.default_rng([seed, index, size])
    scene = draw_scene(size, rng)
    nuclei, labels = _place_nuclei(scene, size, rng)
    layers = np.zeros((3, size, size), np.float32)
    tile = draw_texture(scene, rng)
    for nucleus in nuclei:
        layer = layers[rng.choice(3, p=[0.72, 0.2, 0.08])]
        paint(layer, labels, nucleus=nucleus, scene=scene, tile=tile, rng=rng)
    light = focus(layers, tuple(min(scene.sharpness * worse, 0.7 + 0.25 * scene.radius) for worse in (1.0, 1.8, 3.5)))
    light += draw_haze(scene, nuclei, size, rng)
    add_debris(light, scene, rng)
    image = expose(light * np.float32(scene.contrast), draw_camera(scene.contrast, rng), rng)
    return Sample(f"simulated_{index:04d}", image, labels)


def _place_nuclei(scene: Scene, size: int, rng: np.random.Generator) -> tuple[list[Placed], UInt16Array]:
    """Places the nuclei one by one, never over an earlier one; those that find no room are left out."""
    labels = np.zeros((size, size), np.uint16)
    density = smooth_field(size, max(size / 4.0, 3.0 * scene.radius), rng)
    placed: list[Placed] = []
    for _ in range(scene.num_nuclei):
        shape = draw_shape(scene, rng)
        grouped = bool(placed) and rng.random() < scene.grouping
        for _ in range(NUM_TRIES):
            y, x = _beside(placed, shape, rng) if grouped else (int(at) for at in rng.integers(0, size, 2))
            if not (0 <= y < size and 0 <= x < size):
                continue
            if placed and not grouped and density[y, x] < rng.uniform(-2.0, 0.8):
                continue
            there, here = windows(y, x, shape.reach, size)
            visible = _visible_part(shape.relative[here], labels[there], grouped)
            if visible is not None:
                placed.append(Placed(len(placed) + 1, y, x, shape))
                labels[there][visible] = len(placed)
                break
    return placed, labels


def _beside(placed: list[Placed], shape: Shape, rng: np.random.Generator) -> tuple[int, int]:
    """A place at which the outline touches the outline of a nucleus that is there already."""
    other = placed[int(rng.integers(len(placed)))]
    turn = int(rng.integers(NUM_ANGLES))
    angle = turn * 2.0 * math.pi / NUM_ANGLES
    gap = float(other.shape.radii[turn] + shape.radii[(turn + NUM_ANGLES // 2) % NUM_ANGLES])
    gap *= rng.uniform(0.84, 1.04)
    return round(other.y + gap * math.sin(angle)), round(other.x + gap * math.cos(angle))


def _visible_part(relative: Float32Array, labels: UInt16Array, grouped: bool) -> NDArray[np.bool_] | None:
    """The pixels that a nucleus would get in its window, or None where there is no room for it."""
    body: NDArray[np.bool_] = relative <= 1.0
    if not grouped and labels[relative <= 1.25].any():
        return None
    free: NDArray[np.bool_] = body & (labels == 0)
    if np.count_nonzero(free) < max(MIN_AREA, 0.8 * np.count_nonzero(body)):
        return None
    num_parts, parts, figures, _ = cv2.connectedComponentsWithStats(free.view(np.uint8), connectivity=4)
    if num_parts == 2:
        return free
    largest = 1 + int(np.argmax(figures[1:, cv2.CC_STAT_AREA]))
    part: NDArray[np.bool_] = parts == largest
    return part if np.count_nonzero(part) >= MIN_AREA else None
