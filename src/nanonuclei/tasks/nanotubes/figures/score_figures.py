"""What a run holds of a score of the nanotubes task: tables, candidates as GeoJSON, figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nanonuclei.data.catalog import SampleRef
from nanonuclei.drawing.tables import shortened
from nanonuclei.tasks.nanotubes.figures.charts import (
    TubePanel,
    close_ups,
    count_agreement,
    precision_recall_curves,
    tube_panels,
    window_figure,
)
from nanonuclei.tasks.nanotubes.figures.geojson import candidates_geojson
from nanonuclei.tasks.nanotubes.lines.candidates import to_instances
from nanonuclei.tasks.nanotubes.lines.line import Line
from nanonuclei.tasks.nanotubes.lines.matching import match_lines
from nanonuclei.tasks.nanotubes.reader import NanotubeReader
from nanonuclei.tasks.nanotubes.score import BINS
from nanonuclei.tasks.nanotubes.sources.samples import nuclei_image, tube_truth
from nanonuclei.tasks.values import MapsOf, Report

CLOSE_UPS = 8
"""Missed nanotubes and false alarms that are shown."""


@dataclass(frozen=True)
class _Seen:
    panel: TubePanel
    scores: NDArray[np.float32]
    lengths: NDArray[np.float64]


def figures(
    task: NanotubeReader, report: Report, samples: Sequence[SampleRef], *, maps: MapsOf, split: str
) -> Iterator[tuple[str, Figure | str]]:
    """Yields figures, tables and candidates of a score by their paths; see `tasks.base.Task.figures`."""
    windows = tuple(report.per_image[BINS[kind]].sum().to_numpy(float) for kind in ("with", "without"))
    pair = (windows[0], windows[1])
    num_true = int(report.per_image["num_true"].sum())
    curves = precision_recall_curves(pair, report.objects, num_true=num_true)
    yield f"figures/{split}_precision_recall.png", curves
    yield f"figures/{split}_windows.png", window_figure(pair, threshold=task.window_threshold)
    if report.per_image["tcr_images"].any():
        yield f"figures/{split}_counts.png", count_agreement(report.per_image)
    yield f"evaluation/{split}_counts.csv", _counts(report).to_csv(index=False)
    yield from _geojson(report, split)
    yield from _panels(task, report, samples, maps=maps, split=split)


def _counts(report: Report) -> pd.DataFrame:
    table = report.per_image[["sample_id", "num_found", "num_cells", "num_true"]].copy()
    table["tcr"] = table["num_found"] / table["num_cells"].where(table["num_cells"] > 0)
    known = report.per_image["tcr_images"] > 0
    table["tcr_true"] = (report.per_image["tcr_num_true"] / report.per_image["tcr_true_cells"]).where(known)
    return table.rename(columns={"num_found": "num_candidates"}).round(4)


def _geojson(report: Report, split: str) -> Iterator[tuple[str, str]]:
    for sample_id in report.per_image["sample_id"]:
        rows = report.objects[report.objects["sample_id"] == sample_id].to_dict("records")
        name = re.sub(r"[^\w.-]", "_", str(sample_id))
        yield f"evaluation/{split}_candidates/{name}.geojson", candidates_geojson(rows)


def _panels(
    task: NanotubeReader, report: Report, samples: Sequence[SampleRef], *, maps: MapsOf, split: str
) -> Iterator[tuple[str, Figure]]:
    wrong = (report.per_image["fp"] + report.per_image["fn"]).to_numpy(float)
    num = min(task.config.evaluate.num_panels, len(samples))
    drawn = np.random.default_rng(task.config.seed).choice(len(samples), num, replace=False)
    worst = np.argsort(-wrong, kind="stable")[:num]
    places = list(dict.fromkeys([*drawn.tolist(), *worst.tolist()]))
    made = maps([samples[place] for place in places])
    seen = {place: _look(task, samples[place], score_map) for place, score_map in zip(places, made, strict=True)}
    for kind, chosen in (("random", drawn), ("worst", worst)):
        if len(chosen):
            panels = [seen[int(place)].panel for place in chosen]
            title = f"{kind.capitalize()} images of the {split} split"
            yield f"figures/{split}_{kind}.png", tube_panels(panels, title=title)
    for name, errors in (("misses", _misses(seen.values())), ("false_alarms", _false_alarms(seen.values()))):
        if errors:
            kind = "Longest nanotubes that were missed" if name == "misses" else "Surest candidates that are wrong"
            title = f"{kind}, in {len(places)} of {len(samples)} images of the {split} split"
            yield f"figures/{split}_{name}.png", close_ups(errors, title=title)


def _look(task: NanotubeReader, sample: SampleRef, score_map: NDArray[np.float32]) -> _Seen:
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
        name=shortened(sample.sample_id),
        caption=f"{len(truth.lines)} true, {len(found)} found, {matches.hits.sum()} right",
    )
    return _Seen(panel, matches.scores, np.array([line.length for line in truth.lines]))


def _misses(seen: Iterable[_Seen]) -> list[TubePanel]:
    rows = [
        (length, s.panel, line)
        for s in seen
        for length, line, right in zip(s.lengths, s.panel.true, s.panel.was_found, strict=True)
        if not right
    ]
    rows.sort(key=lambda row: -row[0])
    return [_close(panel, true=[line], caption=f"{length:.0f} px long") for length, panel, line in rows[:CLOSE_UPS]]


def _false_alarms(seen: Iterable[_Seen]) -> list[TubePanel]:
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
    return TubePanel(panel.grey, panel.scores, list(true), none, list(found), none, panel.name, caption)
