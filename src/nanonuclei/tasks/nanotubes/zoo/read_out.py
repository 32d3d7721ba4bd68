"""The read-out of nanotubes as an operator for other tools. It is written into one file with the modules it imports."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.nanotubes.lines.candidates import to_instances
from nanonuclei.tasks.nanotubes.lines.detection import read_candidates, read_cells


class Settings(SimpleNamespace):
    """The section ``tubes`` of a model's config, without the program that checks it."""

    def model_copy(self, *, update: dict[str, Any]) -> Settings:
        """Returns a copy with some settings replaced."""
        return Settings(**{**vars(self), **update})


class ReadOut:
    """Turns maps into labelled candidates for nanotubes.

    Args:
        **settings: Those of the section ``tubes`` of the model's config.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings: Any = Settings(**settings)

    def __call__(self, maps: Float32Array) -> Float32Array:
        """Reads candidates off maps.

        Args:
            maps: ``(batch, height, width, 2)`` float32 in 0..1: score of the centre line, grey value.

        Returns:
            The same shape, float32: number of the candidate on the pixels of its line, 0 elsewhere; its score, 0..1.
        """
        maps = np.asarray(maps, np.float32)
        return np.stack([self._read(image) for image in maps])

    def _read(self, image: Float32Array) -> Float32Array:
        cells = read_cells(image, self._settings)
        found = to_instances(read_candidates(image, self._settings, cells=cells), (image.shape[0], image.shape[1]))
        labels = found.pixels()
        return np.stack([labels, np.concatenate([[0.0], found.scores])[labels]], axis=-1).astype(np.float32)
