"""What serving needs of a task, without Keras: from an image to network input, and from a score map to objects.

`tasks` holds the whole of each task; `tests/serving/test_readers.py` holds the two to the same answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from nanonuclei.config.experiment import ExperimentConfig, NanotubeExperiment, NucleiExperiment
from nanonuclei.errors import DataError
from nanonuclei.imaging import tube_read_out
from nanonuclei.imaging.instances import Instances, to_run_lengths
from nanonuclei.imaging.normalize import grey_limits, normalize
from nanonuclei.imaging.postprocess import read_instances
from nanonuclei.imaging.tube_objects import Candidate, to_instances
from nanonuclei.imaging.types import Float32Array, Image

_BOX = {"y0": "long", "x0": "long", "y1": "long", "x1": "long"}


class Reader(Protocol):
    """Reads one task's objects off images with the help of its network."""

    def network_input(self, image: Image) -> Float32Array:
        """A full image to what the network takes, ``(height, width, 3)`` float32 in 0..1."""

    def instances(self, score_map: Float32Array) -> Instances:
        """Objects of the score map of a full image, ``(height, width, channels)``, as pixels."""

    def objects(self, score_map: Float32Array) -> list[dict[str, Any]]:
        """The same objects as rows of `COLUMNS`."""


@dataclass(frozen=True)
class NucleiReader:
    """Nuclei by the read-out of their config."""

    config: NucleiExperiment

    def network_input(self, image: Image) -> Float32Array:
        """Returns the normalised image."""
        return normalize(image, grey_limits(image, self.config.normalize))

    def instances(self, score_map: Float32Array) -> Instances:
        """Returns the nuclei of a score map."""
        return read_instances(score_map, self.config.instances)

    def objects(self, score_map: Float32Array) -> list[dict[str, Any]]:
        """Returns the nuclei as rows."""
        found = self.instances(score_map)
        if found.labels is None:
            raise DataError(f"nuclei need their pixels to be answered, got {len(found)} boxes. Take another read-out")
        areas = np.bincount(found.labels.ravel(), minlength=len(found) + 1)[1:].tolist()
        columns = (found.boxes.tolist(), areas, found.scores.tolist(), to_run_lengths(found))
        return [
            {**dict(zip(_BOX, box, strict=True)), "area": area, "score": score, "run_lengths": text}
            for box, area, score, text in zip(*columns, strict=True)
        ]


@dataclass(frozen=True)
class NanotubeReader:
    """Candidates for nanotubes by the read-out of their config, cells being found in the image alone."""

    config: NanotubeExperiment

    def network_input(self, image: Image) -> Float32Array:
        """Returns the normalised image."""
        return normalize(image, grey_limits(image, self.config.normalize))

    def candidates(self, score_map: Float32Array) -> list[Candidate]:
        """Returns the candidates of a score map, the surest first."""
        cells = tube_read_out.read_cells(score_map, self.config.tubes)
        return tube_read_out.read_candidates(score_map, self.config.tubes, cells=cells)

    def instances(self, score_map: Float32Array) -> Instances:
        """Returns the candidates as lines of pixels."""
        return to_instances(self.candidates(score_map), score_map.shape[:2])

    def objects(self, score_map: Float32Array) -> list[dict[str, Any]]:
        """Returns the candidates as rows."""
        rows = (
            dict(zip(tube_read_out.COLUMNS, tube_read_out.candidate_row(found, None, score_map.shape[:2]), strict=True))
            for found in self.candidates(score_map)
        )
        return [{name: row[name] for name in COLUMNS["nanotubes"]} for row in rows]


READERS: Mapping[str, Any] = {"nuclei": NucleiReader, "nanotubes": NanotubeReader}
"""Reader per name of a task."""

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "nuclei": {**_BOX, "area": "long", "score": "double", "run_lengths": "string"},
    "nanotubes": {
        **_BOX,
        **dict.fromkeys(("score", "length", "width", "straightness"), "double"),
        **dict.fromkeys(("first_cell", "last_cell"), "long"),
        "line": "string",
    },
}
"""What is told of an object per name of a task, and MLflow's types: boxes, areas and lengths in px."""

PARAMETERS: Mapping[str, Mapping[str, str]] = {
    "nuclei": {
        "threshold": "instances.threshold",
        "seed_threshold": "instances.seed_threshold",
        "min_area": "instances.min_area",
        "min_score": "instances.min_score",
        "num_views": "windows.num_views",
    },
    "nanotubes": {
        "window_threshold": "tubes.window_threshold",
        "min_score": "tubes.min_score",
        "min_length": "tubes.min_length",
        "max_width": "tubes.max_width",
        "min_straightness": "tubes.min_straightness",
        "joins": "tubes.joins",
    },
}
"""Parameters of a request per name of a task, and the setting that each stands for."""

WORDS = {"nanotubes": ("tubes.joins",)}
"""Settings among them that are words; all others are numbers, and decided before a model is stored."""


def create_reader(config: ExperimentConfig) -> Reader:
    """Returns the reader of the task that a config is for."""
    reader: Reader = READERS[config.task](config)
    return reader
