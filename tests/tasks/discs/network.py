"""Where are the bright discs: two convolutions, scored by pixel and by disc."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from discs.reader import DiscsReader
from nanonuclei.data.batches import TrainBatches, ValidationBatches
from nanonuclei.data.catalog import SampleRef
from nanonuclei.data.patches import Patches
from nanonuclei.imaging.matching import is_matched
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.types import Float32Array, Labels, UInt8Array
from nanonuclei.models.as_networks import compiled
from nanonuclei.models.optimizers import optimizer
from nanonuclei.models.phases import Phase, phases
from nanonuclei.tasks.base import Task
from nanonuclei.tasks.values import Assessment


class DiscsTask(DiscsReader, Task):
    """The discs task."""

    metric_names = {"accuracy": "pixel accuracy", "f1": "F1 of discs"}
    charted = ("accuracy", "f1")
    headlines = ("f1",)
    group_metric = "f1"

    def batches(self, samples: Sequence[SampleRef], *, training: bool) -> keras.utils.PyDataset:
        """Returns patches, with 1 where there is a disc."""
        if not training:
            return ValidationBatches(samples, config=self.config, target=disc_target)
        patches = Patches(samples, config=self.config, target=disc_target)
        return TrainBatches(patches, workers=self.config.train.workers)

    def build_network(self) -> keras.Model:
        """Returns two convolutions."""
        inputs = keras.Input((None, None, 3), name="image")
        x = keras.layers.Conv2D(self.config.network.filters, 5, padding="same", activation="relu")(inputs)
        return keras.Model(inputs, keras.layers.Conv2D(1, 1, activation="sigmoid", dtype="float32")(x), name="discs")

    def build_model(self) -> keras.Model:
        """Returns the network, compiled."""
        model = self.build_network()
        self.compile_for(model, phases(self.config.train)[0])
        return model

    def compile_for(self, model: keras.Model, phase: Phase) -> None:
        """Compiles with a new optimizer."""
        metrics = [keras.metrics.BinaryAccuracy(name="accuracy")]
        model.compile(optimizer(self.config.train, phase), keras.losses.BinaryCrossentropy(), metrics=metrics)

    def as_network(self, model: keras.Model) -> Network:
        """Returns the compiled network."""
        return compiled(model)

    def assess(self, sample: SampleRef, score_map: Float32Array) -> Assessment:
        """Counts right pixels and discs."""
        labels, found = sample.labels(), self.instances(score_map, (sample.height, sample.width))
        matched = is_matched(labels, found.pixels())
        right = float(np.mean((score_map[..., 0] >= 0.5) == (labels > 0)))
        numbers = {"tp": float(np.sum(matched)), "num_found": float(len(found)), "num_true": float(sample.num_objects)}
        objects = pd.DataFrame({"score": found.scores, "matched": matched})
        return Assessment({"images": 1.0, "right": right, **numbers}, objects)

    def score(self, sums: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Returns accuracy and F1."""
        either = np.maximum(sums["num_found"] + sums["num_true"], 1.0)
        return {"accuracy": sums["right"] / sums["images"], "f1": 2.0 * sums["tp"] / either}


def disc_target(labels: Labels, areas: NDArray[np.float32] | None) -> UInt8Array:
    """Returns 1 where there is a disc, ``(height, width, 1)``."""
    return (labels > 0).astype(np.uint8)[..., None]
