"""The embedded default data of the nuclei task: fluorescence images with exact labels, drawn from a seed.

Shapes, places and texture of nuclei are here; what the microscope and its camera add is in `microscope.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.catalog import Sample
from nanonuclei.data.microscope import add_spots, draw_camera, expose, focus, smooth_field
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Float32Array, UInt16Array

MIN_AREA = 20
"""Least area of a nucleus, px; no nucleus of the Data Science Bowl 2018 is smaller than 21."""

MAX_RADIUS = 32.0
"""Largest mean radius of a nucleus, px."""

NUM_ANGLES = 128
"""Angles of an outline."""

NUM_TRIES = 12
"""Places that are tried for one nucleus before it is left out."""

TILE = 192
"""Side of the texture that nuclei are cut from, px; above the largest window, 2 * 1.8 * MAX_RADIUS + 5."""


@dataclass(frozen=True)
class _Scene:
    """What the nuclei of one image have in common; lengths in px, spreads as standard deviation of the logarithm."""

    num_nuclei: int
    radius: float
    radius_spread: float
    grouping: float
    elongation: float
    roughness: float
    direction: float
    alignment: float
    contrast: float
    brightness_spread: float
    mitotic: float
    texture: float
    nucleoli: float
    dome: float
    haze: float
    sharpness: float
    debris: int


@dataclass(frozen=True)
class _Shape:
    """A star-convex outline, lengths in px.

    Attributes:
        radii: Distance of the outline from the middle, per angle.
        radius: Its mean.
        reach: Half side of the square window that holds the shape, without the pixel in the middle.
        relative: The window: distance from the middle, the outline being 1.
        orientation: Angle of the long axis, radians.
        mitotic: Whether it is a bright, narrow plate of a dividing cell.
    """

    radii: Float32Array
    radius: float
    reach: int
    relative: Float32Array
    orientation: float
    mitotic: bool


@dataclass(frozen=True)
class _Placed:
    """A nucleus that has found its place: its label and its middle, px."""

    label: int
    y: int
    x: int
    shape: _Shape


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
    scene = _draw_scene(size, rng)
    nuclei, labels = _place_nuclei(scene, size, rng)
    layers = np.zeros((3, size, size), np.float32)
    tile = _draw_texture(scene, rng)
    for nucleus in nuclei:
        layer = layers[rng.choice(3, p=[0.72, 0.2, 0.08])]
        _paint(layer, labels, nucleus=nucleus, scene=scene, tile=tile, rng=rng)
    light = focus(layers, tuple(min(scene.sharpness * worse, 0.7 + 0.25 * scene.radius) for worse in (1.0, 1.8, 3.5)))
    light += _draw_haze(scene, nuclei, size, rng)
    _add_debris(light, scene, rng)
    image = expose(light * np.float32(scene.contrast), draw_camera(scene.contrast, rng), rng)
    return Sample(f"simulated_{index:04d}", image, labels)


def _draw_scene(size: int, rng: np.random.Generator) -> _Scene:
    large = rng.standard_normal()
    radius = float(np.clip(10.0 * math.exp(0.6 * large), 4.0, min(25.0, size / 7.0)))
    coverage = float(np.clip(0.1 * math.exp(0.45 * large + 0.8 * rng.standard_normal()), 0.012, 0.42))
    aligned = rng.random() < 0.4
    frames = (size / 256.0) ** 2
    fitting = coverage * size**2 / (math.pi * radius**2)
    return _Scene(
        num_nuclei=round(float(np.clip(fitting, 4.0 * max(frames, 0.5), 110.0 * frames))),
        radius=radius,
        radius_spread=rng.uniform(0.08, 0.28),
        grouping=rng.beta(0.5, 3.2),
        elongation=rng.uniform(0.25, 0.6) if aligned else rng.uniform(0.1, 0.45),
        roughness=rng.uniform(0.02, 0.08),
        direction=rng.uniform(0.0, math.pi),
        alignment=0.25 if aligned else 3.0,
        contrast=float(np.clip(54.0 * math.exp(0.55 * rng.standard_normal()), 11.0, 180.0)),
        brightness_spread=rng.uniform(0.12, 0.45),
        mitotic=rng.choice([0.0, rng.uniform(0.02, 0.1)]),
        texture=rng.uniform(0.06, 0.28),
        nucleoli=rng.choice([0.3, 2.0]),
        dome=rng.uniform(0.1, 0.65),
        haze=rng.choice([0.0, rng.uniform(0.02, 0.1)]),
        sharpness=rng.choice([rng.uniform(0.6, 1.0), rng.uniform(1.0, 1.8)], p=[0.75, 0.25]),
        debris=int(rng.poisson(rng.choice([0.5, 5.0]) * frames)),
    )


def _draw_shape(scene: _Scene, rng: np.random.Generator) -> _Shape:
    mitotic = bool(rng.random() < scene.mitotic)
    radius = scene.radius * math.exp(scene.radius_spread * rng.standard_normal()) * (0.8 if mitotic else 1.0)
    radius = float(np.clip(radius, 3.2, MAX_RADIUS))
    ratio = rng.uniform(0.35, 0.6) if mitotic else 1.0 - scene.elongation * rng.uniform(0.1, 1.0)
    long, short = radius / math.sqrt(ratio), radius * math.sqrt(ratio)
    orientation = scene.direction + scene.alignment * rng.standard_normal()
    angles = np.arange(NUM_ANGLES) * (2.0 * math.pi / NUM_ANGLES)
    turned = angles - orientation
    radii = long * short / np.hypot(short * np.cos(turned), long * np.sin(turned))
    for order in (2, 3, 4, 5, 7):
        strength = scene.roughness * (2.5 if mitotic else 1.0) * (2.0 / order) ** 1.5
        radii *= 1.0 + strength * rng.standard_normal() * np.cos(order * angles + rng.uniform(0.0, 2.0 * math.pi))
    radii = np.clip(radii, 0.3 * radius, 1.8 * radius).astype(np.float32)
    reach = math.ceil(float(radii.max())) + 1
    axis = np.arange(-reach, reach + 1, dtype=np.float32)
    turn = np.arctan2(axis[:, None], axis[None, :]) * np.float32(NUM_ANGLES / (2.0 * math.pi))
    distance = np.hypot(axis[:, None], axis[None, :])
    relative = distance / radii[np.rint(turn).astype(np.intp) % NUM_ANGLES]
    return _Shape(radii, float(radii.mean()), reach, relative, orientation, mitotic)


def _windows(y: int, x: int, reach: int, size: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a window of 2 * reach + 1 px about a point meets the image: as part of the image, as part of the window."""
    (top, bottom), (left, right) = ((max(at - reach, 0), min(at + reach + 1, size)) for at in (y, x))
    there = slice(top, bottom), slice(left, right)
    here = slice(top - y + reach, bottom - y + reach), slice(left - x + reach, right - x + reach)
    return there, here


def _place_nuclei(scene: _Scene, size: int, rng: np.random.Generator) -> tuple[list[_Placed], UInt16Array]:
    """Places the nuclei one by one, never over an earlier one; those that find no room are left out."""
    labels = np.zeros((size, size), np.uint16)
    density = smooth_field(size, max(size / 4.0, 3.0 * scene.radius), rng)
    placed: list[_Placed] = []
    for _ in range(scene.num_nuclei):
        shape = _draw_shape(scene, rng)
        grouped = bool(placed) and rng.random() < scene.grouping
        for _ in range(NUM_TRIES):
            y, x = _beside(placed, shape, rng) if grouped else (int(at) for at in rng.integers(0, size, 2))
            if not (0 <= y < size and 0 <= x < size):
                continue
            if placed and not grouped and density[y, x] < rng.uniform(-2.0, 0.8):
                continue
            there, here = _windows(y, x, shape.reach, size)
            visible = _visible_part(shape.relative[here], labels[there], grouped)
            if visible is not None:
                placed.append(_Placed(len(placed) + 1, y, x, shape))
                labels[there][visible] = len(placed)
                break
    return placed, labels


def _beside(placed: list[_Placed], shape: _Shape, rng: np.random.Generator) -> tuple[int, int]:
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


def _draw_texture(scene: _Scene, rng: np.random.Generator) -> Float32Array:
    """Chromatin: coarse clumps and fine grain, about 1 on average."""
    coarse, fine = (
        cv2.GaussianBlur(rng.standard_normal((TILE, TILE), dtype=np.float32), (0, 0), sigma)
        for sigma in (max(scene.radius / 5.0, 1.2), max(scene.radius / 14.0, 0.7))
    )
    chromatin: Float32Array = np.exp(scene.texture * (0.75 * coarse / coarse.std() + 0.65 * fine / fine.std()))
    return chromatin


def _paint(
    layer: Float32Array,
    labels: UInt16Array,
    *,
    nucleus: _Placed,
    scene: _Scene,
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
    there, here = _windows(nucleus.y, nucleus.x, shape.reach, labels.shape[0])
    hidden = (labels[there] != nucleus.label) & (labels[there] != 0)
    layer[there] += light[here] * np.where(hidden, np.float32(0.3 * brightness), np.float32(brightness))


def _draw_nucleoli(shape: _Shape, scene: _Scene, rng: np.random.Generator) -> Float32Array:
    """Dark spots in the window of a nucleus, 0 where there are none."""
    dark = np.zeros_like(shape.relative)
    spots = np.empty((rng.poisson(scene.nucleoli), 4), np.float32)
    spots[:, :2] = shape.reach + shape.radius * rng.uniform(-0.5, 0.5, (len(spots), 2))
    spots[:, 2] = shape.radius * rng.uniform(0.1, 0.2, len(spots))
    spots[:, 3] = rng.uniform(0.2, 0.5, len(spots))
    add_spots(dark, spots)
    return dark


def _draw_haze(scene: _Scene, nuclei: list[_Placed], size: int, rng: np.random.Generator) -> Float32Array:
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
            there, here = _windows(nucleus.y // 4, nucleus.x // 4, reach, coarse)
            haze[there] += spindle[here]
        haze = cv2.GaussianBlur(haze, (0, 0), max(scene.radius / 6.0, 1.0))
    full: Float32Array = cv2.resize(haze, (size, size), interpolation=cv2.INTER_CUBIC)
    full *= np.clip(1.0 + 0.5 * smooth_field(size, 2.0 * scene.radius, rng), 0.1, None) * np.float32(scene.haze)
    return full


def _add_debris(light: Float32Array, scene: _Scene, rng: np.random.Generator) -> None:
    """Adds specks: too small to be nuclei, without a label."""
    size = light.shape[0]
    specks = np.empty((scene.debris, 4), np.float32)
    specks[:, :2] = rng.uniform(0, size, (scene.debris, 2))
    specks[:, 2] = rng.uniform(0.8, 1.5, scene.debris)
    specks[:, 3] = rng.uniform(0.1, 0.9, scene.debris)
    add_spots(light, specks)
