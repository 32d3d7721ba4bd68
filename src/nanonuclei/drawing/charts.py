"""Charts of a training and of an evaluation, and the look that all figures share.

Images are drawn in `drawing.pictures`, a dataset in `report.explore`.

Everything is drawn through `matplotlib.figure.Figure`: no pyplot, no global settings, no display.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from nanonuclei.drawing.tables import format_value
from nanonuclei.errors import DataError

# The look. Colours from the palette of Okabe and Ito (https://jfly.uni-koeln.de/color), told apart by the colour-blind.
DPI = 160
TITLE, TEXT, SMALL = 12.0, 9.5, 8.0
"""Sizes of type in points: titles of figures, titles and labels of axes, ticks and captions."""
INK, QUIET, FAINT = "#222222", "#767676", "#E4E4E4"
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
GROUP_COLOURS = {"all": INK, "fluorescence": GREEN, "stained": PURPLE, "brightfield": ORANGE}
"""Colour of the groups known beforehand; others take what is left of `_SPARE_COLOURS`, in order."""
_SPARE_COLOURS = (BLUE, VERMILLION, SKY, QUIET)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_LOSS = {"loss": ("Loss (lower is better)", "loss")}
_RATE = {"learning_rate": ("Learning rate", "learning rate")}
_LOG_FROM = 20.0
"""Positive curves whose largest value is this many times the smallest are drawn on a logarithmic axis."""


def learning_curves(
    history: Mapping[str, Sequence[float]], *, best_epoch: int | None, names: Mapping[str, tuple[str, str]]
) -> Figure:
    """Draws how a training went: one panel per metric with training and validation, and one for the learning rate.

    Args:
        history: One value per epoch under `train/<metric>`, `val/<metric>` and `learning_rate`; other names are not
            drawn. NaN and infinite values leave a gap.
        best_epoch: The epoch whose weights were kept, counted from 1; None marks none.
        names: Metric to title of its panel and label of its axis, in order. Other metrics come after them, under their
            own names.

    Raises:
        DataError: The history holds nothing that could be drawn.
    """
    given = {key: np.asarray(values, float) for key, values in history.items() if len(values)}
    titles = {**_LOSS, **names, **_RATE}
    metrics = {key.partition("/")[2] for key in given if key.startswith(("train/", "val/"))} - {"learning_rate"}
    order = sorted(metrics, key=lambda name: ([*titles, name].index(name), name))
    order += ["learning_rate"] if "learning_rate" in given else []
    if not order:
        raise DataError(
            "a history must hold values under train/<metric>, val/<metric> or learning_rate, got values under "
            f"{sorted(given)}. Train for at least one epoch"
        )
    figure = new_figure(3.3 * len(order), 3.3, "Course of the training")
    for axes, name in zip(figure.subplots(1, len(order), squeeze=False)[0], order, strict=True):
        keys = {"learning_rate": INK} if name == "learning_rate" else {f"train/{name}": BLUE, f"val/{name}": ORANGE}
        curves = {key: given[key] for key in keys if key in given}
        for key, values in curves.items():
            drawn = np.where(np.isfinite(values), values, np.nan)
            marker = "o" if len(values) < 30 else None
            axes.plot(np.arange(1, len(values) + 1), drawn, color=keys[key], lw=1.5, marker=marker, ms=3, label=key)
            if best_epoch is not None and key.startswith("val/") and 1 <= best_epoch <= len(values):
                axes.plot(best_epoch, drawn[best_epoch - 1], "o", ms=7, mfc="none", mec=INK, mew=1.2)
        if best_epoch is not None:
            axes.axvline(best_epoch, color=QUIET, lw=1.0, ls=":")
        title, unit = titles.get(name, (name, name))
        everything = np.concatenate(list(curves.values()))
        finite = everything[np.isfinite(everything)]
        if finite.size and finite.min() > 0 and finite.max() > _LOG_FROM * finite.min():
            axes.set_yscale("log")
            unit += " (log scale)"
        dress(axes, title, "epoch", unit)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
        axes.set_xlim(0.5, max(map(len, curves.values())) + 0.5)
    handles = [
        Line2D([], [], color=colour, label=label)
        for start, colour, label in (("train/", BLUE, "training"), ("val/", ORANGE, "validation"))
        if any(key.startswith(start) for key in given)
    ]
    if best_epoch is not None:
        best = f"kept epoch: {best_epoch}"
        handles.append(Line2D([], [], color=QUIET, ls=":", marker="o", mfc="none", mec=INK, label=best))
    legend_below(figure, handles)
    return figure


def precision_by_threshold(thresholds: Sequence[float], values_by_name: Mapping[str, Sequence[float]]) -> Figure:
    """Draws average precision against the IoU from which a predicted nucleus counts as found, a line per group.

    AP = TP / (TP + FP + FN) at one threshold (Schmidt et al. 2018, arXiv 1806.03535).

    Args:
        thresholds: IoU in 0..1, ascending.
        values_by_name: AP in 0..1 per threshold under the name of the group: `all`, `fluorescence`, ...

    Raises:
        DataError: A group has more or fewer values than there are thresholds.
    """
    figure = new_figure(5.2, 4.0, "Average precision by required overlap")
    axes = figure.subplots()
    colours = group_colours(values_by_name)
    for place, (name, values) in enumerate(values_by_name.items()):
        if len(values) != len(thresholds):
            raise DataError(
                f"each group needs one average precision per threshold: {name} has {len(values)} for "
                f"{len(thresholds)} thresholds. Evaluate all groups at the same thresholds"
            )
        width = 2.4 if name == "all" else 1.4
        marker = _MARKERS[place % len(_MARKERS)]
        axes.plot(thresholds, values, color=colours[name], lw=width, marker=marker, ms=4.5, label=name, zorder=width)
    axes.set_ylim(0, 1)
    axes.set_xticks(thresholds)
    dress(axes, "", "IoU from which a nucleus counts as found", "average precision, TP / (TP + FP + FN)")
    if values_by_name:
        legend_below(figure, axes.get_lines())
    return figure


def metric_intervals(table: pd.DataFrame, *, names: Mapping[str, str]) -> Figure:
    """Draws metrics as dots with their 95 % intervals: a panel per metric, a line per group.

    Args:
        table: Columns metric, group, value, low, high; one row per metric and group. Without a finite low and high
            only the dot is drawn; a missing value leaves the line empty.
        names: What people call the metrics.

    Raises:
        DataError: A column is missing or the table is empty.
    """
    lacking = {"metric", "group", "value", "low", "high"} - set(table.columns)
    if lacking or table.empty:
        raise DataError(
            f"a table of intervals needs rows and the columns metric, group, value, low, high: got {len(table)} rows "
            f"and the columns {list(table.columns)}. Evaluate at least one metric"
        )
    metrics = list(dict.fromkeys(table["metric"]))
    groups = sorted(dict.fromkeys(table["group"]), key=lambda group: group != "all")
    colours = group_colours(groups)
    num_columns = min(3, len(metrics))
    num_rows = -(-len(metrics) // num_columns)
    height = num_rows * (0.9 + 0.3 * len(groups)) + 0.5
    figure = new_figure(max(5.0, 3.2 * num_columns), height, "Scores with 95 % intervals")
    grid = figure.subplots(num_rows, num_columns, squeeze=False, sharey=True)
    for axes in grid.flat[len(metrics) :]:
        axes.set_axis_off()
    for axes, metric in zip(grid.flat, metrics, strict=False):
        part = table[table["metric"] == metric]
        for group, value, low, high in part[["group", "value", "low", "high"]].itertuples(index=False):
            place = groups.index(group)
            if not np.isfinite(value):
                continue
            if np.isfinite(low) and np.isfinite(high):
                axes.plot([low, high], [place, place], color=colours[group], lw=2.2, solid_capstyle="butt")
            axes.plot(value, place, "o", color=colours[group], ms=6)
            axes.annotate(
                format_value(value, is_metric=metric in names),
                (value, place),
                (0, 5),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=SMALL,
                color=INK,
            )
        axes.set_yticks(range(len(groups)), groups)
        axes.set_ylim(len(groups) - 0.4, -0.8)
        axes.margins(x=0.15)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        dress(axes, names.get(metric, metric), "", "")
    return figure


def new_figure(width: float, height: float, title: str) -> Figure:
    """Starts a figure of charts, `width` by `height` in, that arranges itself so that nothing overlaps."""
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.06)
    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout, facecolor="white")
    figure.suptitle(title, fontsize=TITLE, fontweight="bold", color=INK)
    return figure


def dress(axes: Axes, title: str, x_label: str, y_label: str) -> None:
    """Gives a chart its titles and the common look."""
    axes.set_title(title, fontsize=TEXT, color=INK)
    axes.set_xlabel(x_label, fontsize=TEXT, color=INK)
    axes.set_ylabel(y_label, fontsize=TEXT, color=INK)
    axes.tick_params(labelsize=SMALL, colors=INK, which="both")
    axes.xaxis.offsetText.set_fontsize(SMALL)
    axes.yaxis.offsetText.set_fontsize(SMALL)
    axes.grid(True, color=FAINT, lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def legend_below(figure: Figure, handles: Sequence[Line2D | Patch]) -> None:
    """Puts one legend for all charts below them."""
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=SMALL, frameon=False)


def group_colours(groups: Collection[str]) -> dict[str, str]:
    """Returns one colour per group, the same for a modality in every figure."""
    spare = iter(_SPARE_COLOURS * (1 + len(groups) // len(_SPARE_COLOURS)))
    return {group: GROUP_COLOURS.get(group) or next(spare) for group in groups}
