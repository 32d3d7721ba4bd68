"""Batches for training and validation as `keras.utils.PyDataset`s: read, cut, augment, normalise, build the target.

Which patches a batch holds depends on the seed and the batch's number alone, never on threads or on global random
state. Training is one endless stream, so a run that was cut off goes on with exactly the batches it would have seen.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import keras
import numpy as np

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.data.augment import jitter, random_patch
from nanonuclei.data.catalog import SampleRef
from nanonuclei.imaging.normalize import grey_limits, normalize
from nanonuclei.imaging.types import Float32Array, Image, Labels, UInt8Array
from nanonuclei.imaging.windows import Window, cover, extract

Target = Callable[[Labels], UInt8Array]
Batch = tuple[Float32Array, UInt8Array]
CACHE_BYTES = 4 * 2**30
"""Decoded samples are kept in memory up to this size."""


class _Decoded(NamedTuple):
    image: Image
    labels: Labels
    limits: tuple[float, float]


class TrainBatches(keras.utils.PyDataset):
    """An endless stream of augmented random patches.

    Batch i is ``(image, target)``: ``(batch_size, patch_size, patch_size, 3)`` float32 in 0..1 and
    ``(batch_size, patch_size, patch_size, 1)`` uint8.

    Args:
        samples: The training images.
        config: The experiment; seed, normalize, augment and train are read.
        target: From a patch's labels ``(height, width)`` to its target ``(height, width, 1)``; None where a subclass
            makes its own batches.
    """

    def __init__(self, samples: Sequence[SampleRef], *, config: ExperimentConfig, target: Target | None = None) -> None:
        super().__init__()
        self._samples = tuple(samples)
        self._config = config
        self._target = target
        self._cumulative = np.cumsum(sampling_weights([s.modality for s in samples], balance=config.train.balance))
        self._decode = _decoder(self._samples, config)
        self._threads = ThreadPoolExecutor(config.train.workers, thread_name_prefix="patches")
        self._ahead: dict[int, Future[Batch]] = {}
        self._first = 0

    def start_at(self, batch: int) -> None:
        """Makes the stream begin with that batch, for a training that goes on."""
        self._first = batch

    @property
    def num_batches(self) -> None:
        """None: the stream is endless."""
        return None

    def __getitem__(self, index: int) -> Batch:
        """Returns batch `index` of the stream, and lets threads prepare those behind it."""
        number = self._first + index
        for later in range(number, number + self._config.train.workers + 2):
            if later not in self._ahead:
                self._ahead[later] = self._threads.submit(self._batch, later)
        return self._ahead.pop(number).result()

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _batch(self, number: int) -> Batch:
        rng = np.random.default_rng([self._config.seed, number])
        patches = [self._patch(rng) for _ in range(self._config.train.batch_size)]
        return np.stack([image for image, _ in patches]), np.stack([target for _, target in patches])

    def _patch(self, rng: np.random.Generator) -> tuple[Float32Array, UInt8Array]:
        place = int(np.searchsorted(self._cumulative, rng.random(), side="right"))
        sample = self._decode(min(place, len(self._samples) - 1))
        size, augment = self._config.train.patch_size, self._config.augment
        image, labels = random_patch(sample.image, sample.labels, size=size, config=augment, rng=rng)
        return jitter(normalize(image, sample.limits), config=augment, rng=rng), self._target(labels)


class ValidationBatches(keras.utils.PyDataset):
    """All of a split, cut into windows of the patch size side by side: the same patches in every epoch.

    Batches are as in `TrainBatches`, the last one smaller.
    """

    def __init__(self, samples: Sequence[SampleRef], *, config: ExperimentConfig, target: Target | None = None) -> None:
        super().__init__()
        size = config.train.patch_size
        self._batch_size = config.train.batch_size
        self._target = target
        self._patches: list[tuple[int, Window]] = [
            (place, window)
            for place, sample in enumerate(samples)
            for window in cover((sample.height, sample.width), size, size)
        ]
        self._decode = _decoder(tuple(samples), config)

    @property
    def num_batches(self) -> int:
        """Batches in the split."""
        return -(-len(self._patches) // self._batch_size)

    def __getitem__(self, index: int) -> Batch:
        """Returns batch `index`."""
        images, targets = [], []
        for place, window in self._patches[index * self._batch_size : (index + 1) * self._batch_size]:
            sample = self._decode(place)
            images.append(normalize(extract(sample.image, [window])[0], sample.limits))
            targets.append(self._target(extract(sample.labels, [window])[0, ..., 0].astype(np.int32)))
        return np.stack(images), np.stack(targets)


def sampling_weights(modalities: Sequence[str], *, balance: float) -> Float32Array:
    """Returns the chance of each sample, summing to 1.

    A modality with n of the samples is drawn in proportion to ``n ** (1 - balance)``, its samples alike.
    """
    counts = Counter(modalities)
    weights = np.array([counts[modality] ** -balance for modality in modalities], np.float64)
    return (weights / weights.sum()).astype(np.float32)


def _decoder(samples: Sequence[SampleRef], config: ExperimentConfig) -> Callable[[int], _Decoded]:
    """Returns a function that reads sample i, keeping as many samples in memory as `CACHE_BYTES` holds."""
    mean_bytes = max(1.0, float(np.mean([s.height * s.width * 4 for s in samples])))

    @functools.lru_cache(maxsize=max(1, int(CACHE_BYTES / mean_bytes)))
    def decode(place: int) -> _Decoded:
        image = samples[place].image()
        return _Decoded(image, samples[place].labels(), grey_limits(image, config.normalize))

    return decode
