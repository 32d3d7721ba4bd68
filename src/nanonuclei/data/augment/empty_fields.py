"""Images without any nucleus: noise, smooth autofluorescence, the glass of a slide, dust and fibres.

Contrast is always stretched to the full range, as the normalisation of a whole image without nuclei does.
"""

from __future__ import annotations

import cv2
import numpy as np

from nanonuclei.data.augment.looks import smooth_field, stretched
from nanonuclei.imaging.types import Float32Array


def empty_field(size: int, *, rng: np.random.Generator) -> Float32Array:
    """Draws a field that shows no nucleus.

    Args:
        size: Side, px.
        rng: Source of all randomness.

    Returns:
        ``(size, size)`` float32 in 0..1.
    """
    shape = (size, size)
    field = np.full(shape, rng.uniform(0.2, 0.8), np.float32)
    if rng.random() < 0.6:
        field += np.float32(rng.uniform(0.1, 1.0)) * smooth_field(shape, rng)
    if rng.random() < 0.6:
        field += np.float32(rng.uniform(0.02, 0.4)) * textured(shape, rng)
    for _ in range(int(rng.integers(0, 9)) if rng.random() < 0.5 else 0):
        draw_dust(field, rng)
    noise = rng.standard_normal(shape, dtype=np.float32)
    if rng.random() < 0.4:
        noise = cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.4, 1.0))
    field += np.float32(10.0 ** rng.uniform(-3.0, -0.5)) * noise
    field = np.clip(stretched(field), 0.0, 1.0)
    return 1.0 - field if rng.random() < 0.3 else field


def textured(shape: tuple[int, int], rng: np.random.Generator) -> Float32Array:
    """Draws the weak grain of glass or of a gel: noise of one scale, 1 to 4 px, within about -1..1."""
    grain = cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (0, 0), rng.uniform(1.0, 4.0))
    return np.asarray(grain / max(float(np.abs(grain).max()), 1e-6), np.float32)


def draw_dust(field: Float32Array, rng: np.random.Generator) -> None:
    """Draws, in place, a speck smaller than any nucleus, a fibre or a scratch, or a ring of dust out of focus."""
    size = field.shape[0]
    x, y = (int(value) for value in rng.integers(0, size, 2))
    value = float(rng.uniform(-0.6, 1.0))
    kind = rng.random()
    layer = np.zeros_like(field)
    if kind < 0.5:
        cv2.circle(layer, (x, y), int(rng.integers(0, 2)), 1.0, -1)
    elif kind < 0.8:
        points = np.cumsum(rng.normal(0.0, size / 10.0, (6, 2)), axis=0) + np.array([x, y])
        cv2.polylines(layer, [points.astype(np.int32)], isClosed=False, color=1.0, thickness=int(rng.integers(1, 3)))
    else:
        radius = int(rng.integers(size // 4, size))
        cv2.circle(layer, (x, y), radius, 1.0, int(rng.integers(2, 8)))
        layer = cv2.GaussianBlur(layer, (0, 0), rng.uniform(2.0, 8.0))
        value *= 0.5
    field += np.float32(value) * layer
