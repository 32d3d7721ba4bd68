"""Which version answers: a thread follows the alias, loads a new version beside the old one, and switches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from nanonuclei.errors import NanonucleiError, TrackingError
from nanonuclei.serving.live.followed import Followed
from nanonuclei.serving.live.metrics import Metrics
from nanonuclei.serving.live.versions import Served, load_version

_logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
"""Time between two looks at the alias."""
RETRY_SECONDS = 60.0
"""After this time a version that could not serve is tried again: its files may not have been at hand."""


class Follower:
    """Keeps the version that an alias stands for ready to answer.

    Attributes:
        current: The version that answers; None before the first one is loaded.
        trouble: Why the wanted version does not answer, in one sentence; empty where it does.
    """

    def __init__(
        self, followed: Followed, metrics: Metrics, *, load: Callable[[str, str], Served] = load_version
    ) -> None:
        self.followed = followed
        self.current: Served | None = None
        self.trouble = ""
        self._metrics = metrics
        self._load = load
        self._refused = ("", 0.0)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="alias", daemon=True)

    def look(self, *, warn: bool = True) -> bool:
        """Looks at the alias once; loads and switches to another version if it has moved.

        The old version goes on answering while the new one is loaded and checked, and keeps the requests that it has
        begun. A version that cannot serve changes nothing but `trouble`.

        Args:
            warn: Whether new trouble is logged; else the caller tells it.

        Returns:
            Whether another version answers now.
        """
        before = self.trouble
        moved = self._look()
        if warn and self.trouble and self.trouble != before:
            _logger.warning("%s", self.trouble)
        return moved

    def _look(self) -> bool:
        try:
            wanted = self.followed.version()
        except NanonucleiError as error:
            self.trouble = str(error)
            return False
        if not wanted:
            self.trouble = f"{self.followed} does not exist, or this account may not read it"
            return False
        before = self.current
        if before is not None and before.number == wanted:
            self.trouble = ""
            return False
        if self._refused[0] == wanted and time.monotonic() < self._refused[1]:
            return False
        started = time.monotonic()
        try:
            new = self._load(self.followed.name, wanted)
        except TrackingError as error:
            self._refused = (wanted, time.monotonic() + RETRY_SECONDS)
            self._metrics.refused()
            self.trouble = f"{error}. {f'Version {before.number} goes on answering' if before else 'Nothing answers'}"
            return False
        self.current = new  # the switch: a request takes the version that it finds here, and keeps it
        self._metrics.switched(new.key, before=before.key if before else None)
        self.trouble = ""
        _logger.warning("Version %s of %s answers, loaded in %.1f s", wanted, new.name, time.monotonic() - started)
        return True

    def start(self) -> None:
        """Starts to follow the alias in a thread; a version that was named by its number is only waited for."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._end.set()
        self._thread.join(timeout=30)

    def _follow(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            if not self.followed.alias and self.current is not None:
                return
            try:
                self.look()
            except Exception:
                _logger.exception("a look at %s failed", self.followed)
