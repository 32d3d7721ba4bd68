"""How cells shine: membrane and cytoplasm in one channel, nuclei in another."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.microscope import smooth_field
from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.nanotubes.simulate.cells import Cells, depth
from nanonuclei.tasks.nanotubes.simulate.strokes import Ink, join, render, spots


def stain_membranes(cells: Cells, *, radius: float, contrast: float, rng: np.random.Generator) -> Float32Array:
    """Draws bodies of cells: thick about the nucleus, thin towards a bright membrane, with vesicles.

    Args:
        cells: Shapes and places.
        radius: Mean radius of a cell, px.
        contrast: Light of the body of a usual cell.
        rng: Source of all randomness.

    Returns:
        ``(size, size)`` float32, light.
    """
    size = cells.labels.shape[0]
    strength = (
        contrast * np.exp(rng.uniform(0.2, 0.45) * rng.standard_normal(len(cells))) * np.where(cells.rounded, 1.7, 1)
    )
    glow = np.concatenate([[0.0], strength]).astype(np.float32)[cells.labels]
    inside = depth(cells.labels)
    body = cells.labels > 0
    thick = 1.0 - np.exp(-inside / np.float32(rng.uniform(0.15, 0.4) * radius))
    far = cv2.distanceTransform((cells.nuclei == 0).view(np.uint8), cv2.DIST_L2, 5)
    thick *= 0.3 + 0.7 * np.exp(-far / np.float32(rng.uniform(0.3, 0.8) * radius))
    cytoplasm = np.float32(rng.uniform(0.1, 0.25)) + np.float32(rng.uniform(0.8, 1.1)) * thick
    patches = np.float32(0.16) * smooth_field(size, 0.45 * radius, rng) + np.float32(0.12) * _grain(size, 1.8, rng)
    cytoplasm *= np.exp(patches + np.float32(0.07) * _grain(size, 0.9, rng))
    shadow = cv2.GaussianBlur((cells.nuclei > 0).astype(np.float32), (0, 0), 2.0)
    cytoplasm *= 1.0 - np.float32(rng.uniform(-0.1, 0.5)) * shadow
    ruffles = np.clip(0.7 + 0.7 * smooth_field(size, 0.4 * radius, rng), 0.1, None) * np.float32(rng.uniform(0.25, 0.7))
    rim = np.exp(-(((inside - 1.0) / np.float32(rng.uniform(1.0, 1.8))) ** 2)) * ruffles
    light = np.where(body, (cytoplasm + rim) * glow, np.float32(0.0))
    light += render(_vesicles(cells, radius, strength, rng), size) * body
    sharp: Float32Array = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.7, 1.1))
    return sharp + _haze(light, radius, rng)


def stain_nuclei(cells: Cells, *, radius: float, contrast: float, rng: np.random.Generator) -> Float32Array:
    """Draws nuclei with chromatin and nucleoli; those of rounded cells are condensed and bright.

    Args:
        cells: Shapes and places.
        radius: Mean radius of a cell, px.
        contrast: Light of a usual nucleus.
        rng: Source of all randomness.

    Returns:
        ``(size, size)`` float32, light.
    """
    size = cells.labels.shape[0]
    strength = contrast * np.exp(0.22 * rng.standard_normal(len(cells))) * np.where(cells.rounded, 1.6, 1.0)
    glow = np.concatenate([[0.0], strength]).astype(np.float32)[cells.nuclei]
    dome = 0.6 + 0.4 * (1.0 - np.exp(-depth(cells.nuclei) / np.float32(0.12 * radius)))
    chromatin = np.exp(
        np.float32(0.12) * _grain(size, max(0.09 * radius, 1.2), rng) + np.float32(0.08) * _grain(size, 1.0, rng)
    )
    light = glow * dome * chromatin
    places = np.argwhere((cells.nuclei > 0) & (depth(cells.nuclei) > 3.0))
    if len(places):
        chosen = places[rng.integers(0, len(places), 2 * len(cells))]
        dark = render(spots(chosen, rng.uniform(0.2, 0.5, len(chosen)), rng.uniform(0.04, 0.07) * radius), size)
        light *= 1.0 - np.minimum(dark, 0.6)
    sharp: Float32Array = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.9, 1.5))
    return sharp + _haze(light, radius, rng)


def _vesicles(cells: Cells, radius: float, strength: NDArray[np.float64], rng: np.random.Generator) -> Ink:
    """Bright grains: scattered through the body, and crowded on one side of the nucleus."""
    scattered, crowded = rng.uniform(0.0, 25.0), rng.uniform(5.0, 40.0)
    inks = []
    for outline, peak in zip(cells.outlines, strength, strict=True):
        middle = outline.mean(axis=0)
        ring = outline[rng.integers(0, len(outline), rng.poisson(scattered))]
        wide = middle + (ring - middle) * np.sqrt(rng.uniform(0.05, 0.8, (len(ring), 1)))
        angle = rng.uniform(0.0, 2.0 * math.pi)
        side = middle + 0.42 * radius * np.array([math.sin(angle), math.cos(angle)])
        close = side + 0.16 * radius * rng.standard_normal((rng.poisson(crowded), 2))
        points = np.concatenate([wide, close])
        peaks = peak * rng.uniform(0.08, 0.5, len(points))
        inks.append(spots(points, peaks, rng.uniform(0.7, 1.4, len(points))))
    return join(inks)


def _grain(size: int, scale: float, rng: np.random.Generator) -> Float32Array:
    """Rough texture of this grain size, px; mean about 0, standard deviation 1."""
    noise: Float32Array = cv2.GaussianBlur(rng.standard_normal((size, size), dtype=np.float32), (0, 0), scale)
    # Gaussian filtering of white noise leaves a standard deviation of 1 / (2 sqrt(pi) scale).
    noise *= np.float32(2.0 * math.sqrt(math.pi) * scale)
    return noise


def _haze(light: Float32Array, radius: float, rng: np.random.Generator) -> Float32Array:
    """Light from above and below the focus: a wide and faint copy, made at a quarter of the resolution."""
    size = light.shape[0]
    small = cv2.resize(light, (max(size // 4, 1),) * 2, interpolation=cv2.INTER_AREA)
    wide = rng.uniform(0.04, 0.10) * cv2.GaussianBlur(small, (0, 0), max(radius / 16.0, 0.8))
    wide += rng.uniform(0.02, 0.06) * cv2.GaussianBlur(small, (0, 0), max(radius / 4.0, 1.5))
    haze: Float32Array = cv2.resize(wide, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return haze
