"""Changes of an image that other microscopes, samples and file formats bring, and fields that hold no nucleus.

Every change is a pure function of an image, its labels and a random generator. Values are changed relative to the
image's own range, because a dim image of 8 bit may use 40 grey levels only. `robustness.py` scores models on the
results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Float32Array, Image, Labels

Change = Callable[[Image, Labels, np.random.Generator], tuple[Image, Labels]]
"""Image and labels as in a prepared dataset to a new pair of the same types; the arguments stay as they are."""

LARGEST = 1024
"""Largest side of an enlarged image, px. Images are cut to their centre first, so that a run stays affordable."""

DIMMED = 0.3
"""Share of its contrast to the local background that a dimmed nucleus keeps."""
SURROUNDINGS = 12.0
"""Standard deviation of the Gaussian that averages the local background of nuclei, px."""
HALO = 2
"""px around a nucleus that still hold some of its light: no background, and dimmed with it."""

PHOTONS = 30.0
"""Photons of the brightest pixels above the darkest ones under Poisson noise."""
STRAY_PHOTONS = 2.0
"""Photons of the darkest pixels under Poisson noise."""


@dataclass(frozen=True)
class Perturbation:
    """One row of the benchmark.

    Attributes:
        change: Makes the changed image and its labels.
        crop: Side of the centre that images are cut to before, px; 0: the whole image.
    """

    change: Change
    crop: int = 0

    def __call__(self, image: Image, labels: Labels, rng: np.random.Generator) -> tuple[Image, Labels]:
        """Cuts the centre out and changes it."""
        return self.change(*centre(image, labels, self.crop), rng)


def centre(image: Image, labels: Labels, size: int) -> tuple[Image, Labels]:
    """Returns the centre of an image and of its labels, at most `size` px along each side; 0: all of it."""
    if size == 0:
        return image, labels
    tops = [max(0, (side - size) // 2) for side in labels.shape]
    part = tuple(slice(top, top + size) for top in tops)
    return image[part], labels[part]


def unchanged(image: Image, labels: Labels, rng: np.random.Generator) -> tuple[Image, Labels]:
    """Returns image and labels as they are."""
    return image, labels


def zoomed(image: Image, labels: Labels, rng: np.random.Generator, *, factor: float) -> tuple[Image, Labels]:
    """Resizes an image (means over areas when it shrinks, cubic when it grows) and its labels (nearest pixel).

    Nuclei of fewer than about ``1 / factor**2`` px may vanish from the labels; they are not searched for then.
    """
    height, width = (max(1, round(side * factor)) for side in labels.shape)
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=method)
    nearest = cv2.resize(labels.astype(np.int32), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return resized, nearest.astype(labels.dtype)


def with_gamma(image: Image, labels: Labels, rng: np.random.Generator, *, gamma: float) -> tuple[Image, Labels]:
    """Bends grey values between the image's own least and largest one: above 1 what is dim becomes darker."""
    low, high = float(image.min()), float(image.max())
    if low == high:
        return image, labels
    share = (image.astype(np.float32) - low) / (high - low)
    return _like(image, low + (high - low) * share**gamma), labels


def blurred(image: Image, labels: Labels, rng: np.random.Generator, *, sigma: float) -> tuple[Image, Labels]:
    """Blurs an image with a Gaussian of standard deviation `sigma` px."""
    return _like(image, cv2.GaussianBlur(image.astype(np.float32), (0, 0), sigma)), labels


def with_gaussian_noise(
    image: Image, labels: Labels, rng: np.random.Generator, *, share: float
) -> tuple[Image, Labels]:
    """Adds Gaussian noise whose standard deviation is `share` of the image's range."""
    low, high = signal_range(image)
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(share * (high - low))
    return _like(image, image + noise), labels


def with_poisson_noise(image: Image, labels: Labels, rng: np.random.Generator) -> tuple[Image, Labels]:
    """Counts few photons: `PHOTONS` above `STRAY_PHOTONS` where the image is brightest."""
    low, high = signal_range(image)
    if low == high:
        return image, labels
    expected = STRAY_PHOTONS + PHOTONS * (image.astype(np.float32) - low) / (high - low)
    counted = rng.poisson(np.maximum(expected, 0.0))
    return _like(image, low + (counted - STRAY_PHOTONS) * (high - low) / PHOTONS), labels


def with_hot_pixels(image: Image, labels: Labels, rng: np.random.Generator, *, share: float) -> tuple[Image, Labels]:
    """Sets `share` of the pixels to the largest value of the type, in all channels."""
    changed = image.copy()
    changed.reshape(labels.size, -1)[rng.choice(labels.size, round(share * labels.size), replace=False)] = np.iinfo(
        image.dtype
    ).max
    return changed, labels


def half_dimmed(image: Image, labels: Labels, rng: np.random.Generator) -> tuple[Image, Labels]:
    """Moves half of the nuclei (rounded down) towards their local background: `DIMMED` of the contrast is left.

    The local background is the Gaussian mean over pixels that are no nucleus. The dimming reaches `HALO` px beyond a
    nucleus, and fades out there; pixels of the other nuclei keep their values.
    """
    numbers = np.unique(labels[labels > 0])
    chosen = rng.choice(numbers, len(numbers) // 2, replace=False) if len(numbers) else numbers
    dimmed = np.isin(labels, chosen)
    if not dimmed.any():
        return image, labels
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * HALO + 1, 2 * HALO + 1))
    reach = cv2.dilate(dimmed.view(np.uint8), disc).astype(np.float32)
    weight = np.where(dimmed, np.float32(1.0), cv2.GaussianBlur(reach, (0, 0), 1.0))
    weight[(labels > 0) & ~dimmed] = 0.0
    weight = (1.0 - DIMMED) * weight.reshape(labels.shape + (1,) * (image.ndim - 2))
    return _like(image, image + weight * (local_background(image, labels) - image)), labels


def local_background(image: Image, labels: Labels) -> Float32Array:
    """Returns the background that surrounds every pixel, of the image's shape, float32."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * HALO + 1, 2 * HALO + 1))
    free = 1.0 - cv2.dilate((labels > 0).astype(np.uint8), disc).astype(np.float32)
    if not free.any():  # nuclei everywhere
        return np.full(image.shape, np.percentile(image, 1), np.float32)
    grey = image.astype(np.float32).reshape(*labels.shape, -1)
    pixels = grey[free > 0]
    share = cv2.GaussianBlur(free, (0, 0), SURROUNDINGS)
    trust = np.minimum(share / 0.01, 1.0)[..., None]  # far from any background its median over the image counts
    sums = cv2.GaussianBlur(grey * free[..., None], (0, 0), SURROUNDINGS).reshape(grey.shape)
    near = sums / np.maximum(share, 1e-6)[..., None]
    background = trust * near + (1.0 - trust) * np.median(pixels, axis=0)
    return np.asarray(background.reshape(image.shape), np.float32)


def unevenly_lit(image: Image, labels: Labels, rng: np.random.Generator, *, least: float) -> tuple[Image, Labels]:
    """Multiplies an image by light that falls from 1 at a random place to `least` at the farthest corner."""
    height, width = labels.shape
    y0, x0 = rng.uniform(0, height), rng.uniform(0, width)
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - y0, x - x0)
    light = 1.0 - (1.0 - least) * (distance / max(float(distance.max()), 1.0)) ** 2
    return _like(image, image * light.reshape(labels.shape + (1,) * (image.ndim - 2))), labels


def inverted(image: Image, labels: Labels, rng: np.random.Generator) -> tuple[Image, Labels]:
    """Shows the negative: the largest value of the type minus the image."""
    return np.iinfo(image.dtype).max - image, labels


def as_jpeg(image: Image, labels: Labels, rng: np.random.Generator, *, quality: int) -> tuple[Image, Labels]:
    """Stores an image as JPEG and reads it; 16 bit become 8 between the image's own least and largest value."""
    low, high = (0.0, 255.0) if image.dtype == np.uint8 else (float(image.min()), max(float(image.max()), 1.0))
    bytes_ = np.rint((image.astype(np.float64) - low) * (255.0 / (high - low or 1.0))).astype(np.uint8)
    coded = cv2.imencode(".jpg", bytes_, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED)
    return _like(image, low + decoded * ((high - low) / 255.0)), labels


def signal_range(image: Image) -> tuple[float, float]:
    """Returns the grey values of the background and of the brightest objects: percentiles 1 and 99.8."""
    low, high = np.percentile(image, (1.0, 99.8))
    return (float(low), float(high)) if low < high else (float(image.min()), float(image.max()))


PERTURBATIONS: Mapping[str, Perturbation] = {
    "unchanged": Perturbation(unchanged),
    "zoom 0.25": Perturbation(partial(zoomed, factor=0.25)),
    "zoom 0.5": Perturbation(partial(zoomed, factor=0.5)),
    "zoom 2": Perturbation(partial(zoomed, factor=2.0), crop=LARGEST // 2),
    "zoom 4": Perturbation(partial(zoomed, factor=4.0), crop=LARGEST // 4),
    "gamma 0.5": Perturbation(partial(with_gamma, gamma=0.5)),
    "gamma 2": Perturbation(partial(with_gamma, gamma=2.0)),
    "blur 2 px": Perturbation(partial(blurred, sigma=2.0)),
    "Gaussian noise": Perturbation(partial(with_gaussian_noise, share=0.1)),
    "Poisson noise": Perturbation(with_poisson_noise),
    "hot pixels 0.3 %": Perturbation(partial(with_hot_pixels, share=0.003)),
    "half dimmed": Perturbation(half_dimmed),
    "uneven light": Perturbation(partial(unevenly_lit, least=0.3)),
    "inverted": Perturbation(inverted),
    "JPEG 20": Perturbation(partial(as_jpeg, quality=20)),
}
"""Rows of the benchmark, in the order of its table."""


def noise_field(size: int, rng: np.random.Generator) -> Image:
    """Draws camera noise without light: an offset, read noise and a faint pattern of columns."""
    columns = rng.normal(0.0, 1.0, size)
    return _bytes(rng.uniform(8, 60) + columns + rng.normal(0.0, rng.uniform(2, 8), (size, size)))


def glass_field(size: int, rng: np.random.Generator) -> Image:
    """Draws the bare glass of a slide in transmitted light: a bright tint, uneven light, faint streaks and noise."""
    y, x = np.mgrid[:size, :size] / size
    light = 1.0 - rng.uniform(0.05, 0.15) * ((x - rng.uniform(0.2, 0.8)) ** 2 + (y - rng.uniform(0.2, 0.8)) ** 2)
    streaks = _smooth(size, 1.5, rng) * 0.3 + _smooth(size, size / 12, rng)
    tint = np.array([rng.uniform(225, 242), rng.uniform(222, 240), rng.uniform(228, 245)])
    grey = light[..., None] * tint + 1.2 * streaks[..., None]
    return _bytes(grey + rng.normal(0.0, 1.2, (size, size, 3)))


def autofluorescence_field(size: int, rng: np.random.Generator) -> Image:
    """Draws smooth autofluorescence: clouds far larger than nuclei, with photon noise."""
    clouds = _smooth(size, size / 6, rng) + 0.5 * _smooth(size, size / 10, rng)
    light = 40.0 + 18.0 * clouds
    return _bytes(rng.poisson(np.maximum(light, 1.0) * 2.0) / 2.0)


def dust_field(size: int, rng: np.random.Generator) -> Image:
    """Draws a dark field with dust: sharp specks of 1 to 3 px, thin fibres, and rings of dust out of focus."""
    field = np.full((size, size), rng.uniform(15, 40), np.float32)
    for _ in range(size // 12):
        y, x = rng.integers(0, size, 2)
        cv2.circle(field, (int(x), int(y)), int(rng.integers(0, 2)), float(rng.uniform(90, 230)), -1)
    for _ in range(3):
        start, angle = rng.uniform(0, size, 2), rng.uniform(0, 2 * np.pi)
        bends = angle + np.cumsum(rng.normal(0.0, 0.12, 40))
        line = start + np.cumsum(np.stack([np.cos(bends), np.sin(bends)], axis=1) * size / 160, axis=0)
        cv2.polylines(field, [np.rint(line).astype(np.int32)], False, float(rng.uniform(70, 140)), 1, cv2.LINE_AA)
    for _ in range(3):
        y, x = rng.integers(0, size, 2)
        ring = np.zeros_like(field)
        cv2.circle(ring, (int(x), int(y)), int(rng.integers(size // 20, size // 10)), float(rng.uniform(15, 30)), 3)
        field += cv2.GaussianBlur(ring, (0, 0), 2.0)
    return _bytes(cv2.GaussianBlur(field, (0, 0), 0.7) + rng.normal(0.0, 2.0, field.shape))


def constant_field(size: int, rng: np.random.Generator) -> Image:
    """Draws an image of one grey value."""
    return np.full((size, size), rng.integers(0, 256), np.uint8)


EMPTY_FIELDS: Mapping[str, Callable[[int, np.random.Generator], Image]] = {
    "noise": noise_field,
    "glass of a slide": glass_field,
    "autofluorescence": autofluorescence_field,
    "dust": dust_field,
    "constant": constant_field,
}
"""Fields without a nucleus: from a side in px and a generator to a uint8 image, grey or RGB."""


def _smooth(size: int, sigma: float, rng: np.random.Generator) -> Float32Array:
    """Draws a random surface, smooth over `sigma` px, of mean 0 and standard deviation 1."""
    surface = cv2.GaussianBlur(rng.standard_normal((size, size), np.float32), (0, 0), sigma)
    return np.asarray((surface - surface.mean()) / surface.std(), np.float32)


def _bytes(grey: NDArray[np.generic]) -> Image:
    return np.rint(np.clip(grey, 0, 255)).astype(np.uint8)


def _like(image: Image, grey: NDArray[np.generic]) -> Image:
    """Returns grey values as the type of an image, rounded and clipped."""
    if image.dtype not in (np.uint8, np.uint16):
        raise DataError(f"an image must be uint8 or uint16, got {image.dtype}. Run the prepare stage again")
    return np.rint(np.clip(grey, 0, np.iinfo(image.dtype).max)).astype(image.dtype)
