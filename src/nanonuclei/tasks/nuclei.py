"""Where is each nucleus: a U-Net's score map, read by a watershed, scored pixel by pixel and nucleus by nucleus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from nanonuclei.config.experiment import NucleiExperiment
from nanonuclei.data.batches import TrainBatches, ValidationBatches
from nanonuclei.data.catalog import SampleRef
from nanonuclei.data.nuclei_target import NucleiTarget
from nanonuclei.data.patches import Patches
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.matching import MatchCounts, match_counts
from nanonuclei.imaging.normalize import grey_limits, normalize
from nanonuclei.imaging.postprocess import read_instances
from nanonuclei.imaging.types import Float32Array, Image, Labels
from nanonuclei.models.encoders import load_pretrained, set_frozen
from nanonuclei.models.losses import ForegroundAccuracy, ForegroundIoU, pixel_loss
from nanonuclei.models.optimizers import optimizer
from nanonuclei.models.phases import Phase, phases
from nanonuclei.models.unet import unet
from nanonuclei.tasks.base import Statistics

THRESHOLDS = (0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90, 0.95)
"""IoU thresholds of the competition; the mean over every second one, 0.5:0.1:0.9, is StarDist's."""

ABOVE = 1e-6
"""The competition matches where IoU > t. No two objects of less than 50,000 px have an IoU this near to a threshold
without being at it."""

EPSILON = 1e-7
"""Scores are kept this far from 0 and 1 in the cross-entropy, as Keras does."""


class NucleiTask:
    """The nuclei task; see `tasks.base.Task` for what each method promises."""

    def __init__(self, config: NucleiExperiment) -> None:
        self.config = config

    @property
    def target(self) -> NucleiTarget:
        """Builds the target of a patch from its labels."""
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

    def network_input(self, image: Image) -> Float32Array:
        """Returns the normalised image."""
        return normalize(image, grey_limits(image, self.config.normalize))

    def instances(self, score_map: Float32Array) -> Instances:
        """Returns the nuclei of a score map."""
        return read_instances(score_map, self.config.instances)

    def statistics(self, labels: Labels, score_map: Float32Array, found: Instances) -> Statistics:
        """Returns pixel counts, summed losses and match counts of one image."""
        true, score = labels > 0, _foreground(score_map)
        mask = score >= self.config.instances.threshold
        clipped = np.clip(score, EPSILON, 1.0 - EPSILON)
        shared, either = int(np.sum(mask & true)), int(np.sum(mask | true))
        extent = int(mask.sum() + true.sum())
        counts = match_counts(labels, found.labels, THRESHOLDS)
        above = match_counts(labels, found.labels, np.add(THRESHOLDS, ABOVE))
        loss = pixel_loss(self.config.loss)(self.target(labels)[None], score_map.reshape(1, *labels.shape, -1))
        figures: Statistics = {
            "images": 1.0,
            "pixels": float(labels.size),
            "loss": float(keras.ops.convert_to_numpy(loss)),
            "accuracy": float(np.mean((score >= 0.5) == true)),
            "binary_crossentropy": float(np.mean(-np.log(np.where(true, clipped, 1.0 - clipped)))),
            "iou": shared / either if either else 1.0,
            "dice": 2 * shared / extent if extent else 1.0,
            "shared_pixels": float(shared),
            "either_pixels": float(either),
            "num_true": float(counts.n_true),
            "num_found": float(counts.n_pred),
            "count_difference": float(abs(counts.n_pred - counts.n_true)),
            "iou_sum_50": float(counts.iou_sum[0]),
            "competition": float(np.mean(_ratios(above))),
        }
        for place, threshold in enumerate(THRESHOLDS):
            name = f"{round(threshold * 100)}"
            figures[f"tp_{name}"] = float(counts.tp[place])
            figures[f"fp_{name}"] = float(counts.fp[place])
            figures[f"fn_{name}"] = float(counts.fn[place])
            figures[f"ap_{name}"] = float(_ratios(counts)[place])
        return figures

    def score(self, sums: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Returns the metrics of a set of images.

        Pixel metrics are means over images (every image counts alike, as in published figures on images resized to one
        size); `iou_pooled` is over all pixels. AP is TP / (TP + FP + FN): `_pooled` from summed counts, `_image` the
        mean of each image's ratio; `stardist.matching` with `by_image` False and True. `map_competition` is the score
        of the Data Science Bowl 2018: the mean of `_image` over 0.50:0.05:0.95 with matches where IoU > t.
        """
        images = sums["images"]
        means = ("loss", "accuracy", "binary_crossentropy", "iou", "dice")
        metrics = {name: sums[name] / images for name in means}
        metrics["iou_pooled"] = _ratio(sums["shared_pixels"], sums["either_pixels"])
        names = [f"{round(threshold * 100)}" for threshold in THRESHOLDS]
        pooled = {}
        for name in names:
            tp, fp, fn = (sums[f"{kind}_{name}"] for kind in ("tp", "fp", "fn"))
            pooled[name] = _ratio(tp, tp + fp + fn)
            metrics[f"ap{name}_pooled"] = pooled[name]
            metrics[f"ap{name}_image"] = sums[f"ap_{name}"] / images
        metrics["map_pooled"] = np.mean([pooled[name] for name in names[::2]], axis=0)
        metrics["map_image"] = np.mean([sums[f"ap_{name}"] / images for name in names[::2]], axis=0)
        metrics["map_competition"] = sums["competition"] / images
        tp, fp, fn = sums["tp_50"], sums["fp_50"], sums["fn_50"]
        metrics["precision"] = _ratio(tp, tp + fp)
        metrics["recall"] = _ratio(tp, tp + fn)
        metrics["f1"] = _ratio(2 * tp, 2 * tp + fp + fn)
        metrics["pq"] = _ratio(sums["iou_sum_50"], tp + 0.5 * fp + 0.5 * fn)
        metrics["count_error"] = _ratio(sums["count_difference"], sums["num_true"])
        return metrics


def _ratios(counts: MatchCounts) -> NDArray[np.float64]:
    ratios: NDArray[np.float64] = counts.tp / np.maximum(counts.tp + counts.fp + counts.fn, 1)
    return ratios


def _foreground(score_map: Float32Array) -> Float32Array:
    """Returns ``(height, width)``: the one score, or 1 - background where there are classes."""
    return score_map[..., 0] if score_map.shape[-1] == 1 else np.float32(1.0) - score_map[..., 0]


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros_like(np.asarray(whole, np.float64)), where=np.asarray(whole) > 0)
