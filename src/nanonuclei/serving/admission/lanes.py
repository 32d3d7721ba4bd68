"""Lanes for the work of a server: small requests do not wait for large ones, and too long queues are refused."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from nanonuclei.serving.admission.capacity import NUM_SMALL, SMALL, Capacity
from nanonuclei.serving.admission.ticket import check
from nanonuclei.serving.refusal import Refused, busy

LONGEST_WAIT_SHARE = 0.5
"""Part of the time of a request that it may spend in the queue of large ones; the rest is for the work on it."""

_LOOK_SECONDS = 0.25
"""How often one that waits asks whether its client is still there."""

_WEIGHT = 0.2
"""Weight of the newest request in the mean time of a lane."""


class Lane:
    """Places that are taken in the order in which they were asked for.

    Args:
        places: That may be taken at a time.
        longest_wait: Expected seconds in the queue from which on others are refused; None: any.
    """

    def __init__(self, places: int, *, longest_wait: float | None = None) -> None:
        self._places = self._free = places
        self._longest_wait = longest_wait
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()
        self._seconds: float | None = None  # mean time of the work on a request

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Waits for a place.

        Raises:
            Refused: The queue is full, the client is gone, or the time of the request is over.
        """
        mine = object()
        with self._changed:
            wait = (self._seconds or 0.0) * max(0, len(self._queue) + 1 - self._free) / self._places
            if self._longest_wait is not None and wait > self._longest_wait:
                raise busy(f"large requests before this one: {len(self._queue) + 1}", seconds=wait)
            self._queue.append(mine)
            try:
                while not (self._free and self._queue[0] is mine):
                    check()
                    self._changed.wait(_LOOK_SECONDS)
                self._free -= 1
            finally:
                self._queue.remove(mine)
                self._changed.notify_all()
        started = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                took = time.monotonic() - started
                self._seconds = took if self._seconds is None else self._seconds + _WEIGHT * (took - self._seconds)
                self._changed.notify_all()


class Lanes:
    """A lane for requests of up to `SMALL` px, and one for a single larger request at a time.

    Args:
        capacity: Of the server; None: there is none, and nothing is refused.
    """

    def __init__(self, capacity: Capacity | None) -> None:
        self._num_pixels = None if capacity is None else capacity.num_pixels
        self._small = Lane(NUM_SMALL)
        self._large = Lane(1, longest_wait=None if capacity is None else LONGEST_WAIT_SHARE * capacity.seconds)

    @contextmanager
    def taken(self, num_pixels: int) -> Iterator[Callable[[int], None]]:
        """Waits for a place in the lane of a request.

        Args:
            num_pixels: That it holds at a time.

        Yields:
            What takes the number of px to which an image is to be enlarged, and returns when there is room for it.

        Raises:
            Refused: As in `Lane.taken`.
        """
        with ExitStack() as places:
            is_large = num_pixels > SMALL
            places.enter_context((self._large if is_large else self._small).taken())

            def enlarge(wanted: int) -> None:
                nonlocal is_large
                if self._num_pixels is not None and wanted > self._num_pixels:
                    raise Refused(
                        f"an image would be shown to the network at {wanted} px, as its objects are small, but this "
                        f"server shows at most {self._num_pixels} px. Send it in parts"
                    )
                if wanted > SMALL and not is_large:
                    places.enter_context(self._large.taken())
                    is_large = True

            yield enlarge
