"""One process trains in the folder of a run: it holds a lock there, by which others are told before they begin."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from nanonuclei.errors import TrackingError

LOCKED = "lock"


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds a run's folder, so that no second process trains in it; a killed process lets go by itself.

    Raises:
        TrackingError: Another process holds it.
    """
    lock = FileLock(folder / LOCKED, blocking=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise TrackingError(
            f"run {folder.name} is still being trained by another process. Wait for it, or end that process first"
        ) from error
    try:
        yield
    finally:
        lock.release()


def check_alone(folder: Path) -> None:
    """Makes sure that no process holds a run's folder now; makes no file.

    Raises:
        TrackingError: One does.
    """
    if (folder / LOCKED).is_file():
        with alone(folder):
            return
