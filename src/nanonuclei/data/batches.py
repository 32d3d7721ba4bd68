"""Batches for training and validation as `keras.utils.PyDataset`s; what they hold is made elsewhere, such as `patches`.

Training is one endless stream, in which a batch depends on the seed and its number alone, never on threads or on global
random state. So a run that was cut off goes on with exactly the batches it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import keras
import numpy as np

from nanonuclei.config.pixels import AugmentedExperiment
from nanonuclei.data.catalog import SampleRef
from nanonuclei.data.patches import Target, decoder
from nanonuclei.data.workers import Stream, Workers
from nanonuclei.imaging.normalize import normalize
from nanonuclei.imaging.types import Float32Array, UInt8Array
from nanonuclei.imaging.windows import Window, cover, extract

Batch = tuple[Float32Array, UInt8Array]

MOST_KEPT = 2**28
"""Bytes of targets that validation keeps from one epoch to the next; the rest is made anew."""


class TrainBatches(keras.utils.PyDataset):
    """A stream of batches that workers prepare ahead.

    Batch i is what the stream gives, with the images ``(batch_size, height, width, 3)`` float32 in 0..1.

    Args:
        stream: What the batches are.
        workers: Number of `data.workers.Workers`: threads, or processes where there are many.
    """

    def __init__(self, stream: Stream, *, workers: int) -> None:
        super().__init__()
        self._num_workers = workers
        self._pool = Workers(stream, workers)
        self._ahead: dict[int, Future[tuple[Any, ...]]] = {}
        self._first = 0

    def start_at(self, batch: int) -> None:
        """Makes the stream begin with that batch, for a training that goes on."""
        self._first = batch

    @property
    def num_batches(self) -> None:
        """None: the stream is endless."""
        return None

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Returns batch `index` of the stream, and lets the workers prepare those behind it."""
        number = self._first + index
        for later in range(number, number + self._num_workers + 2):
            if later not in self._ahead:
                self._ahead[later] = self._pool.submit(later)
        images, *rest = self._ahead.pop(number).result()
        if images.dtype == np.uint8:
            images = np.multiply(images, np.float32(1.0 / 255.0), dtype=np.float32)
        return (images, *rest)

    def close(self) -> None:
        """Ends the workers."""
        self._pool.close()


class ValidationBatches(keras.utils.PyDataset):
    """All of a split, cut into windows of the patch size side by side: the same patches in every epoch.

    Batch i is ``(image, target)``: ``(batch_size, patch_size, patch_size, 3)`` float32 in 0..1 and
    ``(batch_size, patch_size, patch_size, channels)`` uint8. Where a batch size between a half and the whole of
    `train.batch_size` divides the number of patches, it is taken: one shape is compiled once. Else the last batch is
    smaller.

    Args:
        samples: The images of the split.
        config: The experiment; normalize and train are read.
        target: As of `data.patches.Patches`; None where a subclass makes its batches itself.
    """

    def __init__(
        self, samples: Sequence[SampleRef], *, config: AugmentedExperiment, target: Target | None = None
    ) -> None:
        super().__init__()
        size = config.train.patch_size
        self._target = target
        self._patches: list[tuple[int, Window]] = [
            (place, window)
            for place, sample in enumerate(samples)
            for window in cover((sample.height, sample.width), size, size)
        ]
        most = config.train.batch_size
        sizes = range(most, most // 2, -1)
        self._batch_size = next((size for size in sizes if len(self._patches) % size == 0), most)
        self._decode = decoder(tuple(samples), config)
        self._kept: dict[int, UInt8Array] = {}

    @property
    def num_batches(self) -> int:
        """Batches in the split."""
        return -(-len(self._patches) // self._batch_size)

    def __getitem__(self, index: int) -> Batch:
        """Returns batch `index`."""
        patches = self._patches[index * self._batch_size : (index + 1) * self._batch_size]
        images = []
        for place, window in patches:
            sample = self._decode(place)
            images.append(normalize(extract(sample.image, [window])[0], sample.limits))
        return np.stack(images), self._targets(index, patches)

    def _targets(self, index: int, patches: Sequence[tuple[int, Window]]) -> UInt8Array:
        """Returns the targets of a batch, which are the same in every epoch and take as long as the images."""
        if (kept := self._kept.get(index)) is not None:
            return kept
        assert self._target is not None
        labels = (
            extract(self._decode(place).labels, [window])[0, ..., 0].astype(np.int32) for place, window in patches
        )
        made: UInt8Array = np.stack([self._target(part, None) for part in labels])
        if (len(self._kept) + 1) * made.nbytes <= MOST_KEPT:
            self._kept[index] = made
        return made
