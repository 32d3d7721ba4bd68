"""Interrupts and termination signals, remembered: libraries may turn the KeyboardInterrupt into another error.

TensorFlow does so while it traces a function (a SystemError, or an error of its own).
"""

from __future__ import annotations

import signal
from types import FrameType

_received: list[int] = []


def listen() -> None:
    """Has SIGTERM, Ctrl-C and Windows' Ctrl-Break raise KeyboardInterrupt, and forgets those before.

    Where SIGINT is ignored, as in the background jobs of a shell's script, it stays ignored. Windows delivers SIGTERM
    only to the process that raises it: other processes send Ctrl-Break there.
    """
    _received.clear()
    for name in ("SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _stop)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _stop)


def interrupted(error: BaseException) -> bool:
    """Returns whether an error is an interrupt, or came after one."""
    return isinstance(error, KeyboardInterrupt) or bool(_received)


def _stop(signum: int, frame: FrameType | None) -> None:
    _received.append(signum)
    raise KeyboardInterrupt
