"""Reads candidates for nanotubes off images: a scanned classifier of windows, and lines in the image. No Keras."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nanonuclei.config.channels import NO_CHANNEL, Channel
from nanonuclei.config.pixels import WindowsConfig
from nanonuclei.data.files.numeric import as_light
from nanonuclei.data.files.planes.channels import channel_index
from nanonuclei.errors import TrackingError
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.networks import Network, TileNetwork
from nanonuclei.imaging.normalize import grey_limits, normalize
from nanonuclei.imaging.scan import Scanner
from nanonuclei.imaging.score_maps import score_maps
from nanonuclei.imaging.types import Float32Array, Image, Int32Array, UInt8Array
from nanonuclei.imaging.window_geometry import read_geometry
from nanonuclei.invocation import command
from nanonuclei.tasks.base import Reader
from nanonuclei.tasks.gathering import Gatherer
from nanonuclei.tasks.nanotubes.config import LINE, NanotubeExperiment
from nanonuclei.tasks.nanotubes.lines.candidates import Candidate, to_instances
from nanonuclei.tasks.nanotubes.lines.detection import (
    CANDIDATE_COLUMNS,
    CELLS,
    candidate_row,
    decided,
    read_candidates,
    read_cells,
)
from nanonuclei.tasks.nanotubes.lines.levels import Lights, lights_of
from nanonuclei.tasks.nanotubes.lines.light import brightest_channel
from nanonuclei.tasks.nanotubes.lines.seams import LineGatherer
from nanonuclei.tasks.values import BOX, Noun, Objects, Timing

NOUN = Noun("nanotube", "nanotubes")

OVERLAP = 128
"""px that neighbouring tiles share where each pixel is scored."""

WINDOW = (2048, 384)
"""Side of the windows of a large image, and what neighbours share on each side, px: a nanotube of 768 px is whole in
one of them, and reading objects off the map of one takes 0.7 GB."""

GEOMETRY = "geometry.json"
"""File beside a stored network: how its windows lie."""


class NanotubeReader(Reader):
    """Candidates for nanotubes by the settings of their config, cells being found in the image alone.

    Columns: the box, the ``score``, ``length`` and ``width`` in px, the ``straightness`` (distance of the ends /
    length), ``first_cell`` and ``last_cell`` (numbers of the cells at its ends, 0 for none), and the ``line`` as JSON
    text ``[[x, y], ...]``. Label maps show the lines.
    """

    config: NanotubeExperiment
    noun = NOUN
    lights: Lights | None = None
    """Light of the cells of a large image, see `settled`."""
    nuclei: Image | None = None
    """The channel of the nuclei of one image, see `beside`."""
    columns = {
        **BOX,
        **dict.fromkeys(("score", "length", "width", "straightness"), "double"),
        **dict.fromkeys(("first_cell", "last_cell"), "long"),
        "line": "string",
    }
    table_columns = (
        *(*BOX, "area", "score", "length", "width", "straightness", "strength"),
        *("first_cell", "last_cell", "line"),
    )
    column_texts = {
        "length": ("length of the centre line", "px"),
        "width": ("full width at half maximum, which holds the blur of the microscope", "px"),
        "straightness": ("distance of the ends / length", ""),
        "strength": ("contrast along the line, in standard deviations of the noise", ""),
        "first_cell": ("number of the cell at the first end, 0 for none", ""),
        "last_cell": ("number of the cell at the last end, 0 for none", ""),
        "line": ("centre line, [[x, y], ...], the middle of the first pixel being 0, 0; px", ""),
    }
    layers = {CELLS: "the cells that were counted; first_cell and last_cell are their numbers"}
    parameters = {
        "window_threshold": "tubes.window_threshold",
        "min_score": "tubes.min_score",
        "min_length": "tubes.min_length",
        "max_width": "tubes.max_width",
        "min_straightness": "tubes.min_straightness",
        "joins": "tubes.joins",
    }
    open_settings = {"tubes.window_threshold": "auto", "tubes.min_score": "auto"}
    cautions: ClassVar[Sequence[str]] = (
        "What it finds are candidates: a 2-D image cannot show that they hover above the substrate. Filopodia, "
        "retraction fibres and the links of cells that have just divided may look the same.",
        "Simulated images are not real ones: scores on them say nothing about real nanotubes.",
        "Cells are found in the same grey channel by their light; candidates depend on them where they must join two.",
        "It expects lines and cells as wide, in px, as those of the training images. Scores order candidates by "
        "certainty; they are no probabilities. Not for diagnosis.",
    )
    large_inputs = True

    @property
    def choices(self) -> str:
        """A network that marks lines is read with thresholds and limits of its recipe, not of its own validation."""
        if self.config.network.answer != LINE:
            return super().choices
        return (
            "Thresholds and limits of the read-out are those of the recipe: they were chosen on published panels, "
            "those of the test images among them. No test image was trained on."
        )

    @property
    def channel(self) -> Channel | None:
        """The channel that nanotubes are seen in, as the training's images were read; simulated ones are grey."""
        return None if self.config.data.dataset == "simulated" else self.config.data.channels.tubes

    @property
    def further_channels(self) -> Mapping[str, Channel]:
        """The channel of the nuclei, if cells are counted by them."""
        nuclei = self.config.tubes.nuclei
        return {} if nuclei == NO_CHANNEL else {"tubes.nuclei": nuclei}

    @property
    def window_threshold(self) -> float:
        """Score from which a window counts as positive."""
        return decided(self.config.tubes.window_threshold)

    @property
    def min_score(self) -> float:
        """Score from which a candidate is reported."""
        return decided(self.config.tubes.min_score)

    @property
    def window(self) -> tuple[int, int] | None:
        """Windows in which a nanotube is whole.

        None for a classifier, whose own windows begin at the corner, and where cells are counted by their nuclei, whose
        light is told by the whole image.
        """
        return WINDOW if self.config.network.answer == LINE and not self.further_channels else None

    def gatherer(self, shape: tuple[int, int], file: Path) -> Gatherer:
        """Returns what joins lines across seams."""
        return LineGatherer(self._seen, self.config.tubes, shape, file)

    def network_input(self, image: Image) -> Float32Array:
        """Returns the normalised image, grey: of a colour image each pixel's brightest colour."""
        return self.scaled_by(image)(image)

    def scaled_by(self, sample: Image) -> Callable[[Image], Float32Array]:
        """Returns what normalises windows by the percentiles of a sample of the whole image."""
        limits = grey_limits(brightest_channel(sample), self.config.normalize)
        return lambda image: normalize(brightest_channel(image), limits)

    def settled(self, network: Network, parts: Sequence[Float32Array]) -> NanotubeReader:
        """Returns a reader to which the light of cells is what parts of an image tell together."""
        reader = NanotubeReader(self.config)
        reader.lights = lights_of([np.ascontiguousarray(part[..., 0]) for part in parts], self.config.tubes)
        return reader

    def beside(self, channels: NDArray[Any], names: Sequence[str]) -> NanotubeReader:
        """Returns a reader that parts cells by their nuclei, where `tubes.nuclei` names their channel."""
        if not self.further_channels:
            return self
        ((setting, channel),) = self.further_channels.items()
        reader = NanotubeReader(self.config)
        reader.nuclei = as_light(channels[channel_index(names, channel, setting=setting) or 0])
        return reader

    def score_maps(self, network: Network, inputs: Iterable[Float32Array]) -> Iterator[Float32Array]:
        """Yields, per image, the score of the nearest window or of the pixel, and the grey value.

        Yields:
            ``(height, width, 2)`` float32 in 0..1.

        Raises:
            TrackingError: It is not known how the windows of the network lie.
            ConfigError: A tile holds no window with its margins.
        """
        if self.config.network.answer == LINE:
            return map(functools.partial(self._marked, network), inputs)
        scanner = Scanner(self._scanning(network), self.config.windows.tile)
        return map(scanner.score_map, inputs)

    def cells(self, score_map: Float32Array, nuclei: Image | None = None) -> Int32Array:
        """Returns labels of the cells.

        Args:
            score_map: ``(height, width, 2)``: scores, image.
            nuclei: The channel of the nuclei, if there is one; None: that of `beside`.
        """
        nuclei = self.nuclei if nuclei is None else nuclei
        seeds = None if nuclei is None else self.network_input(nuclei)[..., 0]
        return read_cells(score_map, self.config.tubes, nuclei=seeds, lights=self.lights)

    def candidates(
        self, score_map: Float32Array, cells: Int32Array, *, min_score: float | None = None
    ) -> list[Candidate]:
        """Returns the candidates of an image, the surest first.

        Args:
            score_map: ``(height, width, 2)``: scores, image.
            cells: Labels of the cells.
            min_score: Instead of the config's.
        """
        return read_candidates(score_map, self.config.tubes, cells=cells, min_score=min_score, lights=self.lights)

    def instances(self, score_map: Float32Array, shape: tuple[int, int]) -> Instances:
        """Returns the candidates as lines of pixels."""
        return to_instances(self.candidates(score_map, self.cells(score_map)), shape)

    def objects(self, score_map: Float32Array, shape: tuple[int, int]) -> Objects:
        """Returns the candidates with their rows, and the counts that biologists report."""
        cells = self.cells(score_map)
        candidates = self.candidates(score_map, cells)
        found = to_instances(candidates, shape)
        areas = np.bincount(found.pixels().ravel(), minlength=len(found) + 1)[1:].tolist()
        rows: list[dict[str, Any]] = [
            {"area": area, **dict(zip(CANDIDATE_COLUMNS, candidate_row(candidate, None, shape), strict=True))}
            for candidate, area in zip(candidates, areas, strict=True)
        ]
        num_cells = int(cells.max())
        per_cell = round(len(candidates) / num_cells, 4) if num_cells else float("nan")
        return Objects(found, rows, {"num_cells": num_cells, "objects_per_cell": per_cell}, {CELLS: cells})

    def with_files(self, network: Network, files: Mapping[str, Path]) -> Network:
        """Returns the network with how its windows lie.

        Raises:
            DataError: The file holds no geometry.
        """
        if GEOMETRY not in files:
            return network
        return TileNetwork(network, read_geometry(files[GEOMETRY].read_text(encoding="utf-8")))

    def timing(self, network: Network) -> Timing:
        """Returns a call with one whole tile."""
        if self.config.network.answer == LINE:
            return Timing(network, self.config.windows.tile, self.config.windows.tile)
        scanning = self._scanning(network)
        number = scanning.geometry.windows_in(self.config.windows.tile)
        return Timing(scanning, scanning.geometry.extent(number), number * scanning.geometry.stride)

    def example(self) -> UInt8Array:
        """Returns two cells that a nanotube joins."""
        y, x = np.mgrid[:64, :96]
        cells = sum(np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 60.0) for cy, cx in ((32, 16), (32, 80)))
        tube = 0.5 * np.exp(-((y - 32) ** 2) / 2.0) * ((x > 16) & (x < 80))
        return np.asarray(20 + 180 * np.clip(np.maximum(cells, tube), 0, 1), np.uint8)

    @property
    def look_threshold(self) -> float:
        """Score of a positive window."""
        return self.window_threshold

    def _seen(self, score_map: Float32Array) -> tuple[Int32Array, list[Candidate]]:
        cells = self.cells(score_map)
        return cells, self.candidates(score_map, cells)

    def _marked(self, network: Network, image: Float32Array) -> Float32Array:
        """Returns the map of one image, seen in tiles that overlap by `OVERLAP` px."""
        (marked,) = score_maps(network, [image], config=self._tiles, step=2**self.config.network.depth)
        return np.stack([marked[..., 0], image[..., 0]], axis=-1)

    @property
    def _tiles(self) -> WindowsConfig:
        windows = self.config.windows
        overlap = min(OVERLAP, windows.tile // 2)
        return WindowsConfig(
            precision=windows.precision,
            size=windows.tile,
            stride=windows.tile - overlap,
            batch_size=1,
            num_views=1,
            diameter="none",
            best_diameter=64.0,  # of no effect where `diameter` is none
        )

    def _scanning(self, network: Network) -> TileNetwork:
        if not isinstance(network, TileNetwork):
            raise TrackingError(
                f"a network that scans must tell how its windows lie, but {type(network).__name__} does not. Log the "
                f"model again with `{command('train', task=self.config.task)}`"
            )
        return network
