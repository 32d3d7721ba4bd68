"""What was read and computed of the images on the page, as much as a bound in bytes allows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

Key = tuple[Any, ...]
"""The id of an image, then what was made of it."""


class Memory:
    """Keeps values by key; those that were not used for longest go first. May be called from several threads.

    Args:
        most_bytes: Of all values together. A larger one is not kept.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Key, tuple[Any, int]] = OrderedDict()
        self._num_bytes = 0
        self._lock = threading.Lock()

    @property
    def num_bytes(self) -> int:
        """Bytes that are kept."""
        return self._num_bytes

    def get(self, key: Key) -> Any:
        """Returns a value; None where it is not kept."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def put(self, key: Key, value: Any, num_bytes: int) -> None:
        """Keeps a value of a size."""
        with self._lock:
            self._drop(key)
            if num_bytes > self._most_bytes:
                return
            self._kept[key] = (value, num_bytes)
            self._num_bytes += num_bytes
            while self._num_bytes > self._most_bytes:
                self._drop(next(iter(self._kept)))

    def forget(self, images: Iterable[str]) -> None:
        """Drops all that was made of images, by their ids."""
        gone = set(images)
        with self._lock:
            for key in [key for key in self._kept if key[0] in gone]:
                self._drop(key)

    def _drop(self, key: Key) -> None:
        _, num_bytes = self._kept.pop(key, (None, 0))
        self._num_bytes -= num_bytes
