"""A comparison to read: verdicts, tables in Markdown and plain text, and the curves of all its runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from tabulate import tabulate

from nanonuclei.drawing.charts import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    QUIET,
    SKY,
    VERMILLION,
    dress,
    legend_below,
    new_figure,
)
from nanonuclei.drawing.tables import MISSING, format_value
from nanonuclei.drawing.tables import table as text_table
from nanonuclei.report.compare import verdict
from nanonuclei.tasks.base import Task

PANELS = {
    "train/loss": "Training loss",
    "val/loss": "Validation loss",
    "train/accuracy": "Training accuracy",
    "val/accuracy": "Validation accuracy",
}
_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, QUIET)
_LOG_FROM = 10.0
"""Positive curves whose largest value is this many times the smallest are drawn on a logarithmic axis."""
_STYLES = ("-", "--", ":", "-.")

Rows = tuple[list[str], list[list[str]]]
"""A table: header and rows."""
Curves = Mapping[str, Sequence[Mapping[str, Sequence[float]]]]
"""Arm to one history per run: metric to one value per epoch."""


def verdicts(comparison: pd.DataFrame, task: Task, *, without: Collection[str] = ()) -> list[str]:
    """Returns a sentence per headline metric and arm but the first.

    Args:
        comparison: From `report.compare.compare_arms`.
        task: Its headline metrics are told.
        without: Arms with the very runs of the first, which show nothing.
    """
    rows = comparison[comparison["group"] == "all"]
    baseline = str(rows["arm"].iloc[0])
    rows = rows[~rows["arm"].isin(list(without))]
    return [
        verdict(row, baseline=baseline, names=task.metric_names, lower_is_better=task.lower_is_better)
        for metric in task.headlines
        for row in rows[(rows["metric"] == metric) & (rows["arm"] != baseline)].to_dict("records")
    ]


def score_rows(comparison: pd.DataFrame, names: Mapping[str, str]) -> Rows:
    """Returns a row per named metric: mean and standard deviation of each arm, difference with interval of the others.

    Args:
        comparison: From `report.compare.compare_arms`.
        names: The metrics that are shown, in order, by what people call them.
    """
    rows = comparison[comparison["group"] == "all"]
    arms = list(dict.fromkeys(rows["arm"]))
    others = [f"{arm} - {arms[0]} (95 % interval)" for arm in arms[1:]]
    header = ["test images", *arms, *others]
    cells = []
    for metric in [name for name in names if name in set(rows["metric"])]:
        by_arm = rows[rows["metric"] == metric].set_index("arm")
        means = [_mean(by_arm.loc[arm]) for arm in arms]
        cells.append([names[metric], *means, *(_difference(by_arm.loc[arm]) for arm in arms[1:])])
    return header, cells


def cost_rows(runs: pd.DataFrame) -> Rows:
    """Returns a row per arm: runs, seeds, epochs, and means of training time, size and inference time.

    Args:
        runs: One row per run: ``arm, seed, epochs, steps_per_epoch, batch_size, train_seconds, num_params,
            inference_ms``.
    """
    header = ["recipe", "runs", "seeds", "epochs x steps x batch", "training (min)", "parameters", "inference (ms/MP)"]
    cells = []
    for arm, own in runs.groupby("arm", sort=False):
        budget = (
            own["epochs"].astype(str)
            + " x "
            + own["steps_per_epoch"].astype(str)
            + " x "
            + own["batch_size"].astype(str)
        )
        cells.append(
            [
                str(arm),
                str(len(own)),
                ", ".join(str(seed) for seed in own["seed"]),
                " | ".join(dict.fromkeys(budget)),
                _number(own["train_seconds"].mean() / 60, "{:.1f}"),
                " | ".join(f"{number:,}" for number in dict.fromkeys(own["num_params"])),
                _number(own["inference_ms"].mean(), "{:.0f}"),
            ]
        )
    return header, cells


def as_text(rows: Rows) -> str:
    """Returns a table for the terminal."""
    header, cells = rows
    return text_table(cells, header=header)


def as_markdown(rows: Rows) -> str:
    """Returns a table in Markdown, without a final newline."""
    header, cells = rows
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in (header, *cells)]
    text: str = tabulate(escaped[1:], headers=escaped[0], tablefmt="github", disable_numparse=True)
    return text


def compared_curves(curves: Curves, *, one_loss: bool) -> Figure:
    """Draws losses and accuracies of every run by epoch: a colour per arm, a line per seed.

    Args:
        curves: Of all arms.
        one_loss: Whether all runs were trained with one loss; else the panels of losses say that theirs differ.
    """
    figure = new_figure(9.0, 6.4, "Curves of all runs")
    for axes, (metric, title) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
        for place, histories in enumerate(curves.values()):
            for history in histories:
                values = np.asarray(history.get(metric, ()), float)
                drawn = np.where(np.isfinite(values), values, np.nan)
                axes.plot(np.arange(1, len(values) + 1), drawn, lw=1.2, alpha=0.8, **_look(place))
        is_loss = metric.endswith("loss")
        caveat = "" if one_loss or not is_loss else ": of different kinds, not to be compared"
        dress(axes, f"{title}{caveat}", "epoch", "loss" if is_loss else "accuracy")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
        heights = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.get_lines()] or [np.zeros(0)])
        heights = heights[np.isfinite(heights)]
        spread = is_loss and heights.size and heights.min() > 0
        if spread and heights.max() > _LOG_FROM * heights.min():
            axes.set_yscale("log")
    legend_below(
        figure,
        [
            Line2D([], [], label=f"{arm} ({len(runs)})", **_look(place))
            for place, (arm, runs) in enumerate(curves.items())
        ],
    )
    return figure


def _look(place: int) -> dict[str, Any]:
    return {"color": _COLOURS[place % len(_COLOURS)], "ls": _STYLES[place // len(_COLOURS) % len(_STYLES)]}


def _mean(row: pd.Series) -> str:
    text = format_value(float(row["mean"]))
    return text if np.isnan(row["sd"]) else f"{text} ± {float(row['sd']):.3f}"


def _difference(row: pd.Series) -> str:
    if not np.isfinite(row["difference"]):
        return MISSING
    text = f"{row['difference']:+.3f}"
    ends = (row["low"], row["high"])
    return f"{text} ({ends[0]:+.3f} to {ends[1]:+.3f})" if np.isfinite(ends).all() else text


def _number(value: float, form: str) -> str:
    return form.format(value) if np.isfinite(value) else MISSING
