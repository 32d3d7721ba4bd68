"""Where are the nanotubes: a scanned classifier of windows, lines read off the image; scored by window, line, count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nanonuclei.config.nanotubes import NanotubeExperiment
from nanonuclei.data.catalog import SampleRef
from nanonuclei.data.tubes import TubeTruth, nuclei_image, tube_truth
from nanonuclei.data.window_batches import WindowTrainBatches, WindowValidationBatches, scored_windows
from nanonuclei.data.window_labels import label_windows
from nanonuclei.imaging import binned_scores
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.line_matching import LineMatches, match_lines
from nanonuclei.imaging.normalize import grey_limits, normalize
from nanonuclei.imaging.tube_objects import Candidate, to_instances
from nanonuclei.imaging.tube_read_out import COLUMNS, UNDECIDED, candidate_row, decided, read_candidates, read_cells
from nanonuclei.imaging.types import Float32Array, Image, Int32Array
from nanonuclei.imaging.window_geometry import WindowGeometry
from nanonuclei.models.optimizers import optimizer
from nanonuclei.models.phases import Phase, phases
from nanonuclei.models.window_classifier import freeze, load_trunk, window_classifier, window_geometry
from nanonuclei.tasks.base import Assessment, Statistics

LIMITS = 1.96
"""Standard deviations of the differences within the limits of agreement (Bland and Altman 1986, Lancet 327, 307)."""

BINS = {kind: [f"{kind}_windows_{place:03}" for place in range(binned_scores.NUM_BINS)] for kind in ("with", "without")}
"""Statistics that count windows with and without nanotubes per bin of scores."""


class NanotubeTask:
    """The nanotubes task; see `tasks.base` for what each method promises."""

    def __init__(self, config: NanotubeExperiment) -> None:
        self.config = config

    @property
    def geometry(self) -> WindowGeometry:
        """Window, margin and stride."""
        return window_geometry(self.config.network, window=self.config.train.patch_size)

    @property
    def window_threshold(self) -> float:
        """Score from which a window counts as positive."""
        return decided(self.config.tubes.window_threshold)

    @property
    def min_score(self) -> float:
        """Score from which a candidate is reported."""
        return decided(self.config.tubes.min_score)

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

    def compile_for(self, model: keras.Model, phase: Phase) -> None:
        """Freezes the trunk or lets its last layers learn, and compiles anew."""
        freeze(model, self.config.network, frozen=phase.frozen)
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

    def network_input(self, image: Image) -> Float32Array:
        """Returns the normalised image."""
        return normalize(image, grey_limits(image, self.config.normalize))

    def instances(self, score_map: Float32Array) -> Instances:
        """Returns the candidates of a score map, cells being found in the image alone."""
        return to_instances(self.candidates(score_map, self.cells(score_map)), score_map.shape[:2])

    def cells(self, score_map: Float32Array, nuclei: Image | None = None) -> Int32Array:
        """Returns labels of the cells.

        Args:
            score_map: ``(height, width, 2)``: scores, image.
            nuclei: The channel of the nuclei, if there is one.
        """
        seeds = None if nuclei is None else self.network_input(nuclei)[..., 0]
        return read_cells(score_map, self.config.tubes, nuclei=seeds)

    def candidates(
        self, score_map: Float32Array, cells: Int32Array, *, min_score: float | None = None
    ) -> list[Candidate]:
        """Returns the candidates of an image, the surest first.

        Args:
            score_map: ``(height, width, 2)``: scores, image.
            cells: Labels of the cells.
            min_score: Instead of the config's.
        """
        return read_candidates(score_map, self.config.tubes, cells=cells, min_score=min_score)

    def assess(self, sample: SampleRef, score_map: Float32Array) -> Assessment:
        """Scores one image: its windows, its candidates, its count."""
        truth = tube_truth(sample)
        cells = self.cells(score_map, nuclei_image(sample))
        found = self.candidates(score_map, cells)
        hits, num_true = _hits(truth, found)
        figures: Statistics = {"images": 1.0, **self._window_statistics(truth, score_map)}
        figures |= _line_statistics(hits, num_true)
        figures |= _count_statistics(truth, num_true=num_true, num_found=len(found), num_cells=int(cells.max()))
        rows = [candidate_row(candidate, truth.pixel_size, score_map.shape[:2]) for candidate in found]
        objects = pd.DataFrame(rows, columns=list(COLUMNS))
        objects.insert(0, "matched", hits.astype(float) if truth.kind != "patch" else np.full(len(found), np.nan))
        return Assessment(figures, objects)

    def decide(self, samples: Sequence[SampleRef], score_maps: Sequence[Float32Array]) -> Mapping[str, float]:
        """Returns the thresholds that are left open, of the highest F1 over windows and over candidates."""
        settings: dict[str, float] = {}
        task = self
        if self.config.tubes.window_threshold == "auto":
            rows = [self._window_statistics(tube_truth(s), m) for s, m in zip(samples, score_maps, strict=True)]
            sums = {name: np.array(sum(row[name] for row in rows)) for name in rows[0]}
            settings["tubes.window_threshold"] = round(binned_scores.best_threshold(*_bins(sums)), 4)
            tubes = self.config.tubes.model_copy(update={"window_threshold": settings["tubes.window_threshold"]})
            task = NanotubeTask(self.config.model_copy(update={"tubes": tubes}))
        if self.config.tubes.min_score == "auto":
            settings["tubes.min_score"] = round(task._best_min_score(samples, score_maps), 4)
        return settings

    def score(self, sums: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Returns the metrics of a set of images; NaN where one has no meaning, such as recall without nanotubes.

        Of windows: areas under the curves, the share of positives, which is the baseline of the one over precision and
        recall, and accuracy at the threshold. Of candidates against true lines: counts summed over images. Of counts:
        nanotubes per cell, TCR, over all cells of all images, and limits of agreement of the images' own.
        """
        positive, negative = _bins(sums)
        windows = sums["positive_windows"] + sums["negative_windows"]
        tp, fp, fn = sums["tp"], sums["fp"], sums["fn"]
        mean = _ratio(sums["tcr_difference"], sums["tcr_images"])
        spread = _ratio(sums["tcr_square"], sums["tcr_images"]) - mean**2
        deviation = np.sqrt(np.maximum(spread, 0.0) * _ratio(sums["tcr_images"], np.maximum(sums["tcr_images"] - 1, 1)))
        true_tcr = _ratio(sums["tcr_num_true"], sums["tcr_true_cells"])
        return {
            "window_pr_auc": binned_scores.pr_auc(positive, negative),
            "window_roc_auc": binned_scores.roc_auc(positive, negative),
            "window_baseline": _ratio(sums["positive_windows"], windows),
            "window_accuracy": _ratio(sums["right_windows"], windows),
            "object_precision": _ratio(tp, tp + fp),
            "object_recall": _ratio(tp, tp + fn),
            "object_f1": _ratio(2 * tp, 2 * tp + fp + fn),
            "count_error": _ratio(sums["count_difference"], sums["num_true"]),
            "tcr_true": true_tcr,
            "tcr_found": _ratio(sums["tcr_num_found"], sums["tcr_found_cells"]),
            "tcr_error": _ratio(np.abs(_ratio(sums["tcr_num_found"], sums["tcr_found_cells"]) - true_tcr), true_tcr),
            "tcr_bias": mean,
            "tcr_limit_below": mean - LIMITS * deviation,
            "tcr_limit_above": mean + LIMITS * deviation,
        }

    def _window_statistics(self, truth: TubeTruth, score_map: Float32Array) -> Statistics:
        shape = (score_map.shape[0], score_map.shape[1])
        windows = scored_windows(shape, self.geometry)
        labels = label_windows(truth, windows, self.config.data.labels)
        half = self.geometry.window // 2
        middles = np.array([(window.y0 + half, window.x0 + half) for window in windows])
        scores = score_map[..., 0][tuple(np.minimum(middles, np.array(shape) - 1).T)]
        positive, negative = scores[labels == 1], scores[labels == 0]
        figures = {
            "positive_windows": float(len(positive)),
            "negative_windows": float(len(negative)),
            "right_windows": float(
                np.count_nonzero(positive >= self.window_threshold) + np.count_nonzero(negative < self.window_threshold)
            ),
        }
        for kind, part in (("with", positive), ("without", negative)):
            figures |= dict(zip(BINS[kind], binned_scores.count(part).tolist(), strict=True))
        return figures

    def _best_min_score(self, samples: Sequence[SampleRef], score_maps: Sequence[Float32Array]) -> float:
        scores, hits, total = [], [], 0
        for sample, score_map in zip(samples, score_maps, strict=True):
            truth = tube_truth(sample)
            found = self.candidates(score_map, self.cells(score_map, nuclei_image(sample)), min_score=0.0)
            matched, num_true = _hits(truth, found)
            if truth.kind != "patch":
                scores += [candidate.score for candidate in found]
                hits += matched.tolist()
                total += num_true
        if not any(hits):
            return UNDECIDED
        order = np.argsort(-np.array(scores), kind="stable")
        f1 = 2.0 * np.cumsum(np.array(hits)[order]) / (np.arange(1, len(order) + 1) + total)
        best = int(np.argmax(f1))
        # Between the last that is kept and the first that is not, so that rounding keeps them apart.
        behind = scores[order[best + 1]] if best + 1 < len(order) else 0.0
        return float(np.clip((scores[order[best]] + behind) / 2.0, 0.0, 1.0))


def _bins(sums: Mapping[str, NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    positive, negative = (np.stack([sums[name] for name in BINS[kind]], axis=-1) for kind in ("with", "without"))
    return positive, negative


def _hits(truth: TubeTruth, found: Sequence[Candidate]) -> tuple[NDArray[np.bool_], int]:
    """Returns which candidates have a nanotube of their own, and how many nanotubes there are.

    A candidate has a line where it covers at least half of it, and a box where at least half of it lies in the box.
    """
    shape = (truth.labels.shape[0], truth.labels.shape[1])
    if truth.kind == "mask":
        matches: LineMatches = match_lines(truth.lines, to_instances(found, shape))
        return matches.hits, matches.num_true
    if truth.kind == "boxes":
        boxes = Instances(np.rint(truth.boxes).astype(np.int32), np.ones(len(truth.boxes), np.float32), None)
        matches = match_lines([candidate.line for candidate in found], boxes)
        hits = np.zeros(len(found), bool)
        hits[matches.true[matches.true >= 0]] = True
        return hits, len(truth.boxes)
    return np.zeros(len(found), bool), 0


def _line_statistics(hits: NDArray[np.bool_], num_true: int) -> Statistics:
    tp = float(np.count_nonzero(hits))
    return {"tp": tp, "fp": float(len(hits)) - tp, "fn": num_true - tp}


def _count_statistics(truth: TubeTruth, *, num_true: int, num_found: int, num_cells: int) -> Statistics:
    known = truth.kind != "patch" and bool(truth.num_cells)
    true_cells, found_cells = (truth.num_cells or 0) * known, num_cells * known
    difference = num_found / max(found_cells, 1) - num_true / max(true_cells, 1) if known else 0.0
    return {
        "num_true": float(num_true),
        "num_found": float(num_found),
        "num_cells": float(num_cells),
        "count_difference": float(abs(num_found - num_true)) if truth.kind != "patch" else 0.0,
        "tcr_images": float(known),
        "tcr_num_true": float(num_true * known),
        "tcr_num_found": float(num_found * known),
        "tcr_true_cells": float(true_cells),
        "tcr_found_cells": float(found_cells),
        "tcr_difference": float(difference),
        "tcr_square": float(difference**2),
    }


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    whole = np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
