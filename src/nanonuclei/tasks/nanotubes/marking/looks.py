"""Random changes of how a grey patch with nanotubes looks, as microscopes, cameras, files and figures would show it."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.augment.grey_values import jitter
from nanonuclei.data.augment.looks import compressed, photographed, smooth_field, stretched, unevenly_lit
from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.nanotubes.config import MarkingConfig, WindowAugmentConfig

LETTERS = "ABCDEFGHacdeknz*"
"""What is burnt into patches as letters."""


def changed(
    grey: Float32Array, *, config: MarkingConfig, augment: WindowAugmentConfig, rng: np.random.Generator
) -> Float32Array:
    """Changes light, sharpness, contrast and noise, and burns marks in, each by its chance.

    Args:
        grey: ``(height, width)`` float32 in 0..1.
        config: Chances.
        augment: Contrast, brightness, gamma and noise.
        rng: Source of all randomness.

    Returns:
        ``(height, width)`` float32 in 0..1.
    """
    out = grey
    if rng.random() < config.invert:
        out = 1.0 - out
    if rng.random() < config.other_stain:
        out = with_other_stain(out, rng)
    if rng.random() < config.blur:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 2.0))
    if rng.random() < config.shade:
        out = unevenly_lit(out, rng)
    out = jitter(out, config=augment, rng=rng)
    if rng.random() < config.burnt:
        out = with_burnt_marks(out, rng)
    if rng.random() < config.camera:
        out = photographed(out, rng)
    if rng.random() < config.compress:
        out = compressed(out, rng)
    if rng.random() < config.stretch:
        out = stretched(out)
    return np.clip(out, 0.0, 1.0)


def with_other_stain(grey: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Lays soft blobs over a patch, as the nuclei of a figure in several colours are; the brighter value counts."""
    out = grey.copy()
    size = min(grey.shape)
    for _ in range(int(rng.integers(1, 4))):
        blob = np.zeros_like(grey)
        centre = rng.integers(0, size, 2).tolist()
        axes = (rng.uniform(0.05, 0.25, 2) * size).astype(int) + 2
        cv2.ellipse(blob, centre, axes.tolist(), float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
        blob *= np.float32(rng.uniform(0.3, 1.0)) * (0.6 + 0.4 * smooth_field(grey.shape, rng))
        out = np.maximum(out, cv2.GaussianBlur(blob, (0, 0), rng.uniform(1.0, 3.0)))
    return out


def with_burnt_marks(grey: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Draws what figures have burnt in: arrows, bars, frames, dashed frames, letters, borders of panels."""
    out = grey.copy()
    size = min(grey.shape)
    for _ in range(int(rng.integers(1, 4))):
        value = float(rng.choice([1.0, 1.0, 1.0, 0.0]))
        start = rng.integers(0, size, 2)
        reach = rng.uniform(0.08, 0.35) * size
        angle = rng.uniform(0.0, 2.0 * np.pi)
        end = (start + reach * np.array([np.cos(angle), np.sin(angle)])).astype(int)
        width = int(rng.integers(1, 9))
        kind = int(rng.integers(6))
        if kind <= 1:
            cv2.arrowedLine(out, start.tolist(), end.tolist(), value, width, cv2.LINE_AA, 0, rng.uniform(0.15, 0.5))
        elif kind == 2:
            cv2.rectangle(out, start.tolist(), (start + np.array([int(reach), width])).tolist(), value, -1)
        elif kind == 3:
            _frame(out, start, int(reach), value=value, dash=int(rng.choice([0, 0, 4, 8])), width=min(width, 3))
        elif kind == 4:
            letter = LETTERS[int(rng.integers(len(LETTERS)))]
            cv2.putText(
                out, letter, start.tolist(), cv2.FONT_HERSHEY_DUPLEX, rng.uniform(0.5, 2.0), value, width // 3 + 1
            )
        else:
            place = int(rng.integers(0, size))
            if rng.random() < 0.5:
                out[place : place + width] = value
            else:
                out[:, place : place + width] = value
    return out


def _frame(out: Float32Array, start: NDArray[np.int64], side: int, *, value: float, dash: int, width: int) -> None:
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side], [0, 0]]) + start
    for first, last in itertools.pairwise(corners):
        steps = [(0.0, 1.0)] if dash == 0 else [(at, at + 0.5 / dash) for at in np.arange(0.0, 1.0, 1.0 / dash)]
        for low, high in steps:
            ends = [(first + (last - first) * share).astype(int).tolist() for share in (low, high)]
            cv2.line(out, ends[0], ends[1], value, width)
