"""Interrupts and termination signals, remembered: libraries may turn the KeyboardInterrupt into another error.

TensorFlow does so while it traces a function (a SystemError, or an error of its own).
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

_AGAIN_SECONDS = 0.1

_received: list[int] = []
_others: list[Callable[[Any], None]] = []
"""What was told of errors that nobody can catch before `listen`."""
_sending = threading.Event()
"""Whether the main thread is about to have an interrupt sent again."""


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
    if sys.unraisablehook is not _heard_in_vain:
        _others[:] = [sys.unraisablehook]
        sys.unraisablehook = _heard_in_vain


def interrupted(error: BaseException) -> bool:
    """Returns whether an error is an interrupt, or came after one."""
    return isinstance(error, KeyboardInterrupt) or bool(_received)


def _stop(signum: int, frame: FrameType | None) -> None:
    if _sending.is_set():
        return  # raised here it would be ignored once more; it is being sent again
    _received.append(signum)
    raise KeyboardInterrupt


def _heard_in_vain(error: Any) -> None:
    """Sends an interrupt again that fell where Python ignores errors, such as a callback of the garbage collection."""
    if _received and issubclass(error.exc_type, KeyboardInterrupt):
        _sending.set()
        try:
            threading.Thread(target=_send_until_heard, args=(_received[-1], len(_received)), daemon=True).start()
        finally:
            _sending.clear()
    else:
        _others[0](error)


def _send_until_heard(signum: int, received: int) -> None:
    """Sends a signal to the main thread until its handler has run once more.

    Once is not enough: a signal that arrives after Python's last look at its signals and before the main thread waits
    in a system call wakes nobody.
    """
    while True:
        time.sleep(_AGAIN_SECONDS)
        if len(_received) != received:
            return
        _send(signum)


def _send(signum: int) -> None:
    """Sends a signal to the main thread, which wakes it where it waits; Windows can only raise it where it is sent."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signum)
    else:
        signal.raise_signal(signum)
