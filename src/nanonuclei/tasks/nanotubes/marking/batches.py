"""Batches for a network that marks centre lines: an endless stream for training, and the patches of a split."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from nanonuclei.data.batches import TrainBatches, ValidationBatches
from nanonuclei.data.catalog import SampleRef
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Float32Array
from nanonuclei.imaging.windows import cut
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.marking.patches import LinePatches, marks
from nanonuclei.tasks.nanotubes.marking.shown import KEPT_IMAGES, of_sample


class LineTrainBatches(TrainBatches):
    """The batches of `LinePatches`, prepared ahead by workers.

    Raises:
        DataError: Neither the samples nor simulated images show nanotubes.
    """

    def __init__(self, samples: Sequence[SampleRef], *, config: NanotubeExperiment) -> None:
        if config.marking.simulated == 0.0 and not any(sample.num_objects for sample in samples):
            raise DataError(
                "the train split must hold images with nanotubes, got none. Raise data.split.train, or let simulated "
                "images train too with marking.simulated=0.5"
            )
        super().__init__(LinePatches(samples, config=config), workers=config.train.workers)


class LineValidationBatches(ValidationBatches):
    """All of a split, cut into patches side by side at the scale of the image: the same in every epoch.

    Batches are as in `LineTrainBatches`; what lies beyond the image weighs nothing.
    """

    def __init__(self, samples: Sequence[SampleRef], *, config: NanotubeExperiment) -> None:
        super().__init__(samples, config=config)
        self._config = config
        self._shown = functools.lru_cache(maxsize=KEPT_IMAGES)(
            lambda place: of_sample(samples[place], config.normalize)
        )

    def _made(self, index: int) -> tuple[Float32Array, Float32Array, Float32Array]:
        size, parts = self._config.train.patch_size, []
        for place, window in self._patches[index * self._batch_size : (index + 1) * self._batch_size]:
            shown = self._shown(place)
            corner = np.array([window.y0, window.x0], np.float64)
            sure, doubtful = ([line.points - corner for line in lines] for lines in (shown.sure, shown.doubtful))
            target, weight = marks(
                (size, size), sure, doubtful, width=shown.width, weight=self._config.marking.line_weight
            )
            weight[shown.grey.shape[0] - window.y0 :] = 0.0
            weight[:, shown.grey.shape[1] - window.x0 :] = 0.0
            image = cut(np.repeat(shown.grey[..., None], 3, axis=-1), (window.y0, window.x0), (size, size))
            parts.append((image, target[..., None], weight[..., None]))
        images, targets, weights = (np.stack(part) for part in zip(*parts, strict=True))
        return images, targets, weights
