"""A thread reads images ahead, others run the network, measure and write, each an image at a time.

At any time a few images are in memory, however many there are. Answers come in the order of the images.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

AHEAD = 4
"""Images that are read before the network asks for them."""

_WAIT = 0.1
"""Seconds after which a waiting thread looks whether it should stop."""

Read = TypeVar("Read")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _Broken:
    error: BaseException


class ReadAhead(Generic[Read]):
    """Runs an iterator in a thread of its own, a few items ahead of who takes them; a context manager."""

    def __init__(self, items: Iterable[Read]) -> None:
        self._items = items
        self._ready: queue.Queue[Read | _Broken | None] = queue.Queue(AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reading", daemon=True)

    def __enter__(self) -> Iterator[Read]:
        """Starts reading."""
        self._thread.start()
        return self._take()

    def __exit__(self, *_: object) -> None:
        """Stops reading; the item that is being read is finished first."""
        self._stop.set()
        self._thread.join()

    def _take(self) -> Iterator[Read]:
        while True:
            item = self._ready.get()
            if item is None:
                return
            if isinstance(item, _Broken):
                raise item.error
            yield item

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
            self._put(None)
        except BaseException as error:  # raised again where the items are taken
            self._put(_Broken(error))

    def _put(self, item: Read | _Broken | None) -> bool:
        while not self._stop.is_set():
            try:
                self._ready.put(item, timeout=_WAIT)
            except queue.Full:
                continue
            return True
        return False


def in_order(
    items: Iterator[Read],
    work: Callable[[Read], Answer],
    *,
    workers: int,
    share: Callable[[Read], float],
    done: Callable[[Answer], None],
) -> None:
    """Works on items, several at a time.

    Args:
        items: Of `ReadAhead`.
        work: Called in another thread.
        workers: Items that are worked on at a time.
        share: Of the memory that an item needs; one of 1 or more is worked on alone.
        done: Called here with the answers, in order. If anything is raised, it still gets the answers that are there.
    """
    waiting: deque[tuple[float, Future[Answer]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="working") as pool:
        try:
            for item in items:
                own = share(item)
                while waiting and (waiting[0][1].done() or own + sum(shares for shares, _ in waiting) > 1.0):
                    done(waiting.popleft()[1].result())
                waiting.append((own, pool.submit(work, item)))
            while waiting:
                done(waiting.popleft()[1].result())
        except BaseException:
            futures = [future for _, future in waiting]
            for future in futures:
                future.cancel()
            for future in futures:
                if future.cancelled() or future.exception() is not None:
                    break
                done(future.result())
            raise
