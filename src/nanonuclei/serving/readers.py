"""What serving needs of a task, without Keras: from an image to network input, and from a score map to objects.

`tasks` holds the whole of each task; `tests/serving/test_readers.py` holds the two to the same answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from nanonuclei.config.experiment import ExperimentConfig, NucleiExperiment, WindowsConfig
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.normalize import grey_limits, normalize
from nanonuclei.imaging.postprocess import read_instances
from nanonuclei.imaging.types import Float32Array, Image


class Reader(Protocol):
    """Reads one task's objects off images with the help of its network."""

    @property
    def windows(self) -> WindowsConfig:
        """How images are covered with windows."""

    @property
    def step(self) -> int:
        """Px of which the network takes multiples."""

    def network_input(self, image: Image) -> Float32Array:
        """A full image to what the network takes, ``(height, width, 3)`` float32 in 0..1."""

    def instances(self, score_map: Float32Array) -> Instances:
        """Objects of the score map of a full image, ``(height, width, channels)``."""


@dataclass(frozen=True)
class NucleiReader:
    """Nuclei by the read-out of their config."""

    config: NucleiExperiment

    @property
    def windows(self) -> WindowsConfig:
        """How images are covered with windows."""
        return self.config.windows

    @property
    def step(self) -> int:
        """Px of which the network takes multiples."""
        return self.config.network.step

    def network_input(self, image: Image) -> Float32Array:
        """Returns the normalised image."""
        return normalize(image, grey_limits(image, self.config.normalize))

    def instances(self, score_map: Float32Array) -> Instances:
        """Returns the nuclei of a score map."""
        return read_instances(score_map, self.config.instances)


READERS: Mapping[str, Any] = {"nuclei": NucleiReader}
"""Reader per name of a task."""

PARAMETERS: Mapping[str, Mapping[str, str]] = {
    "nuclei": {
        "threshold": "instances.threshold",
        "seed_threshold": "instances.seed_threshold",
        "min_area": "instances.min_area",
        "min_score": "instances.min_score",
        "num_views": "windows.num_views",
    }
}
"""Parameters of a request per name of a task, and the setting that each stands for."""


def create_reader(config: ExperimentConfig) -> Reader:
    """Returns the reader of the task that a config is for."""
    reader: Reader = READERS[config.task](config)
    return reader
