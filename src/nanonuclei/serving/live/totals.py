"""Sums over the requests of a server, taken away by the one who writes them down."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence

from nanonuclei.serving.live.notes import ImageNote


class Totals:
    """Sums since they were last taken; its methods may be called from any thread."""

    def __init__(self) -> None:
        self._sums: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, images: Sequence[ImageNote], *, status: int, seconds: float) -> None:
        """Adds a request that was answered, with the images that it held."""
        with self._lock:
            self._sums["requests"] += 1
            self._sums["refused"] += int(400 <= status < 500)
            self._sums["failed"] += int(status >= 500)
            self._sums["seconds"] += seconds  # type: ignore[assignment]
            self._sums["images"] += len(images)
            self._sums["unlike_training"] += sum(bool(image.unlike) for image in images)
            self._sums["objects"] += sum(image.num_objects for image in images)

    def taken(self) -> dict[str, float]:
        """Returns the sums and begins anew."""
        with self._lock:
            sums, self._sums = self._sums, Counter()
        return dict(sums)

    def put_back(self, sums: Mapping[str, float]) -> None:
        """Adds sums that were taken but could not be written down."""
        with self._lock:
            for name, value in sums.items():
                self._sums[name] += value  # type: ignore[assignment]
