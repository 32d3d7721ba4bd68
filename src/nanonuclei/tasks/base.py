"""What a task is: everything that differs between finding nuclei and finding nanotubes, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.data.catalog import SampleRef
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.types import Float32Array, Image, Labels
from nanonuclei.models.phases import Phase

Statistics = dict[str, float]
"""Figures of one image that may be added over images: counts, sums, and `images` = 1."""


class Task(Protocol):
    """One question about images. Implementations hold a config and no other state."""

    config: ExperimentConfig

    def batches(self, samples: Sequence[SampleRef], *, training: bool) -> keras.utils.PyDataset:
        """An endless augmented stream for training, or every patch of a split once."""

    def build_network(self) -> keras.Model:
        """The network with random weights, not compiled; needs no file of weights."""

    def build_model(self) -> keras.Model:
        """The network as a training begins with it, pretrained where the config says so, compiled for phase one."""

    def compile_for(self, model: keras.Model, phase: Phase) -> None:
        """Chooses the weights that learn in a phase, and compiles with loss, metrics and a new optimizer."""

    def network_input(self, image: Image) -> Float32Array:
        """A full image to what the network takes, ``(height, width, 3)`` float32 in 0..1."""

    def instances(self, score_map: Float32Array) -> Instances:
        """Reads objects off the score map of a full image, ``(height, width, channels)``."""

    def score(self, sums: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Metrics from statistics summed over images; works on arrays, one entry per resampling."""


@runtime_checkable
class LabelsTask(Protocol):
    """A task whose truth is a label map."""

    def statistics(self, labels: Labels, score_map: Float32Array, found: Instances) -> Statistics:
        """What one image adds to the score."""


@dataclass(frozen=True)
class Assessment:
    """One image scored.

    Attributes:
        statistics: What it adds to the score.
        objects: One row per found object: at least ``score`` and ``matched``.
    """

    statistics: Statistics
    objects: pd.DataFrame


@runtime_checkable
class SampleTask(Protocol):
    """A task whose truth is more than a label map, and which has thresholds to decide on validation images."""

    def assess(self, sample: SampleRef, score_map: Float32Array) -> Assessment:
        """Scores one image."""

    def decide(self, samples: Sequence[SampleRef], score_maps: Sequence[Float32Array]) -> Mapping[str, float]:
        """Settings, by path, that the config leaves open, as they are best on these images."""
