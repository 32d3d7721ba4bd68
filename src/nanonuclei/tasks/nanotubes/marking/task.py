"""The nanotubes task with a network that marks centre lines pixel by pixel, in place of a classifier of windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from nanonuclei.data.catalog import SampleRef
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.types import Float32Array
from nanonuclei.imaging.window_geometry import WindowGeometry
from nanonuclei.imaging.windows import Window
from nanonuclei.models.as_networks import compiled
from nanonuclei.models.encoders import set_frozen
from nanonuclei.models.phases import phases
from nanonuclei.tasks.nanotubes.batches import scored_windows
from nanonuclei.tasks.nanotubes.config import LINE, NanotubeExperiment
from nanonuclei.tasks.nanotubes.marking.batches import LineTrainBatches, LineValidationBatches
from nanonuclei.tasks.nanotubes.marking.network import line_network, load_weights, unet_config
from nanonuclei.tasks.nanotubes.network import NanotubeTask
from nanonuclei.tasks.values import EXPORT_SHAPES

SCORED = 64
"""Side of the windows that an image is cut into for the metrics of windows, px."""


class LineTask(NanotubeTask):
    """Nanotubes by `network.answer` line; a window scores as its surest pixel."""

    cautions = (
        *NanotubeTask.cautions,
        "Few images with marked nanotubes can be had, so test images tell little: docs/nanotubes.md has the scores on "
        "papers that were left out of a training, one group after the other.",
        "Published figures are stretched in contrast, often enlarged and compressed, and nearly all show fluorescence. "
        "Raw images of a microscope were not measured; in phase contrast and bright field few nanotubes are found.",
    )

    curve_names = {
        "accuracy": ("Pixel accuracy (higher is better)", "share of pixels"),
        "pr_auc": ("PR-AUC of pixels (higher is better)", "area under precision-recall"),
    }

    @property
    def geometry(self) -> WindowGeometry:
        """Windows of `SCORED` px side by side."""
        return WindowGeometry(SCORED, 0, SCORED)

    def check(self) -> None:
        """Does nothing: the config shows all."""

    def batches(self, samples: Sequence[SampleRef], *, training: bool) -> keras.utils.PyDataset:
        """Returns patches with the centre lines to be marked; doubtful lines weigh nothing."""
        return (LineTrainBatches if training else LineValidationBatches)(samples, config=self.config)

    def build_network(self) -> keras.Model:
        """Returns the U-Net."""
        return line_network(self.config.network)

    def build_model(self) -> keras.Model:
        """Returns the U-Net, pretrained if the config says so, compiled for the first phase.

        Raises:
            ConfigError: The weights cannot be had.
        """
        model = self.build_network()
        load_weights(model, self.config.network)
        self.compile_for(model, phases(self.config.train)[0])
        return model

    def freeze(self, model: keras.Model, *, frozen: bool) -> None:
        """Freezes the encoder, or lets it learn but for its batch normalisation."""
        set_frozen(model, unet_config(self.config.network), frozen=frozen)

    def as_network(self, model: keras.Model) -> Network:
        """Returns the compiled U-Net."""
        return compiled(model)

    @property
    def training_side(self) -> int:
        """Side of a patch, px."""
        return self.config.train.patch_size

    @property
    def export_shapes(self) -> Sequence[tuple[int, ...]]:
        """Two patches that are not square."""
        return EXPORT_SHAPES

    def network_files(self) -> Mapping[str, str]:
        """Returns none: the config tells all."""
        return {}

    def window_scores(self, score_map: Float32Array) -> tuple[tuple[Window, ...], Float32Array]:
        """Returns windows side by side, and for each the score of its surest pixel."""
        windows = scored_windows((score_map.shape[0], score_map.shape[1]), self.geometry)
        scores = [score_map[y0:y1, x0:x1, 0].max() for y0, x0, y1, x1 in windows]
        return windows, np.array(scores, np.float32)


def nanotube_task(config: NanotubeExperiment) -> NanotubeTask:
    """Returns the task by what its network answers."""
    return LineTask(config) if config.network.answer == LINE else NanotubeTask(config)
