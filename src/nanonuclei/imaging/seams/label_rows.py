"""A label image that grows on disk while a large image passes window by window."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanonuclei.imaging.types import Box, Int32Array


class LabelRows:
    """A label image on disk, rows of int32: written from the top, read by windows, 4 bytes per px."""

    def __init__(self, path: Path, width: int) -> None:
        self._path, self._width = path, width
        self._numbers: Int32Array | None = None

    def append(self, rows: Int32Array) -> None:
        """Adds rows at the end."""
        with self._path.open("ab") as file:
            np.ascontiguousarray(rows, np.int32).tofile(file)

    def translate(self, numbers: Int32Array) -> None:
        """Makes `read` return ``numbers[label]``."""
        self._numbers = numbers

    def read(self, box: Box) -> Int32Array:
        """Reads a window."""
        y0, x0, y1, x1 = box
        with self._path.open("rb") as file:
            if x0 == 0 and x1 == self._width:
                file.seek(4 * y0 * self._width)
                found = np.fromfile(file, np.int32, (y1 - y0) * self._width).reshape(y1 - y0, self._width)
            else:
                found = np.empty((y1 - y0, x1 - x0), np.int32)
                for row in range(y0, y1):
                    file.seek(4 * (row * self._width + x0))
                    found[row - y0] = np.fromfile(file, np.int32, x1 - x0)
        return found if self._numbers is None else self._numbers[found]
