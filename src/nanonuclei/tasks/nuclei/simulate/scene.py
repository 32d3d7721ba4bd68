"""What nuclei look like before they are placed: what those of one image have in common, and the outline of each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nanonuclei.imaging.types import Float32Array

MAX_RADIUS = 32.0
"""Largest mean radius of a nucleus, px."""

NUM_ANGLES = 128
"""Angles of an outline."""


@dataclass(frozen=True)
class Scene:
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
class Shape:
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
class Placed:
    """A nucleus that has found its place: its label and its middle, px."""

    label: int
    y: int
    x: int
    shape: Shape


def draw_scene(size: int, rng: np.random.Generator) -> Scene:
    """Draws what the nuclei of an image of `size` px have in common."""
    large = rng.standard_normal()
    radius = float(np.clip(10.0 * math.exp(0.6 * large), 4.0, min(25.0, size / 7.0)))
    coverage = float(np.clip(0.1 * math.exp(0.45 * large + 0.8 * rng.standard_normal()), 0.012, 0.42))
    aligned = rng.random() < 0.4
    frames = (size / 256.0) ** 2
    fitting = coverage * size**2 / (math.pi * radius**2)
    return Scene(
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


def draw_shape(scene: Scene, rng: np.random.Generator) -> Shape:
    """Draws the outline of one nucleus of an image."""
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
    return Shape(radii, float(radii.mean()), reach, relative, orientation, mitotic)


def windows(y: int, x: int, reach: int, size: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a window of 2 * reach + 1 px about a point meets the image: as part of the image, as part of the window."""
    (top, bottom), (left, right) = ((max(at - reach, 0), min(at + reach + 1, size)) for at in (y, x))
    there = slice(top, bottom), slice(left, right)
    here = slice(top - y + reach, bottom - y + reach), slice(left - x + reach, right - x + reach)
    return there, here
