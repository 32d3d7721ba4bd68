"""What the trainings of `overfitting.py` add up to: means and deviations over seeds, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from overfitting_arms import ARMS

from nanonuclei.drawing.charts import BLUE, ORANGE, dress, legend_below, new_figure

COLUMNS = {
    "training accuracy": "end/train_accuracy",
    "validation accuracy": "end/val_accuracy",
    "gap to validation, points": "gap",
    "untouched accuracy": "end/untouched_accuracy",
    "gap to untouched, points": "untouched_gap",
    "untouched PR-AUC": "end/untouched_pr_auc",
    "untouched accuracy at 0.5": "end/untouched_accuracy_at_half",
    "untouched balanced accuracy": "end/untouched_balanced_accuracy",
    "seconds": "train_seconds",
}
DECIMALS = {"gap": 1, "untouched_gap": 1, "train_seconds": 0}
"""Of the columns that are no shares, which have three."""


def finished_runs(arm: str, *, steps: int, seeds: Sequence[int]) -> list[Run]:
    """Returns the newest finished run of a row per seed, in order of the seeds."""
    query = f"tags.arm = '{arm}' and tags.steps = '{steps}' and tags.finished = 'true'"
    newest: dict[int, Run] = {}
    for run in mlflow.search_runs(filter_string=query, order_by=["start_time DESC"], output_format="list"):
        newest.setdefault(int(run.data.tags["seed"]), run)
    return [newest[seed] for seed in sorted(newest) if seed in seeds]


def summary(arms: Sequence[str], *, steps: int, seeds: Sequence[int]) -> pd.DataFrame:
    """Returns a row per arm that has runs: mean and standard deviation over seeds of each of `COLUMNS`."""
    rows = []
    for arm in arms:
        measured = [with_gaps(run.data.metrics) for run in finished_runs(arm, steps=steps, seeds=seeds)]
        if measured:
            rows.append({"arm": arm, "set-up": ARMS[arm].title, "seeds": len(measured), **spread(measured)})
    return pd.DataFrame(rows)


def with_gaps(metrics: Mapping[str, float]) -> dict[str, float]:
    """Adds the accuracy in training less that in validation, and less that on untouched images, in points of 100."""
    train = metrics["end/train_accuracy"]
    gaps = {"gap": train - metrics["end/val_accuracy"], "untouched_gap": train - metrics["end/untouched_accuracy"]}
    return {**metrics, **{name: 100.0 * gap for name, gap in gaps.items()}}


def spread(measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns per metric of `COLUMNS` its mean, and under ``<metric> sd`` its standard deviation; NaN of one alone."""
    values = {metric: np.array([one[metric] for one in measured]) for metric in COLUMNS.values()}
    deviations = {m: float(v.std(ddof=1)) if len(v) > 1 else float("nan") for m, v in values.items()}
    return {
        name: number for m, v in values.items() for name, number in ((m, float(v.mean())), (f"{m} sd", deviations[m]))
    }


def markdown(table: pd.DataFrame) -> str:
    """Returns a summary as a table in Markdown; without a deviation where there is one seed."""
    head = ["set-up", "seeds", *COLUMNS]
    lines = ["| " + " | ".join(head) + " |", "|---" * 2 + "|---:" * len(COLUMNS) + "|"]
    for row in table.to_dict("records"):
        cells = [str(row["set-up"]), str(row["seeds"])]
        for metric in COLUMNS.values():
            digits, deviation = DECIMALS.get(metric, 3), row[f"{metric} sd"]
            cells.append(f"{row[metric]:.{digits}f}" + (f" ± {deviation:.{digits}f}" if np.isfinite(deviation) else ""))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def curves_figure(arms: Mapping[str, str], *, steps: int, seeds: Sequence[int]) -> Figure:
    """Draws accuracy and loss per epoch, in training and validation, a line per seed.

    Args:
        arms: Row to title.
        steps: Of the trainings.
        seeds: Which of them.
    """
    client, figure = MlflowClient(), new_figure(8.0, 5.6, "Stand-in: dendrites of live neurons, not nanotubes")
    for place, grid in zip(("accuracy", "loss"), figure.subplots(2, len(arms), sharey="row"), strict=True):
        for (arm, title), axes in zip(arms.items(), grid, strict=True):
            for run in finished_runs(arm, steps=steps, seeds=seeds):
                for split, colour in (("train", BLUE), ("val", ORANGE)):
                    points = sorted(
                        client.get_metric_history(run.info.run_id, f"{split}/{place}"), key=lambda m: m.step
                    )
                    axes.plot([p.step for p in points], [p.value for p in points], color=colour, lw=1.3)
            dress(axes, title, "epoch", f"{place} over windows")
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    handles = [
        Line2D([], [], color=BLUE, label="training (as trained: augmented, dropout)"),
        Line2D([], [], color=ORANGE, label="validation"),
    ]
    legend_below(figure, handles)
    return figure
