"""Where is each nucleus: a U-Net's score map, read by a watershed, scored pixel by pixel and nucleus by nucleus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nanonuclei.data.batches import TrainBatches, ValidationBatches
from nanonuclei.data.catalog import SampleRef
from nanonuclei.data.patches import Patches
from nanonuclei.imaging.matching import is_matched
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.types import Float32Array
from nanonuclei.models.as_networks import compiled
from nanonuclei.models.encoders import load_pretrained, set_frozen
from nanonuclei.models.losses import ForegroundAccuracy, ForegroundIoU, pixel_loss
from nanonuclei.models.optimizers import optimizer
from nanonuclei.models.phases import Phase, phases
from nanonuclei.models.unet import unet
from nanonuclei.tasks.base import Task
from nanonuclei.tasks.nuclei.reader import NucleiReader
from nanonuclei.tasks.nuclei.score import LOWER_IS_BETTER, METRIC_NAMES, by_threshold, score, statistics
from nanonuclei.tasks.nuclei.target import NucleiTarget
from nanonuclei.tasks.nuclei.thresholds import decide_thresholds, drawn
from nanonuclei.tasks.values import Assessment, Decided, MapsOf, Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class NucleiTask(NucleiReader, Task):
    """The nuclei task; see `tasks.base` for what each method promises."""

    metric_names = METRIC_NAMES
    curve_names = {
        "accuracy": ("Pixel accuracy (higher is better)", "share of pixels"),
        "iou": ("Foreground IoU (higher is better)", "IoU"),
    }
    charted = ("accuracy", "iou", "ap50_pooled", "map_pooled", "pq")
    headlines = ("ap50_pooled", "iou", "accuracy")
    lower_is_better = LOWER_IS_BETTER
    group_metric = "ap50_pooled"

    @property
    def target(self) -> NucleiTarget:
        """What the network learns of each pixel."""
        return NucleiTarget(self.config.target)

    def batches(self, samples: Sequence[SampleRef], *, training: bool) -> keras.utils.PyDataset:
        """Returns patches of the samples."""
        if not training:
            return ValidationBatches(samples, config=self.config, target=self.target)
        patches = Patches(samples, config=self.config, target=self.target)
        return TrainBatches(patches, workers=self.config.train.workers)

    def build_network(self) -> keras.Model:
        """Returns a U-Net with one sigmoid score, or with two or three class probabilities."""
        if self.config.target.kind != "foreground":
            return unet(self.config.network, num_classes=3, diameter=self.config.target.diameter)
        sparse = self.config.loss.kind.startswith("sparse_categorical")
        return unet(self.config.network, num_classes=2 if sparse else 1)

    def build_model(self) -> keras.Model:
        """Returns the U-Net, its encoder pretrained if it has one, compiled for the first phase.

        Raises:
            ConfigError: The weights of the encoder cannot be had.
        """
        model = self.build_network()
        load_pretrained(model, self.config.network)
        self.compile_for(model, phases(self.config.train)[0])
        return model

    def compile_for(self, model: keras.Model, phase: Phase) -> None:
        """Freezes or unfreezes the encoder and compiles anew."""
        set_frozen(model, self.config.network, frozen=phase.frozen)
        model.compile(
            optimizer=optimizer(self.config.train, phase),
            loss=pixel_loss(self.config.loss),
            metrics=[ForegroundAccuracy(), ForegroundIoU()],
        )

    def as_network(self, model: keras.Model) -> Network:
        """Returns the compiled U-Net."""
        return compiled(model)

    @property
    def warm_up_shapes(self) -> Sequence[tuple[int, ...]]:
        """Two shapes: of the second the compiler learns that shapes differ."""
        step = self.config.network.step
        return ((1, 4 * step, 4 * step, 3), (1, 5 * step, 4 * step, 3))

    def samples_to_decide_on(self, samples: Sequence[SampleRef]) -> Sequence[SampleRef]:
        """Returns as many validation images, drawn at random, as memory is allowed for."""
        return drawn(samples, seed=self.config.seed)

    def decide(self, samples: Sequence[SampleRef], score_maps: Iterable[Float32Array]) -> Decided:
        """Returns the thresholds that read most nuclei rightly; see `tasks.nuclei.thresholds`."""
        return decide_thresholds(self, samples, score_maps)

    def assess(self, sample: SampleRef, score_map: Float32Array) -> Assessment:
        """Scores one image by its pixels and its nuclei; a nucleus is matched where IoU is above 0.5."""
        labels = sample.labels()
        found = self.instances(score_map, labels.shape)
        whole = self.in_shape(score_map, labels.shape)
        loss = pixel_loss(self.config.loss)(self.target(labels)[None], whole[None])
        figures = statistics(
            labels,
            self.classes(whole),
            found,
            threshold=self.config.instances.threshold,
            loss=float(keras.ops.convert_to_numpy(loss)),
        )
        matched = is_matched(labels, found.pixels())
        return Assessment(figures, pd.DataFrame({"score": found.scores, "matched": matched}))

    def score(self, sums: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Returns the metrics of a set of images; see `tasks.nuclei.score`."""
        return score(sums)

    def figures(
        self, report: Report, samples: Sequence[SampleRef], *, maps: MapsOf, split: str
    ) -> Iterator[tuple[str, Figure | str]]:
        """Yields AP by threshold, and images at random and the worst ones beside their truth."""
        from nanonuclei.tasks.nuclei.figures import figures

        return figures(self, report, samples, maps=maps, split=split)

    def plots(self, report: Report) -> Mapping[str, pd.DataFrame]:
        """Returns AP, precision and recall by IoU threshold."""
        return {"thresholds": by_threshold(report.per_image)}
