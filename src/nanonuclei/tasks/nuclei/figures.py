"""Figures of a score of the nuclei task: AP by threshold, and images beside their annotated and predicted nuclei."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure

from nanonuclei.data.catalog import SampleRef
from nanonuclei.drawing.charts import precision_by_threshold
from nanonuclei.drawing.pictures import Panel, panels
from nanonuclei.drawing.tables import shortened
from nanonuclei.tasks.base import Task
from nanonuclei.tasks.nuclei.score import THRESHOLDS, threshold_names
from nanonuclei.tasks.values import MapsOf, Report


def figures(
    task: Task, report: Report, samples: Sequence[SampleRef], *, maps: MapsOf, split: str
) -> Iterator[tuple[str, Figure | str]]:
    """Yields the figures of a score by their paths; see `tasks.base.Task.figures`."""
    yield f"figures/{split}_precision_by_threshold.png", _by_threshold(report)
    num, seed = task.config.evaluate.num_panels, task.config.seed
    for kind, places in _chosen(report, num=num, seed=seed).items():
        chosen = [samples[place] for place in places]
        scores = report.per_image["ap_50"].to_numpy()[places]
        rows = [
            _panel(task, sample, score_map, ap50=float(score))
            for sample, score_map, score in zip(chosen, maps(chosen), scores, strict=True)
        ]
        if rows:
            title = f"{kind.capitalize()} images of the {split} split"
            yield f"figures/{split}_{kind}.png", panels(rows, title=title, one=task.noun.one, many=task.noun.many)


def _by_threshold(report: Report) -> Figure:
    groups = ["", *(f"{group}/" for group in report.groups())]
    curves = {
        group.rstrip("/") or "all": [report.metrics[f"{group}ap{name}_pooled"] for name in threshold_names()]
        for group in groups
    }
    return precision_by_threshold(THRESHOLDS, curves)


def _chosen(report: Report, *, num: int, seed: int) -> dict[str, list[int]]:
    """Draws images at random, and takes those with the lowest AP at 0.5."""
    scores = report.per_image["ap_50"].to_numpy()
    drawn = np.random.default_rng(seed).choice(len(scores), min(num, len(scores)), replace=False)
    return {"random": drawn.tolist(), "worst": np.argsort(scores, kind="stable")[:num].tolist()}


def _panel(task: Task, sample: SampleRef, score_map: np.ndarray, *, ap50: float) -> Panel:
    found = task.instances(score_map, (sample.height, sample.width))
    return Panel(
        image=sample.image(),
        true=sample.labels(),
        predicted=found.pixels(),
        caption=(
            f"{shortened(sample.sample_id)}, {sample.modality}: "
            f"{task.noun.count(sample.num_objects)}, {len(found)} found, AP50 {ap50:.2f}"
        ),
    )
