"""Training patches of a network that marks centre lines: cut, turned, zoomed, changed in look; targets. No Keras.

Nanotubes are shown at every width: the zoom of a patch is drawn so that they become `narrowest` to `broadest` px wide.
The target follows the centre lines themselves, and is as wide at every zoom.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.augment.empty_fields import empty_field
from nanonuclei.data.catalog import SampleRef
from nanonuclei.imaging.types import Float32Array, UInt8Array
from nanonuclei.tasks.nanotubes.config import MarkingConfig, NanotubeExperiment
from nanonuclei.tasks.nanotubes.marking.looks import changed
from nanonuclei.tasks.nanotubes.marking.shown import KEPT_IMAGES, Shown, of_sample, simulated

REACH = 1.5
"""Distance from a centre line up to which a pixel is to be marked, px."""

RING = 2.0
"""Pixels beyond `REACH` by up to so much, or within the width of the nanotube, count neither way."""

DOUBT = 5.0
"""Distance from a doubtful line up to which pixels count neither way, px."""

MOST_ZOOM = 4.0
"""Largest factor by which an image is enlarged or reduced."""

MarkBatch = tuple[UInt8Array, Float32Array, Float32Array]


class LinePatches:
    """An endless stream of augmented patches with the centre lines to be marked.

    Batch i is ``(image, target, weight)``: ``(batch_size, side, side, 3)`` uint8, 255 for 1, grey;
    ``(batch_size, side, side, 1)`` float32, 1 on centre lines, else 0; and the same shape, the weight of each pixel.
    It depends on the seed and its number alone.

    Args:
        samples: The training images.
        config: The experiment; seed, data, normalize, augment, marking and train are read.
    """

    def __init__(self, samples: Sequence[SampleRef], *, config: NanotubeExperiment) -> None:
        self._samples, self._config = tuple(samples), config
        self._chances = chances(samples, balance=config.train.balance)
        self._sample: Callable[[int], Shown] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leaves the images behind: every process reads its own."""
        return {**self.__dict__, "_sample": None}

    def batch(self, number: int) -> MarkBatch:
        """Returns batch `number`."""
        rng = np.random.default_rng([self._config.seed, number])
        patches = [self._patch(rng) for _ in range(self._config.train.batch_size)]
        images, targets, weights = (np.stack(part) for part in zip(*patches, strict=True))
        colours = np.rint(np.repeat(images[..., None], 3, axis=-1) * np.float32(255.0)).astype(np.uint8)
        return colours, targets[..., None], weights[..., None]

    def _patch(self, rng: np.random.Generator) -> tuple[Float32Array, Float32Array, Float32Array]:
        config, size = self._config.marking, self._config.train.patch_size
        if rng.random() < config.empty:
            return empty_field(size, rng=rng), np.zeros((size, size), np.float32), np.ones((size, size), np.float32)
        image, target, weight = cut_patch(self._shown(rng), size, config=config, rng=rng)
        return changed(image, config=config, augment=self._config.augment, rng=rng), target, weight

    def _shown(self, rng: np.random.Generator) -> Shown:
        config = self._config
        if not self._samples or rng.random() < config.marking.simulated:
            index = int(rng.integers(config.data.simulated.num_images))
            return simulated(index, config.data.simulated, normalize_by=config.normalize, seed=config.data.seed)
        if self._sample is None:
            self._sample = functools.lru_cache(maxsize=KEPT_IMAGES)(
                lambda place: of_sample(self._samples[place], config.normalize)
            )
        place = int(np.searchsorted(self._chances, rng.random(), side="right"))
        return self._sample(min(place, len(self._samples) - 1))


def chances(samples: Sequence[SampleRef], *, balance: float) -> NDArray[np.float64]:
    """Returns the chances of samples, summed up: those with and without nanotubes are balanced, and their fields.

    A kind, with or without nanotubes, that has n of the samples is drawn in proportion to ``n ** (1 - balance)``;
    within it a field of view of m samples in proportion to the root of m. A sample that is there r times is drawn r
    times as often; fields of two datasets are two, whatever their numbers.

    Args:
        samples: The training images.
        balance: 0: as often as they are; 1: equally often.
    """
    kinds = Counter(sample.num_objects > 0 for sample in samples)
    fields = Counter(map(_field, set(samples)))
    parts = np.array([fields[_field(sample)] ** -0.5 for sample in samples], np.float64)
    for kind, number in kinds.items():
        chosen = np.array([(sample.num_objects > 0) == kind for sample in samples])
        parts[chosen] *= number ** (1.0 - balance) / parts[chosen].sum()
    return np.cumsum(parts / parts.sum()) if len(parts) else parts


def _field(sample: SampleRef) -> tuple[bool, Path, int]:
    """Returns what is one field of view, of images with or without nanotubes."""
    return sample.num_objects > 0, sample.image_path.parent, sample.field


def cut_patch(
    shown: Shown, size: int, *, config: MarkingConfig, rng: np.random.Generator
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Cuts a patch at any angle and zoom; most patches hold a nanotube where the image has one.

    Args:
        shown: The image.
        size: Side of the patch, px.
        config: Widths of nanotubes, and the share of patches that hold one.
        rng: Source of all randomness.

    Returns:
        Image, target and weight, ``(size, size)`` float32 each. Beyond its border the image is mirrored, of weight 0.
    """
    wanted = math.exp(rng.uniform(math.log(config.narrowest), math.log(config.broadest)))
    zoom = min(max(wanted / shown.width, 1.0 / MOST_ZOOM), MOST_ZOOM)
    height, width = shown.grey.shape
    # No patch is to be much larger than its image, which would be mirrored over and over.
    zoom = max(zoom, 0.8 * size / max(height, width))
    centre = rng.uniform((0.0, 0.0), (height, width))
    if shown.sure and rng.random() < config.near:
        line = shown.sure[int(rng.integers(len(shown.sure)))].points
        centre = line[int(rng.integers(len(line)))] + rng.uniform(-0.4, 0.4, 2) * size / zoom
        centre = np.clip(centre, 0.0, (height - 1.0, width - 1.0))
    angle = rng.uniform(0.0, 2.0 * math.pi)
    turn = zoom * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    if rng.random() < 0.5:
        turn[:, 0] *= -1.0
    reach = 0.75 * size / zoom + 8.0
    low = np.maximum(np.floor(centre - reach), 0.0).astype(int)
    high = np.minimum(np.ceil(centre + reach), (height, width)).astype(int)
    part = np.ascontiguousarray(shown.grey[low[0] : high[0], low[1] : high[1]])
    if zoom < 0.8:  # what is reduced is blurred first, so that thin lines fade and do not flicker
        part = cv2.GaussianBlur(part, (0, 0), 0.4 / zoom)
    # Points are y, x; OpenCV's matrices take x, y.
    matrix = np.zeros((2, 3))
    matrix[:, :2] = turn[::-1, ::-1]
    shift = (size - 1) / 2.0 - turn @ (centre - low)
    matrix[:, 2] = shift[::-1]
    image = cv2.warpAffine(part, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    inside = cv2.warpAffine(np.ones_like(part), matrix, (size, size), flags=cv2.INTER_NEAREST)
    sure, doubtful = (
        [(line.points - low) @ turn.T + shift for line in lines] for lines in (shown.sure, shown.doubtful)
    )
    target, weight = marks((size, size), sure, doubtful, width=shown.width * zoom, weight=config.line_weight)
    return np.asarray(image, np.float32), target, weight * inside


def marks(
    shape: tuple[int, int],
    sure: Sequence[NDArray[np.floating]],
    doubtful: Sequence[NDArray[np.floating]],
    *,
    width: float,
    weight: float,
) -> tuple[Float32Array, Float32Array]:
    """Draws the target of a patch.

    Args:
        shape: Height and width, px.
        sure: Centre lines to be marked, ``(n, 2)`` y and x, px; they may leave the patch.
        doubtful: Lines that count neither way.
        width: Of the nanotubes, px.
        weight: Of a pixel on a centre line; the ground has 1.

    Returns:
        ``(height, width)`` float32 each: 1 within `REACH` of a sure line, else 0; and the weights.
    """
    away, unsure = (distances(shape, lines) for lines in (sure, doubtful))
    target = away <= REACH
    left_out = (away <= max(REACH + RING, 0.5 * width + 1.0)) | (unsure <= DOUBT)
    weights = np.where(target, np.float32(weight), np.where(left_out, np.float32(0.0), np.float32(1.0)))
    return target.astype(np.float32), weights.astype(np.float32)


def distances(shape: tuple[int, int], lines: Sequence[NDArray[np.floating]]) -> Float32Array:
    """Returns the distance of each pixel from the nearest line, px; infinity where there is none."""
    canvas = np.full(shape, 255, np.uint8)
    drawn = [np.rint(line[:, ::-1] * 8.0).astype(np.int32).reshape(-1, 1, 2) for line in lines]
    cv2.polylines(canvas, drawn, isClosed=False, color=0, thickness=1, shift=3)
    if canvas.all():
        return np.full(shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform(canvas, cv2.DIST_L2, 5), np.float32)
