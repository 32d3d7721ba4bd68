"""The ticket of a request: until when it is to be answered, and whether its client still waits for the answer."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar

from nanonuclei.serving.refusal import Refused, busy

CURRENT: ContextVar[Ticket | None] = ContextVar("ticket", default=None)
"""The ticket of the request that this thread works on; None outside of a server."""


class Ticket:
    """Asked between the steps of the work on a request; the work stops where it has become useless.

    Args:
        seconds: Until which the request is to be answered.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._gone = threading.Event()

    def give_up(self) -> None:
        """Notes that the client no longer waits."""
        self._gone.set()

    def check(self) -> None:
        """Returns where the work is still of use.

        Raises:
            Refused: The client is gone, or the time is over.
        """
        if self._gone.is_set():
            raise Refused("the client is gone")
        if time.monotonic() > self._end:
            raise busy(
                f"a request must be answered within {self._seconds:g} s, but this one needs longer under the present "
                "load; send fewer pixels at a time",
                seconds=self._seconds,
            )


def check() -> None:
    """Returns where the work of this thread is still of use; always outside of a server.

    Raises:
        Refused: As in `Ticket.check`.
    """
    if (ticket := CURRENT.get()) is not None:
        ticket.check()
