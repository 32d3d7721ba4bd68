"""Workers that prepare batches ahead: threads, or processes. Knows no Keras, so that a process starts in a second."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, Literal, Protocol

import cv2

SPARE_CORES, MOST_PROCESSES = 2, 64
"""Cores beside a GPU that are left to the process that drives it; workers that are started at most."""

MOST_THREADS = 2
"""Workers up to this number are threads; more are processes, since Python's lock would let threads wait."""


class Stream(Protocol):
    """An endless numbered stream of batches; it can be sent to other processes."""

    def batch(self, number: int) -> tuple[Any, ...]:
        """Returns batch `number`, images first: uint8, where 255 stands for 1, or float32."""


def number_of_workers(asked: int | Literal["auto"], *, gpu: bool) -> int:
    """Returns how many workers prepare patches.

    Args:
        asked: The setting; auto: two where the network itself works on the processor, and as many as keep all cores
            but `SPARE_CORES` busy beside a GPU.
        gpu: Whether the network runs on one.
    """
    if asked != "auto":
        return asked
    return max(MOST_THREADS, min(MOST_PROCESSES, (os.cpu_count() or 1) - SPARE_CORES)) if gpu else MOST_THREADS


class Workers:
    """Threads or processes that compute batches of one stream.

    Args:
        stream: What the batches are; pickled once per process.
        number: Workers, at least 1; processes where there are more than `MOST_THREADS`.
    """

    def __init__(self, stream: Stream, number: int) -> None:
        self._stream = stream
        self.number = number
        self._processes = number > MOST_THREADS
        self._pool: Executor
        if self._processes:
            context = multiprocessing.get_context("spawn")  # a fork would copy the locks of the network's threads
            self._pool = ProcessPoolExecutor(
                number, mp_context=context, initializer=_begin_process, initargs=(stream, number)
            )
        else:
            self._pool = ThreadPoolExecutor(number, thread_name_prefix="patches")

    def submit(self, number: int) -> Future[tuple[Any, ...]]:
        """Lets a worker compute batch `number`."""
        return self._pool.submit(_batch_of_process if self._processes else self._stream.batch, number)

    def close(self) -> None:
        """Waits for the batches in work, drops the waiting ones and ends the workers."""
        self._pool.shutdown(wait=True, cancel_futures=True)


_stream_of_process: Stream | None = None
_share_of_process = 1.0


def share_of_memory() -> float:
    """Returns which share of what a training may keep in memory is this process's."""
    return _share_of_process


def _begin_process(stream: Stream, number: int) -> None:
    global _stream_of_process, _share_of_process  # a process of the pool serves one stream
    cv2.setNumThreads(1)
    _stream_of_process, _share_of_process = stream, 1.0 / number


def _batch_of_process(number: int) -> tuple[Any, ...]:
    assert _stream_of_process is not None
    return _stream_of_process.batch(number)
