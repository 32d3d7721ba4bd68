"""Reads nuclei off images: windows of a U-Net, blended, then components or a watershed. No Keras."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.files.planes.channels import NUCLEAR_STAINS
from nanonuclei.imaging.instances import Instances, to_run_lengths, without_slivers
from nanonuclei.imaging.networks import Network, with_views
from nanonuclei.imaging.normalize import grey_limits, normalize
from nanonuclei.imaging.postprocess import foreground_of, read_instances
from nanonuclei.imaging.seams.grid import MARGIN, SIDE
from nanonuclei.imaging.sizing.diameters import Sizing
from nanonuclei.imaging.sizing.estimate import OCTAVES
from nanonuclei.imaging.sizing.resizing import instances_to_shape, to_shape
from nanonuclei.imaging.types import Float32Array, Image, UInt8Array
from nanonuclei.tasks.base import Reader
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tasks.values import BOX, Noun, Objects, Timing

NOUN = Noun("nucleus", "nuclei")

SLIVER = 3
"""px of a nucleus at the image's border that are too few to tell it. On the validation images of the Data Science Bowl
2018 the mean AP is .6144 with 3 px, .6134 with none and .6116 with 5."""


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
        "diameter": "windows.diameter",
    }
    open_settings = {"instances.tune": True}
    stains = NUCLEAR_STAINS
    cautions = (
        "Made for 2D light microscopy of the kinds that it was trained on. 3D stacks were never seen. A model that "
        "estimates sizes was shown nuclei of 6 to 120 px.",
        "Grey values are scaled by percentiles of the whole image: without any nucleus, noise has full contrast.",
        "Scores order objects by certainty; they are no probabilities. Not for diagnosis.",
    )

    @property
    def window(self) -> tuple[int, int]:
        """Windows of `SIDE` px: nuclei are small beside their margins."""
        return SIDE, MARGIN

    def network_input(self, image: Image) -> Float32Array:
        """Returns the normalised image."""
        return self.scaled_by(image)(image)

    def scaled_by(self, sample: Image) -> Callable[[Image], Float32Array]:
        """Returns what normalises windows by the percentiles of a sample of the whole image."""
        limits = grey_limits(sample, self.config.normalize)
        return lambda image: normalize(image, limits)

    def settled(self, network: Network, parts: Sequence[Float32Array]) -> NucleiReader:
        """Returns a reader whose `windows.diameter` is the one that parts of an image tell together."""
        windows = self.config.windows
        if windows.diameter != "auto":
            return self
        viewed = with_views(network, num_views=windows.num_views)
        factor = Sizing(viewed, windows, self.config.network.step).common_factor(parts)
        fixed = windows.model_copy(update={"diameter": windows.best_diameter / factor})
        return NucleiReader(self.config.model_copy(update={"windows": fixed}))

    def score_maps(self, network: Network, inputs: Iterable[Float32Array]) -> Iterator[Float32Array]:
        """Yields blended answers of overlapping windows, in as many views as the config says.

        The map has the size in which the image was shown, so that its nuclei were as large as the network knows them
        best.

        Raises:
            ConfigError: `windows.diameter` is larger than an image.
        """
        windows = self.config.windows
        viewed = with_views(network, num_views=windows.num_views)
        return Sizing(viewed, windows, self.config.network.step).maps(inputs)

    def classes(self, score_map: Float32Array) -> Float32Array:
        """Returns a score map without the diameters behind the scores."""
        return score_map[..., :-1] if self.config.target.diameter else score_map

    def in_shape(self, score_map: Float32Array, shape: tuple[int, int]) -> Float32Array:
        """Returns a score map in the height and width of the image, its diameters in px of the image."""
        whole = to_shape(score_map, shape)
        if not self.config.target.diameter or score_map.shape[:2] == shape:
            return whole
        octaves = math.log2(shape[0] / score_map.shape[0])
        return np.concatenate([whole[..., :-1], whole[..., -1:] + np.float32(octaves / OCTAVES)], axis=-1)

    def instances(self, score_map: Float32Array, shape: tuple[int, int]) -> Instances:
        """Returns the nuclei of a score map, in the size of the image.

        Where the image was enlarged for the network, half of the least area in px of the image is enough.
        """
        classes, config = self.classes(score_map), self.config.instances
        enlarged = max(1.0, score_map.shape[0] / shape[0])
        least = max(config.min_area, round(config.min_area / 2 * enlarged**2))
        config = config.model_copy(update={"min_area": least})
        found = read_instances(classes, config)
        if classes.shape[:2] != shape:
            found = instances_to_shape(found, foreground_of(classes), threshold=config.threshold, shape=shape)
        return without_slivers(found, thickness=SLIVER)

    def objects(self, score_map: Float32Array, shape: tuple[int, int]) -> Objects:
        """Returns the nuclei of a score map with their rows, and their median diameter in px of the image."""
        found = self.instances(score_map, shape)
        areas = np.bincount(found.pixels().ravel(), minlength=len(found) + 1)[1:]
        return Objects(found, _Rows(found, areas), self.measures(areas, shown=score_map.shape[0] / shape[0]))

    def measures(self, areas: NDArray[np.int64], *, shown: float) -> dict[str, float]:
        """Returns the median diameter of the nuclei, px, and by how much the image was enlarged for the network."""
        diameter = float(np.median(np.sqrt(4.0 / np.pi * areas))) if len(areas) else float("nan")
        return {"diameter": round(diameter, 2), "shown_at": round(shown, 3)}

    def timing(self, network: Network) -> Timing:
        """Returns a call with one whole window."""
        windows = self.config.windows
        return Timing(with_views(network, num_views=windows.num_views), windows.size, windows.size)

    def example(self) -> UInt8Array:
        """Returns three soft discs."""
        y, x = np.mgrid[:64, :64]
        shown = sum(np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 60.0) for cy, cx in ((16, 20), (40, 44), (46, 14)))
        return np.asarray(20 + 180 * np.clip(shown, 0, 1), np.uint8)


class _Rows(Sequence[Mapping[str, Any]]):
    """A row per nucleus, made when the first is asked for: tables need none, and run lengths take time."""

    def __init__(self, found: Instances, areas: NDArray[np.int64]) -> None:
        self._found, self._areas = found, areas

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, place: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Mapping[str, Any]]: ...

    def __getitem__(self, place: int | slice) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
        return self._rows[place]

    @functools.cached_property
    def _rows(self) -> list[dict[str, Any]]:
        found = self._found
        columns = (found.boxes.tolist(), self._areas.tolist(), found.scores.tolist(), to_run_lengths(found))
        return [
            {**dict(zip(BOX, box, strict=True)), "area": area, "score": score, "run_lengths": text}
            for box, area, score, text in zip(*columns, strict=True)
        ]
