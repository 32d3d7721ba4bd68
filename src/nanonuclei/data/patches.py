"""Training patches: read, cut, augment, normalise, build the target. Knows no Keras: it runs in processes.

Which patches a batch holds depends on the seed and the batch's number alone.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.config.pixels import AugmentedExperiment
from nanonuclei.data.augment.empty_fields import empty_field
from nanonuclei.data.augment.geometry import random_patch
from nanonuclei.data.augment.grey_values import jitter
from nanonuclei.data.augment.looks import after_grey_values, before_grey_values, tinted
from nanonuclei.data.augment.sizes import ObjectSizes, object_sizes
from nanonuclei.data.catalog import SampleRef
from nanonuclei.data.workers import share_of_memory
from nanonuclei.imaging.normalize import grey_limits, normalize
from nanonuclei.imaging.types import Float32Array, Image, Int32Array, Labels, UInt8Array

Target = Callable[[Labels, NDArray[np.float32] | None], UInt8Array]
CACHE_BYTES = 4 * 2**30
"""Decoded samples are kept in memory up to this size, by all workers together."""


class Decoded(NamedTuple):
    """A sample in memory."""

    image: Image
    labels: Labels
    limits: tuple[float, float]
    areas: NDArray[np.float32]
    objects: ObjectSizes


class Patches:
    """An endless stream of batches of augmented random patches.

    Args:
        samples: The training images.
        config: The experiment; seed, normalize, augment and train are read.
        target: From a patch's labels ``(height, width)`` and the area of each label to its target ``(height, width,
            channels)``.
    """

    def __init__(self, samples: Sequence[SampleRef], *, config: AugmentedExperiment, target: Target) -> None:
        self._samples = tuple(samples)
        self._config = config
        self._target = target
        self._cumulative = np.cumsum(sampling_weights([s.modality for s in samples], balance=config.train.balance))
        self._decode: Callable[[int], Decoded] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leaves the decoded images behind: every process reads its own."""
        return {**self.__dict__, "_decode": None}

    def batch(self, number: int) -> tuple[UInt8Array, UInt8Array]:
        """Returns batch `number`: images ``(batch_size, patch_size, patch_size, 3)`` uint8, 255 for 1; targets."""
        if self._decode is None:
            self._decode = decoder(self._samples, self._config)
        rng = np.random.default_rng([self._config.seed, number])
        patches = [self._patch(rng) for _ in range(self._config.train.batch_size)]
        return np.stack([image for image, _ in patches]), np.stack([target for _, target in patches])

    def _patch(self, rng: np.random.Generator) -> tuple[UInt8Array, UInt8Array]:
        assert self._decode is not None
        place = int(np.searchsorted(self._cumulative, rng.random(), side="right"))
        size, augment = self._config.train.patch_size, self._config.augment
        if rng.random() < augment.empty:
            return self._empty(size, rng)
        sample = self._decode(min(place, len(self._samples) - 1))
        image, labels, zoom = random_patch(
            sample.image, sample.labels, size=size, config=augment, rng=rng, objects=sample.objects
        )
        looks = self._looks(normalize(image, sample.limits), labels, rng)
        return looks, self._target(labels, sample.areas * np.float32(zoom * zoom))

    def _empty(self, size: int, rng: np.random.Generator) -> tuple[UInt8Array, UInt8Array]:
        labels = np.zeros((size, size), np.int32)
        field = empty_field(size, rng=rng)
        image = tinted(field, rng) if rng.random() < self._config.augment.tint else cv2.merge([field] * 3)
        return _bytes(image), self._target(labels, np.zeros(1, np.float32))

    def _looks(self, image: Float32Array, labels: Int32Array, rng: np.random.Generator) -> UInt8Array:
        augment = self._config.augment
        grey = bool((image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all())
        out = np.ascontiguousarray(image[..., 0]) if grey else image
        out = before_grey_values(out, labels, config=augment, rng=rng)
        out = jitter(out, config=augment, rng=rng)
        out = after_grey_values(out, config=augment, rng=rng)
        if grey:
            out = tinted(out, rng) if rng.random() < augment.tint else cv2.merge([out] * 3)
        return _bytes(out)


def sampling_weights(modalities: Sequence[str], *, balance: float) -> Float32Array:
    """Returns the chance of each sample, summing to 1.

    A modality with n of the samples is drawn in proportion to ``n ** (1 - balance)``, its samples alike.
    """
    counts = Counter(modalities)
    weights = np.array([counts[modality] ** -balance for modality in modalities], np.float64)
    return np.asarray(weights / weights.sum(), np.float32)


def decoder(samples: Sequence[SampleRef], config: AugmentedExperiment) -> Callable[[int], Decoded]:
    """Returns a function that reads sample i, keeping as many samples in memory as `CACHE_BYTES` holds."""
    mean_bytes = max(1.0, float(np.mean([s.height * s.width * 4 for s in samples])))

    @functools.lru_cache(maxsize=max(1, int(CACHE_BYTES * share_of_memory() / mean_bytes)))
    def decode(place: int) -> Decoded:
        image, labels = samples[place].image(), samples[place].labels()
        areas = np.bincount(labels.ravel()).astype(np.float32)
        return Decoded(image, labels, grey_limits(image, config.normalize), areas, object_sizes(labels))

    return decode


def _bytes(image: Float32Array) -> UInt8Array:
    return np.asarray(np.rint(image * np.float32(255.0)), np.uint8)
