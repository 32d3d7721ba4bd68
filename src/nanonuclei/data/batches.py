"""Batches for training and validation as `keras.utils.PyDataset`s; what they hold is made elsewhere, such as `patches`.

Training is one endless stream, in which a batch depends on the seed and its number alone, never on threads or on global
random state. So a run that was cut off goes on with exactly the batches it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Literal

import keras
import numpy as np

from nanonuclei.config.pixels import AugmentedExperiment
from nanonuclei.data.catalog import SampleRef
from nanonuclei.data.patches import Target, decoder
from nanonuclei.data.workers import Stream, Workers, number_of_workers
from nanonuclei.imaging.normalize import normalize
from nanonuclei.imaging.windows import Window, cover, extract

BYTE = np.float32(1.0 / 255.0)
"""Value of one step of an image that travels as bytes."""

MOST_KEPT = 2**28
"""Bytes that validation keeps from one epoch to the next; the rest is made anew."""


class TrainBatches(keras.utils.PyDataset):
    """A stream of batches that workers prepare ahead.

    Batch i is what the stream gives, with the images ``(batch_size, height, width, 3)`` float32 in 0..1.

    Args:
        stream: What the batches are.
        workers: Number of `data.workers.Workers`: threads, or processes where there are many.
    """

    def __init__(self, stream: Stream, *, workers: int | Literal["auto"]) -> None:
        super().__init__()
        self._stream = stream
        self._asked = workers
        self._gpu = False
        self._pool: Workers | None = None
        self._ahead: dict[int, Future[tuple[Any, ...]]] = {}
        self._first = 0

    def start_at(self, batch: int, *, gpu: bool = False) -> None:
        """Makes the stream begin with that batch, for a training that goes on.

        Args:
            batch: Number of the first batch.
            gpu: Whether the network runs on a GPU, which `auto` workers go by when the first batch is drawn.
        """
        self._first, self._gpu = batch, gpu

    @property
    def num_batches(self) -> None:
        """None: the stream is endless."""
        return None

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Returns batch `index` of the stream, and lets the workers prepare those behind it."""
        images, *rest = self.packed(index)
        if images.dtype == np.uint8:
            images = np.multiply(images, BYTE, dtype=np.float32)
        return (images, *rest)

    def packed(self, index: int) -> tuple[Any, ...]:
        """Returns batch `index` as the stream makes it: bytes times `BYTE` are what the network is shown."""
        if self._pool is None:
            self._pool = Workers(self._stream, number_of_workers(self._asked, gpu=self._gpu))
        number = self._first + index
        for later in range(number, number + self._pool.number + 2):
            if later not in self._ahead:
                self._ahead[later] = self._pool.submit(later)
        return self._ahead.pop(number).result()

    def close(self) -> None:
        """Ends the workers."""
        if self._pool is not None:
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
        self._kept: dict[int, tuple[Any, ...]] = {}

    @property
    def num_batches(self) -> int:
        """Batches in the split."""
        return -(-len(self._patches) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Returns batch `index`, which is the same in every epoch."""
        if (kept := self._kept.get(index)) is not None:
            return kept
        made = self._made(index)
        if (len(self._kept) + 1) * sum(array.nbytes for array in made) <= MOST_KEPT:
            self._kept[index] = made
        return made

    def _made(self, index: int) -> tuple[Any, ...]:
        assert self._target is not None
        images, targets = [], []
        for place, window in self._patches[index * self._batch_size : (index + 1) * self._batch_size]:
            sample = self._decode(place)
            images.append(normalize(extract(sample.image, [window])[0], sample.limits))
            targets.append(self._target(extract(sample.labels, [window])[0, ..., 0].astype(np.int32), None))
        return np.stack(images), np.stack(targets)
