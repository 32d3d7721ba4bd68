"""Reads discs off the scores of whole images. No Keras."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from discs.config import DiscsExperiment
from nanonuclei.imaging.instances import from_labels
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.normalize import grey_limits, normalize
from nanonuclei.imaging.types import Float32Array, Image, UInt8Array
from nanonuclei.tasks.base import Reader
from nanonuclei.tasks.values import BOX, Noun, Objects, Timing

NOUN = Noun("disc", "discs")
SIDE = 96


class DiscsReader(Reader):
    """Discs are connected parts above a threshold."""

    config: DiscsExperiment
    noun = NOUN
    columns = {**BOX, "score": "double", "diameter": "double"}
    table_columns = tuple(columns)
    parameters = {"threshold": "reading.threshold", "min_area": "reading.min_area"}
    cautions = ("Knows bright discs and nothing else.",)

    def network_input(self, image: Image) -> Float32Array:
        """Returns the normalised image."""
        return normalize(image, grey_limits(image, self.config.normalize))

    def score_maps(self, network: Network, inputs: Iterable[Float32Array]) -> Iterator[Float32Array]:
        """Runs the network over each image as a whole."""
        return (network(image[None])[0] for image in inputs)

    def objects(self, score_map: Float32Array, shape: tuple[int, int]) -> Objects:
        """Returns the discs with their diameters, px; a score map is as large as its image."""
        mask = (score_map[..., 0] >= self.config.reading.threshold).astype(np.uint8)
        labels = cv2.connectedComponents(mask, connectivity=4)[1]
        areas = np.bincount(labels.ravel())
        found = from_labels(np.where((areas >= self.config.reading.min_area)[labels], labels, 0), score_map[..., 0])
        sizes = np.bincount(found.pixels().ravel(), minlength=len(found) + 1)[1:]
        rows = [
            {**dict(zip(BOX, box, strict=True)), "score": score, "diameter": float(np.sqrt(4 * size / np.pi))}
            for box, score, size in zip(found.boxes.tolist(), found.scores.tolist(), sizes, strict=True)
        ]
        return Objects(found, rows, {"covered": float(np.mean(found.pixels() > 0))})

    def timing(self, network: Network) -> Timing:
        """Returns a call with one image."""
        return Timing(network, SIDE, SIDE)

    def example(self) -> UInt8Array:
        """Returns one disc."""
        return cv2.circle(np.full((64, 64), 60, np.uint8), (30, 30), 8, 180, -1)
