"""What is logged of a score of the nanotubes task: tables, candidates as GeoJSON, figures."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nanonuclei.data.catalog import SampleRef
from nanonuclei.data.tubes import nuclei_image, tube_truth
from nanonuclei.engine.evaluate import Report
from nanonuclei.engine.networks import network_of
from nanonuclei.engine.predict import map_maker
from nanonuclei.imaging.line_matching import match_lines
from nanonuclei.imaging.lines import Line
from nanonuclei.imaging.tube_objects import to_instances
from nanonuclei.report.geojson import candidates_geojson
from nanonuclei.report.nanotubes import (
    TubePanel,
    close_ups,
    count_agreement,
    precision_recall_curves,
    tube_panels,
    window_figure,
)
from nanonuclei.tasks.nanotubes import BINS, NanotubeTask

if TYPE_CHECKING:
    import keras

CLOSE_UPS = 8
"""Missed nanotubes and false alarms that are shown."""


@dataclass(frozen=True)
class _Seen:
    panel: TubePanel
    scores: NDArray[np.float32]
    lengths: NDArray[np.float64]


def log_nanotube_figures(
    task: NanotubeTask, report: Report, samples: Sequence[SampleRef], *, split: str, model: keras.Model
) -> None:
    """Logs the figures, the tables and the candidates of a score to the active run.

    Args:
        task: With its thresholds.
        report: The score.
        samples: The images of the split.
        split: Its name.
        model: The trained network.
    """
    windows = tuple(report.per_image[BINS[kind]].sum().to_numpy(float) for kind in ("with", "without"))
    num_true = int(report.per_image["num_true"].sum())
    mlflow.log_figure(
        precision_recall_curves((windows[0], windows[1]), report.objects, num_true=num_true),
        f"figures/{split}_precision_recall.png",
    )
    mlflow.log_figure(
        window_figure((windows[0], windows[1]), threshold=task.window_threshold), f"figures/{split}_windows.png"
    )
    if report.per_image["tcr_images"].any():
        mlflow.log_figure(count_agreement(report.per_image), f"figures/{split}_counts.png")
    _log_counts(report, split)
    _log_geojson(report, split)
    _log_panels(task, report, samples, split=split, model=model)


def _log_counts(report: Report, split: str) -> None:
    table = report.per_image[["sample_id", "num_found", "num_cells", "num_true"]].copy()
    table["tcr"] = table["num_found"] / table["num_cells"].where(table["num_cells"] > 0)
    known = report.per_image["tcr_images"] > 0
    table["tcr_true"] = (report.per_image["tcr_num_true"] / report.per_image["tcr_true_cells"]).where(known)
    names = {"num_found": "num_candidates"}
    mlflow.log_text(table.rename(columns=names).round(4).to_csv(index=False), f"evaluation/{split}_counts.csv")


def _log_geojson(report: Report, split: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for sample_id in report.per_image["sample_id"]:
            rows = report.objects[report.objects["sample_id"] == sample_id].to_dict("records")
            name = re.sub(r"[^\w.-]", "_", str(sample_id))
            (Path(folder) / f"{name}.geojson").write_text(candidates_geojson(rows), encoding="utf-8")
        mlflow.log_artifacts(folder, f"evaluation/{split}_candidates")


def _log_panels(
    task: NanotubeTask, report: Report, samples: Sequence[SampleRef], *, split: str, model: keras.Model
) -> None:
    wrong = (report.per_image["fp"] + report.per_image["fn"]).to_numpy(float)
    num = min(task.config.evaluate.num_panels, len(samples))
    drawn = np.random.default_rng(task.config.seed).choice(len(samples), num, replace=False)
    worst = np.argsort(-wrong, kind="stable")[:num]
    places = list(dict.fromkeys([*drawn.tolist(), *worst.tolist()]))
    maps, _ = map_maker(task.config, network_of(task, model))
    made = maps(task.network_input(samples[place].image()) for place in places)
    seen = {place: _look(task, samples[place], score_map) for place, score_map in zip(places, made, strict=True)}
    for kind, chosen in (("random", drawn), ("worst", worst)):
        if len(chosen):
            panels = [seen[int(place)].panel for place in chosen]
            title = f"{kind.capitalize()} images of the {split} split"
            mlflow.log_figure(tube_panels(panels, title=title), f"figures/{split}_{kind}.png")
    for name, errors in (("misses", _misses(seen.values())), ("false_alarms", _false_alarms(seen.values()))):
        if errors:
            title = "Longest nanotubes that were missed" if name == "misses" else "Surest candidates that are wrong"
            mlflow.log_figure(close_ups(errors, title=title), f"figures/{split}_{name}.png")


def _look(task: NanotubeTask, sample: SampleRef, score_map: NDArray[np.float32]) -> _Seen:
    truth = tube_truth(sample)
    found = task.candidates(score_map, task.cells(score_map, nuclei_image(sample)))
    matches = match_lines(truth.lines, to_instances(found, score_map.shape[:2]))
    was_found = np.isin(np.arange(len(truth.lines)), matches.true)
    panel = TubePanel(
        grey=score_map[..., 1],
        scores=score_map[..., 0],
        true=truth.lines,
        was_found=was_found,
        found=[candidate.line for candidate in found],
        is_right=matches.hits,
        caption=f"{sample.sample_id[:16]}: {len(truth.lines)} true, {len(found)} found, {matches.hits.sum()} right",
    )
    return _Seen(panel, matches.scores, np.array([line.length for line in truth.lines]))


def _misses(seen: object) -> list[TubePanel]:
    rows = [
        (length, s.panel, line)
        for s in seen
        for length, line, right in zip(s.lengths, s.panel.true, s.panel.was_found, strict=True)
        if not right
    ]
    rows.sort(key=lambda row: -row[0])
    return [_close(panel, true=[line], caption=f"{length:.0f} px long") for length, panel, line in rows[:CLOSE_UPS]]


def _false_alarms(seen: object) -> list[TubePanel]:
    rows = [
        (score, s.panel, line)
        for s in seen
        for score, line, right in zip(s.scores, s.panel.found, s.panel.is_right, strict=True)
        if not right
    ]
    rows.sort(key=lambda row: -row[0])
    return [_close(panel, found=[line], caption=f"score {score:.3f}") for score, panel, line in rows[:CLOSE_UPS]]


def _close(panel: TubePanel, *, caption: str, true: Sequence[Line] = (), found: Sequence[Line] = ()) -> TubePanel:
    none = np.zeros(0, bool)
    return TubePanel(panel.grey, panel.scores, list(true), none, list(found), none, caption)


def per_image_table(report: Report) -> pd.DataFrame:
    """Returns the statistics per image without the counts per bin, which are many."""
    return report.per_image.drop(columns=[name for names in BINS.values() for name in names])
