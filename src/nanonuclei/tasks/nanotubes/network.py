"""Where are the nanotubes: a scanned classifier of windows, lines read off the image; scored by window, line, count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nanonuclei.data.catalog import SampleRef
from nanonuclei.imaging.networks import Network, TileNetwork
from nanonuclei.imaging.scan import check_tile
from nanonuclei.imaging.types import Float32Array
from nanonuclei.imaging.window_geometry import WindowGeometry, geometry_text
from nanonuclei.imaging.windows import Window
from nanonuclei.models.as_networks import uncompiled
from nanonuclei.models.optimizers import optimizer
from nanonuclei.models.phases import Phase, phases
from nanonuclei.tasks.base import Task
from nanonuclei.tasks.nanotubes import binned_scores
from nanonuclei.tasks.nanotubes.batches import WindowTrainBatches, WindowValidationBatches, scored_windows
from nanonuclei.tasks.nanotubes.classifier import freeze, load_trunk, window_classifier, window_geometry
from nanonuclei.tasks.nanotubes.lines.detection import CANDIDATE_COLUMNS, UNDECIDED, candidate_row
from nanonuclei.tasks.nanotubes.reader import GEOMETRY, NanotubeReader
from nanonuclei.tasks.nanotubes.score import (
    LOWER_IS_BETTER,
    METRIC_NAMES,
    bins_of,
    count_statistics,
    counted,
    line_statistics,
    match,
    score,
    window_statistics,
)
from nanonuclei.tasks.nanotubes.sources.samples import TubeTruth, nuclei_image, tube_truth
from nanonuclei.tasks.nanotubes.target import label_windows
from nanonuclei.tasks.values import Assessment, Decided, MapsOf, Report, Statistics

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class NanotubeTask(NanotubeReader, Task):
    """The nanotubes task; see `tasks.base` for what each method promises."""

    metric_names = METRIC_NAMES
    curve_names = {
        "accuracy": ("Accuracy of windows (higher is better)", "share of windows"),
        "pr_auc": ("PR-AUC of windows (higher is better)", "area under precision-recall"),
    }
    charted = ("window_pr_auc", "window_accuracy", "object_precision", "object_recall", "object_f1")
    headlines = ("object_f1", "window_pr_auc", "tcr_error")
    lower_is_better = LOWER_IS_BETTER
    gap_metrics = ("window_accuracy", "window_pr_auc")

    @property
    def geometry(self) -> WindowGeometry:
        """Window, margin and stride."""
        return window_geometry(self.config.network, window=self.config.train.patch_size)

    def check(self) -> None:
        """Checks that the windows fit the network, and a tile of the scan holds one.

        Raises:
            ConfigError: They do not.
        """
        check_tile(self.config.windows.tile, self.geometry)

    def batches(self, samples: Sequence[SampleRef], *, training: bool) -> keras.utils.PyDataset:
        """Returns tiles of labelled windows; those between positive and negative weigh nothing."""
        kind = WindowTrainBatches if training else WindowValidationBatches
        return kind(samples, config=self.config, geometry=self.geometry)

    def build_network(self) -> keras.Model:
        """Returns the classifier of windows."""
        return window_classifier(self.config.network, window=self.config.train.patch_size)

    def build_model(self) -> keras.Model:
        """Returns the classifier, its trunk pretrained if the config says so, compiled for the first phase.

        Raises:
            ConfigError: The weights of the trunk cannot be had.
        """
        model = self.build_network()
        load_trunk(model, self.config.network)
        self.compile_for(model, phases(self.config.train)[0])
        return model

    def freeze(self, model: keras.Model, *, frozen: bool) -> None:
        """Freezes the trunk, or lets its last layers learn."""
        freeze(model, self.config.network, frozen=frozen)

    def compile_for(self, model: keras.Model, phase: Phase) -> None:
        """Chooses what learns, and compiles anew."""
        self.freeze(model, frozen=phase.frozen)
        model.compile(
            optimizer=optimizer(self.config.train, phase),
            loss=keras.losses.BinaryCrossentropy(
                label_smoothing=self.config.loss.label_smoothing, reduction="mean_with_sample_weight"
            ),
            weighted_metrics=[
                keras.metrics.BinaryAccuracy(name="accuracy"),
                keras.metrics.AUC(curve="PR", name="pr_auc"),
            ],
        )

    def as_network(self, model: keras.Model) -> Network:
        """Returns the classifier as the network of a scan: tiles have as many shapes as images."""
        return TileNetwork(uncompiled(model), self.geometry)

    @property
    def training_side(self) -> int:
        """Side of a training tile, px."""
        return self.geometry.extent(self.config.train.tile_windows)

    @property
    def export_shapes(self) -> Sequence[tuple[int, ...]]:
        """A tile of three windows, and a larger one."""
        extent = self.geometry.extent
        return ((2, extent(1), extent(3), 3), (1, extent(4), extent(2), 3))

    def network_files(self) -> Mapping[str, str]:
        """Returns how the windows of the network lie."""
        return {GEOMETRY: geometry_text(self.geometry)}

    def assess(self, sample: SampleRef, score_map: Float32Array) -> Assessment:
        """Scores one image: its windows, its candidates, its count."""
        truth = tube_truth(sample)
        cells = self.cells(score_map, nuclei_image(sample))
        found = self.candidates(score_map, cells)
        hits, num_true = match(truth, found)
        kept = counted(truth, found, hits)
        found, hits = [candidate for candidate, keep in zip(found, kept, strict=True) if keep], hits[kept]
        megapixels = score_map.shape[0] * score_map.shape[1] / 1e6
        figures: Statistics = {"images": 1.0, "megapixels": megapixels, **self._window_statistics(truth, score_map)}
        figures |= line_statistics(hits, num_true)
        figures |= count_statistics(truth, num_true=num_true, num_found=len(found), num_cells=int(cells.max()))
        rows = [candidate_row(candidate, truth.pixel_size, score_map.shape[:2]) for candidate in found]
        objects = pd.DataFrame(rows, columns=list(CANDIDATE_COLUMNS))
        objects.insert(0, "matched", hits.astype(float) if truth.kind != "patch" else np.full(len(found), np.nan))
        return Assessment(figures, objects)

    def decide(self, samples: Sequence[SampleRef], score_maps: Iterable[Float32Array]) -> Decided:
        """Returns the thresholds that are left open, of the highest F1 over windows and over candidates."""
        settings: dict[str, float] = {}
        maps = list(score_maps)
        task: NanotubeTask = self
        if self.config.tubes.window_threshold == "auto":
            rows = [self._window_statistics(tube_truth(s), m) for s, m in zip(samples, maps, strict=True)]
            sums = {name: np.array(sum(row[name] for row in rows)) for name in rows[0]}
            settings["tubes.window_threshold"] = round(binned_scores.best_threshold(*bins_of(sums)), 4)
            tubes = self.config.tubes.model_copy(update={"window_threshold": settings["tubes.window_threshold"]})
            task = type(self)(self.config.model_copy(update={"tubes": tubes}))
        if self.config.tubes.min_score == "auto":
            settings["tubes.min_score"] = round(task._best_min_score(samples, maps), 4)
        return Decided(settings, {f"chosen/{path}": value for path, value in settings.items()})

    def score(self, sums: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Returns the metrics of a set of images; see `tasks.nanotubes.score`."""
        return score(sums)

    def figures(
        self, report: Report, samples: Sequence[SampleRef], *, maps: MapsOf, split: str
    ) -> Iterator[tuple[str, Figure | str]]:
        """Yields curves, calibration, counts, candidates as GeoJSON, and images with their lines."""
        from nanonuclei.tasks.nanotubes.figures import figures

        return figures(self, report, samples, maps=maps, split=split)

    def window_scores(self, score_map: Float32Array) -> tuple[tuple[Window, ...], Float32Array]:
        """Returns windows of a scan side by side, and their scores."""
        shape = (score_map.shape[0], score_map.shape[1])
        windows = scored_windows(shape, self.geometry)
        half = self.geometry.window // 2
        middles = np.array([(window.y0 + half, window.x0 + half) for window in windows])
        return windows, score_map[..., 0][tuple(np.minimum(middles, np.array(shape) - 1).T)]

    def _window_statistics(self, truth: TubeTruth, score_map: Float32Array) -> Statistics:
        windows, scores = self.window_scores(score_map)
        labels = label_windows(truth, windows, self.config.data.labels)
        return window_statistics(labels, scores, threshold=self.window_threshold)

    def _best_min_score(self, samples: Sequence[SampleRef], score_maps: Sequence[Float32Array]) -> float:
        scores, hits, total = [], [], 0
        for sample, score_map in zip(samples, score_maps, strict=True):
            truth = tube_truth(sample)
            found = self.candidates(score_map, self.cells(score_map, nuclei_image(sample)), min_score=0.0)
            matched, num_true = match(truth, found)
            if truth.kind != "patch":
                kept = counted(truth, found, matched)
                scores += [candidate.score for candidate, keep in zip(found, kept, strict=True) if keep]
                hits += matched[kept].tolist()
                total += num_true
        if not any(hits):
            return UNDECIDED
        order = np.argsort(-np.array(scores), kind="stable")
        f1 = 2.0 * np.cumsum(np.array(hits)[order]) / (np.arange(1, len(order) + 1) + total)
        best = int(np.argmax(f1))
        # Between the last that is kept and the first that is not, so that rounding keeps them apart.
        behind = scores[order[best + 1]] if best + 1 < len(order) else 0.0
        return float(np.clip((scores[order[best]] + behind) / 2.0, 0.0, 1.0))
