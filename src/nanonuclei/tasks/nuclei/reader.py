"""Reads nuclei off images: windows of a U-Net, blended, then components or a watershed. No Keras."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from nanonuclei.imaging.instances import Instances, to_run_lengths
from nanonuclei.imaging.networks import Network, with_views
from nanonuclei.imaging.normalize import grey_limits, normalize
from nanonuclei.imaging.postprocess import read_instances
from nanonuclei.imaging.score_maps import score_maps
from nanonuclei.imaging.types import Float32Array, Image, UInt8Array
from nanonuclei.tasks.base import Reader
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tasks.values import BOX, Noun, Objects, Timing

NOUN = Noun("nucleus", "nuclei")


class NucleiReader(Reader):
    """Nuclei by the settings of their config.

    Columns: the box, the ``area`` in px, the ``score``, and ``run_lengths``: 1-based ``start length`` pairs down the
    columns, as the Data Science Bowl 2018 wrote them.
    """

    config: NucleiExperiment
    noun = NOUN
    columns = {**BOX, "area": "long", "score": "double", "run_lengths": "string"}
    table_columns = (*BOX, "area", "score")
    parameters = {
        "threshold": "instances.threshold",
        "seed_threshold": "instances.seed_threshold",
        "min_area": "instances.min_area",
        "min_score": "instances.min_score",
        "num_views": "windows.num_views",
    }
    cautions = (
        "Trained on 2D light microscopy: fluorescence, stained tissue, a few brightfield images. Other modalities, 3D "
        "stacks and magnifications far from those of the training images were never seen.",
        "Grey values are scaled by percentiles of the whole image: an image without any nucleus still gives scores.",
        "Scores order objects by certainty; they are no probabilities. Not for diagnosis.",
    )

    def network_input(self, image: Image) -> Float32Array:
        """Returns the normalised image."""
        return normalize(image, grey_limits(image, self.config.normalize))

    def score_maps(self, network: Network, inputs: Iterable[Float32Array]) -> Iterator[Float32Array]:
        """Yields blended answers of overlapping windows, in as many views as the config says."""
        windows = self.config.windows
        viewed = with_views(network, num_views=windows.num_views)
        return score_maps(viewed, inputs, config=windows, step=self.config.network.step)

    def instances(self, score_map: Float32Array) -> Instances:
        """Returns the nuclei of a score map."""
        return read_instances(score_map, self.config.instances)

    def objects(self, score_map: Float32Array) -> Objects:
        """Returns the nuclei of a score map with their rows."""
        found = self.instances(score_map)
        areas = np.bincount(found.pixels().ravel(), minlength=len(found) + 1)[1:].tolist()
        columns = (found.boxes.tolist(), areas, found.scores.tolist(), to_run_lengths(found))
        rows = [
            {**dict(zip(BOX, box, strict=True)), "area": area, "score": score, "run_lengths": text}
            for box, area, score, text in zip(*columns, strict=True)
        ]
        return Objects(found, rows)

    def timing(self, network: Network) -> Timing:
        """Returns a call with one whole window."""
        windows = self.config.windows
        return Timing(with_views(network, num_views=windows.num_views), windows.size, windows.size)

    def example(self) -> UInt8Array:
        """Returns three soft discs."""
        y, x = np.mgrid[:64, :64]
        shown = sum(np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 60.0) for cy, cx in ((16, 20), (40, 44), (46, 14)))
        return np.asarray(20 + 180 * np.clip(shown, 0, 1), np.uint8)
