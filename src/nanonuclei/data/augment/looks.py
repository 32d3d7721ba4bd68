"""Random changes of how a training patch looks, as other microscopes, stains and cameras would show it.

All functions take and return images ``(height, width)`` or ``(height, width, 3)`` float32; values are near 0..1 and are
clipped by the last one. None changes where the nuclei are.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from skimage.color import hed_from_rgb, rgb_from_hed

from nanonuclei.config.pixels import AugmentConfig
from nanonuclei.imaging.types import Float32Array, Labels

LEAST_LIGHT = 1.0 / 255.0
"""Transmitted light is at least this, so that its absorbance is finite."""


def before_grey_values(
    image: Float32Array, labels: Labels, *, config: AugmentConfig, rng: np.random.Generator
) -> Float32Array:
    """Changes stain, brightness of single nuclei, sharpness and light, each by the chance that the config gives it.

    Args:
        image: ``(height, width, 3)`` for a colour image, ``(height, width)`` for a grey one.
        labels: ``(height, width)`` integers, 0 background.
        config: The chances.
        rng: Source of all randomness.
    """
    if image.ndim == 3 and rng.random() < config.stain:
        image = restained(image, rng)
    if rng.random() < config.dim:
        image = some_dimmed(image, labels, rng)
    if rng.random() < config.blur:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.2))
    if rng.random() < config.shade:
        image = unevenly_lit(image, rng)
    return image


def after_grey_values(image: Float32Array, *, config: AugmentConfig, rng: np.random.Generator) -> Float32Array:
    """Adds what cameras and files do: noise of photons, hot pixels, JPEG; and stretches the contrast anew.

    Args:
        image: As it was changed before, in 0..1.
        config: The chances.
        rng: Source of all randomness.

    Returns:
        An image of the same shape in 0..1.
    """
    if rng.random() < config.camera:
        image = photographed(image, rng)
    if rng.random() < config.hot_pixels:
        image = with_hot_pixels(image, rng)
    if rng.random() < config.compress:
        image = compressed(image, rng)
    if rng.random() < config.stretch:
        image = stretched(image)
    return np.clip(image, 0.0, 1.0)


def restained(image: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Changes the amounts of haematoxylin, eosin and DAB by factors and offsets of their own.

    The image is separated by the absorbances of Ruifrok and Johnston 2001 (Anal. Quant. Cytol. Histol. 23, 291).
    """
    absorbed = -np.log(np.maximum(image, LEAST_LIGHT))
    factors = rng.uniform(0.6, 1.5, 3).astype(np.float32)
    offsets = rng.uniform(-0.04, 0.04, 3).astype(np.float32)
    change = hed_from_rgb @ np.diag(factors) @ rgb_from_hed
    shifted = cv2.transform(absorbed, change.T.astype(np.float32)) + (offsets @ rgb_from_hed).astype(np.float32)
    return np.asarray(np.clip(np.exp(-shifted), 0.0, 1.0), np.float32)


def tinted(image: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Shows a grey image in one colour, as false colours of a fluorescent stain do.

    Args:
        image: ``(height, width)``.
        rng: Source of all randomness.

    Returns:
        ``(height, width, 3)``; the brightest channel keeps the values.
    """
    weights = rng.uniform(0.0, 1.0, 3) ** 2
    weights[int(rng.integers(3))] = 1.0
    return np.asarray(image[..., None] * weights.astype(np.float32), np.float32)


def some_dimmed(image: Float32Array, labels: Labels, rng: np.random.Generator) -> Float32Array:
    """Brings some of the nuclei nearer to the background: dim ones beside bright ones."""
    number = int(labels.max())
    if number == 0:
        return image
    keep = np.ones(number + 1, np.float32)
    chosen = rng.random(number) < rng.uniform(0.2, 0.8)
    keep[1:][chosen] = rng.uniform(0.12, 0.6, int(chosen.sum()))
    share = cv2.GaussianBlur(cv2.erode(keep[labels], np.ones((3, 3), np.uint8)), (0, 0), 1.0)
    outside = image[::4, ::4][labels[::4, ::4] == 0]
    background = np.median(outside, axis=0) if len(outside) else np.float32(0.0)
    if image.ndim == 3:
        share = share[..., None]
    return np.asarray(background + (image - background) * share, np.float32)


def unevenly_lit(image: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Multiplies by a smooth field of light, or adds a smooth glow."""
    field = smooth_field(image.shape[:2], rng)
    if image.ndim == 3:
        field = field[..., None]
    if rng.random() < 0.5:
        return np.asarray(image * (1.0 - rng.uniform(0.2, 0.8) * field), np.float32)
    glow = rng.uniform(0.05, 0.4)
    return np.asarray(image * (1.0 - glow) + glow * field, np.float32)


def smooth_field(shape: tuple[int, int], rng: np.random.Generator) -> Float32Array:
    """Draws a smooth surface ``(height, width)`` that spans 0..1: a few random nodes, interpolated cubically."""
    nodes = rng.random((int(rng.integers(2, 5)), int(rng.integers(2, 5)))).astype(np.float32)
    field = cv2.resize(nodes, shape[::-1], interpolation=cv2.INTER_CUBIC)
    low, high = float(field.min()), float(field.max())
    return np.asarray((field - low) / max(high - low, 1e-6), np.float32)


def photographed(image: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Adds the noise of counted photons and of the read-out; all channels of a grey image get the same."""
    photons = math.exp(rng.uniform(math.log(12.0), math.log(800.0)))
    read = rng.uniform(0.0, 0.06)
    deviation = np.sqrt(np.maximum(image, 0.0) / np.float32(photons) + np.float32(read * read))
    return np.asarray(image + deviation * rng.standard_normal(image.shape, dtype=np.float32), np.float32)


def with_hot_pixels(image: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Sets up to 0.6 % of the pixels to bright values of their own, and sometimes as many to black."""
    out = image.copy()
    num = int(image.shape[0] * image.shape[1] * 10.0 ** rng.uniform(-4.5, -2.2))
    rows, columns = rng.integers(image.shape[0], size=num), rng.integers(image.shape[1], size=num)
    values = rng.uniform(0.5, 1.0, num).astype(np.float32)
    out[rows, columns] = values[:, None] if image.ndim == 3 else values
    if rng.random() < 0.3:
        out[rng.integers(image.shape[0], size=num), rng.integers(image.shape[1], size=num)] = 0.0
    return out


def compressed(image: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Passes through JPEG of a quality of 15 to 80."""
    values = (np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
    _, data = cv2.imencode(".jpg", values, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 81))])
    flag = cv2.IMREAD_COLOR if image.ndim == 3 else cv2.IMREAD_GRAYSCALE
    return np.asarray(cv2.imdecode(data, flag), np.float32) / np.float32(255.0)


def stretched(image: Float32Array) -> Float32Array:
    """Maps the patch's own 1st and 99.8th percentile to 0 and 1, as a small field of view would be."""
    low, high = np.percentile(image[::2, ::2], (1.0, 99.8))
    return image if high - low < 1e-3 else np.asarray((image - np.float32(low)) / np.float32(high - low), np.float32)
