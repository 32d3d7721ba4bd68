"""Images pass three stations at once: a thread reads ahead, the caller runs the network, threads measure and write.

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

AHEAD = 2
"""Images that are read before the network asks for them."""

WRITERS = 2
"""Threads that measure and write."""

BEHIND = 4
"""Images that the network has seen and that are not written yet, at most."""

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
    items: Iterator[Read], seen: Callable[[Read], Callable[[], Answer]], *, done: Callable[[Answer], None]
) -> None:
    """Takes items through the last two stations.

    Args:
        items: Of `ReadAhead`.
        seen: Called here, one item at a time, as the network is; returns what remains to be done, for another thread.
        done: Called here with the answers, in order. If anything is raised, it still gets the answers that are there.
    """
    waiting: deque[Future[Answer]] = deque()
    with ThreadPoolExecutor(WRITERS, thread_name_prefix="writing") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(seen(item)))
                while waiting and (waiting[0].done() or len(waiting) > BEHIND):
                    done(waiting.popleft().result())
            while waiting:
                done(waiting.popleft().result())
        except BaseException:
            while waiting and waiting[0].exception() is None:
                done(waiting.popleft().result())
            for future in waiting:
                future.cancel()
            raise
