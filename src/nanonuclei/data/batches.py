"""Batches for training and validation as `keras.utils.PyDataset`s; what they hold is made elsewhere, such as `patches`.

Training is one endless stream, in which a batch depends on the seed and its number alone, never on threads or on global
random state. So a run that was cut off goes on with exactly the batches it would have seen.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, Protocol

import cv2
import keras
import numpy as np

from nanonuclei.config.pixels import PixelExperiment
from nanonuclei.data.catalog import SampleRef
from nanonuclei.data.patches import Target, decoder
from nanonuclei.imaging.normalize import normalize
from nanonuclei.imaging.types import Float32Array, UInt8Array
from nanonuclei.imaging.windows import Window, cover, extract

Batch = tuple[Float32Array, UInt8Array]

MOST_THREADS = 2
"""Workers up to this number are threads; more are processes, since Python's lock would let threads wait."""


class Stream(Protocol):
    """An endless numbered stream of batches; it can be sent to other processes."""

    def batch(self, number: int) -> tuple[Any, ...]:
        """Returns batch `number`, images first: uint8, where 255 stands for 1, or float32."""


class TrainBatches(keras.utils.PyDataset):
    """A stream of batches that workers prepare ahead.

    Batch i is what the stream gives, with the images ``(batch_size, height, width, 3)`` float32 in 0..1.

    Args:
        stream: What the batches are.
        workers: Threads, or processes where there are more than `MOST_THREADS`.
    """

    def __init__(self, stream: Stream, *, workers: int) -> None:
        super().__init__()
        self._stream = stream
        self._num_workers = workers
        self._pool = _pool(stream, workers)
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
                self._ahead[later] = self._submitted(later)
        images, *rest = self._ahead.pop(number).result()
        if images.dtype == np.uint8:
            images = np.multiply(images, np.float32(1.0 / 255.0), dtype=np.float32)
        return (images, *rest)

    def close(self) -> None:
        """Ends the workers."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _submitted(self, number: int) -> Future[tuple[Any, ...]]:
        if isinstance(self._pool, ProcessPoolExecutor):
            return self._pool.submit(_batch_of_process, number)
        return self._pool.submit(self._stream.batch, number)


class ValidationBatches(keras.utils.PyDataset):
    """All of a split, cut into windows of the patch size side by side: the same patches in every epoch.

    Batch i is ``(image, target)``: ``(batch_size, patch_size, patch_size, 3)`` float32 in 0..1 and
    ``(batch_size, patch_size, patch_size, channels)`` uint8. Where a batch size between a half and the whole of
    `train.batch_size` divides the number of patches, it is taken: one shape is compiled once. Else the last batch is
    smaller.
    """

    def __init__(self, samples: Sequence[SampleRef], *, config: PixelExperiment, target: Target | None = None) -> None:
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
            assert self._target is not None
            targets.append(self._target(extract(sample.labels, [window])[0, ..., 0].astype(np.int32), None))
        return np.stack(images), np.stack(targets)


_stream_of_process: Stream | None = None


def _pool(stream: Stream, workers: int) -> Executor:
    if workers <= MOST_THREADS:
        return ThreadPoolExecutor(workers, thread_name_prefix="patches")
    context = multiprocessing.get_context("spawn")  # a fork would copy the locks of the network's threads
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_process, initargs=(stream,))


def _begin_process(stream: Stream) -> None:
    global _stream_of_process  # noqa: PLW0603 - a process of the pool serves one stream
    cv2.setNumThreads(1)
    _stream_of_process = stream


def _batch_of_process(number: int) -> tuple[Any, ...]:
    assert _stream_of_process is not None
    return _stream_of_process.batch(number)
