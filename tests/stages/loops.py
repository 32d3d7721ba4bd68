"""What the loop of corrections is tried on, a task each: images with their truth, a model that misses some of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tests.conftest import TINY_TUBES, disc_labels

from nanonuclei.config.params import Scalar
from nanonuclei.imaging.instances import from_labels
from nanonuclei.report.exports.outlines import outlines

NUM_IMAGES = 8


@dataclass(frozen=True)
class Loop:
    """One task.

    Attributes:
        dataset: Of its corrected images.
        compared: The metric of the gate.
        settings: Of the model to begin with, on top of the small ones of its fixture.
        short: Of the fine-tuning.
        counted: What `fetch` says of all images.
        image: Draws an image by its number.
        geometries: The true objects of an image, as GeoJSON has them.
    """

    dataset: str
    compared: str
    settings: dict[str, Scalar]
    short: list[str]
    counted: str
    image: Callable[[int], np.ndarray]
    geometries: Callable[[int], list[dict[str, Any]]]

    def write_images(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for number in range(NUM_IMAGES):
            cv2.imwrite(str(folder / f"field{number}.png"), self.image(number))

    def mend(self, folder: Path) -> None:
        """Saves the true objects over what was predicted, as a person does in QuPath."""
        for number in range(NUM_IMAGES):
            features = [
                {"type": "Feature", "geometry": geometry, "properties": {"objectType": "annotation"}}
                for geometry in self.geometries(number)
            ]
            path = folder / "images" / f"field{number}.geojson"
            path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def _discs(number: int) -> np.ndarray:
    return disc_labels((64, 64), [(14.0, 10.0 + 3 * number, 6.0), (40.0, 44.0 - 3 * number, 8.0), (54.0, 54.0, 5.0)])


def _disc_image(number: int) -> np.ndarray:
    """Three nuclei, of which the last is dim."""
    labels = _discs(number)
    return np.select([labels == 3, labels > 0], [90, 230], 5 + number).astype(np.uint8)


def _outlines(number: int) -> list[dict[str, Any]]:
    found = outlines(from_labels(_discs(number)))
    return [{"type": "Polygon", "coordinates": [list(map(list, one.exterior.coords))]} for one in found]


def _ends(number: int) -> list[list[list[int]]]:
    """Two lines, x and y of their ends."""
    return [[[10, 20 + number], [110, 30 - number]], [[10, 70 - number], [110, 80 + number]]]


def marked_lines(number: int) -> np.ndarray:
    """The pixels of the lines, 1, on ground, 0."""
    lines = np.zeros((96, 120), np.uint8)
    for first, last in _ends(number):
        cv2.line(lines, first, last, 1, 2)
    return lines


def line_image(number: int) -> np.ndarray:
    drawn = np.random.default_rng(number).normal(12.0, 2.0, (96, 120))
    blurred = cv2.GaussianBlur(180 * marked_lines(number), (0, 0), 0.8)
    return np.clip(drawn + blurred, 0, 255).astype(np.uint8)


def _lines(number: int) -> list[dict[str, Any]]:
    return [{"type": "LineString", "coordinates": [[x + 0.5, y + 0.5] for x, y in ends]} for ends in _ends(number)]


PLAIN = [f"marking.{chance}=0" for chance in ("invert", "other_stain", "burnt", "empty", "shade", "blur", "camera")]
"""What a network of a few thousand weights cannot learn in seconds is not shown to it."""

LOOPS = {
    "nuclei": Loop(
        "mine",
        "iou",
        {"data.simulated.num_images": 12, "data.simulated.size": 64},
        ["train.patch_size=32", "train.learning_rate=0.01"],
        f"{NUM_IMAGES} images ({NUM_IMAGES} new or corrected again), 24 nuclei",
        _disc_image,
        _outlines,
    ),
    "nanotubes": Loop(
        "mine-tnt",
        "object_f1",
        {
            **TINY_TUBES,
            "network.answer": "line",
            "network.kind": "mobilenetv2",
            "network.weights": "none",
            "network.depth": 2,
            "network.base_filters": 4,
            "train.patch_size": 64,
            "tubes.lines": "map",
            "tubes.window_threshold": 0.5,
            "tubes.min_score": 0.6,
            "data.simulated.num_images": 12,
            "data.simulated.size": 128,
            "data.simulated.cell_radius": 12.0,
            "data.simulated.tubes_per_cell": 1.0,
            "data.simulated.tile": 0,
            "data.simulated.distractors": 0.0,
            "data.simulated.noise": 0.0,
        },
        [
            "train.learning_rate=0.005",
            "train.steps_per_epoch=120",  # with 60 it depends on the rounding whether a line is found at all
            "marking.narrowest=1.5",
            "marking.broadest=4",
            "marking.simulated=0",
            *PLAIN,
        ],
        f"{NUM_IMAGES} images ({NUM_IMAGES} new or corrected again), 16 nanotubes and 0 doubtful ones",
        line_image,
        _lines,
    ),
}
