"""Draws stains that no image of the Data Science Bowl 2018 shows, over the nuclei of its label maps.

Each is a pure function of an image, its labels and a random generator, as in `perturbations.py`; of the image only the
size counts. So labels are exact, and a model that was trained on the Data Science Bowl has not seen the look.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from perturbations import Perturbation

from nanonuclei.imaging.types import Float32Array, Image, Labels


def envelope(image: Image, labels: Labels, rng: np.random.Generator) -> tuple[Image, Labels]:
    """Draws a stain of the nuclear envelope: uneven rings of about 2 px, over a cloudy background with noise."""
    least = cv2.erode(labels.astype(np.float32), np.ones((3, 3), np.uint8))
    edge = ((labels > 0) & (least != labels)).astype(np.float32)
    strength = 0.5 + cv2.GaussianBlur(rng.random(labels.shape, np.float32), (0, 0), 4.0)
    rings = cv2.GaussianBlur(edge, (0, 0), 0.9) * strength
    inside = cv2.GaussianBlur((labels > 0).astype(np.float32), (0, 0), 1.0)
    grey = 0.12 + 0.15 * _spanning(_grain(labels.shape, 8.0, rng)) + 0.65 * rings - 0.08 * inside
    return _bytes(200.0 * (grey + 0.04 * rng.standard_normal(labels.shape, np.float32))), labels


def cytoplasm(image: Image, labels: Labels, rng: np.random.Generator) -> tuple[Image, Labels]:
    """Draws a stain of the cytoplasm: dark nuclei in grainy bright bodies, the ground between them black."""
    areas = np.bincount(labels.ravel())[1:]
    reach = 0.8 * float(np.sqrt(np.median(areas[areas > 0]))) if areas.any() else 1.0
    distance = cv2.distanceTransform((labels == 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    inside = cv2.GaussianBlur((labels > 0).astype(np.float32), (0, 0), 1.2)
    body = np.exp(-((distance / reach) ** 2)) * (1.0 - 0.75 * inside)
    grain = _grain(labels.shape, 1.5, rng)
    grey = 0.05 + body * (0.7 + 0.12 * (grain - grain.mean()) / grain.std())
    return _bytes(220.0 * (grey + 0.03 * rng.standard_normal(labels.shape, np.float32))), labels


OTHER_STAINS: Mapping[str, Perturbation] = {"envelope": Perturbation(envelope), "cytoplasm": Perturbation(cytoplasm)}
"""The stains by name."""


def _grain(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> Float32Array:
    return np.asarray(cv2.GaussianBlur(rng.random(shape, np.float32), (0, 0), sigma), np.float32)


def _spanning(field: Float32Array) -> Float32Array:
    return np.asarray((field - field.min()) / max(float(np.ptp(field)), 1e-6), np.float32)


def _bytes(grey: Float32Array) -> Image:
    return np.clip(grey, 0, 255).astype(np.uint8)
