"""The read-out of nuclei as an operator for other tools. It is written into one file with the modules it imports."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from nanonuclei.imaging.instances import without_slivers
from nanonuclei.imaging.postprocess import read_instances
from nanonuclei.imaging.types import Float32Array


class ReadOut:
    """Turns maps into labelled nuclei.

    Args:
        with_core: Whether the second map is the score of the core of nuclei, not a second copy of the foreground.
        sliver: px of a nucleus at the image's border that are too few to tell it.
        settings: Those of the section ``instances`` of the model's config.
    """

    def __init__(self, *, with_core: bool, sliver: int, **settings: Any) -> None:
        self._with_core = with_core
        self._sliver = sliver
        self._settings: Any = SimpleNamespace(**settings)

    def __call__(self, maps: Float32Array) -> Float32Array:
        """Reads nuclei off maps.

        Args:
            maps: ``(batch, height, width, 2 or more)`` float32; the first two in 0..1: foreground, core.

        Returns:
            The same shape, float32: number of the nucleus, 0 for background; its score, 0..1; the other maps as before.
        """
        maps = np.asarray(maps, np.float32)
        return np.stack([self._read(image) for image in maps])

    def _read(self, image: Float32Array) -> Float32Array:
        foreground, core = np.ascontiguousarray(image[..., 0]), np.ascontiguousarray(image[..., 1])
        scores = foreground
        if self._with_core:
            scores = np.stack([np.float32(1.0) - foreground, core, np.zeros_like(core)], axis=-1)
        found = without_slivers(read_instances(scores, self._settings), thickness=self._sliver)
        labels = found.pixels()
        read = np.stack([labels, np.concatenate([[0.0], found.scores])[labels]], axis=-1)
        return np.concatenate([read, image[..., 2:]], axis=-1).astype(np.float32)
