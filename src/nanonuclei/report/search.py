"""Charts of a search: its course, which settings matter, where the good ones lie, and what quality costs.

All are drawn from one table with a row per trial: `number`, `state`, `value` (the metric at its best epoch, NaN where
there is none), `num_params`, `inference_ms` (NaN where not measured), and one column per setting of the space.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from nanonuclei.config.space import SearchSpace
from nanonuclei.drawing.charts import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    QUIET,
    SMALL,
    TEXT,
    VERMILLION,
    dress,
    legend_below,
    new_figure,
)
from nanonuclei.report.scales import Scale, scale_of, scale_of_values

COLOURS = "viridis"
_MARKS = {"complete": ("o", BLUE), "pruned": ("v", ORANGE), "failed": ("x", VERMILLION), "out of memory": ("P", QUIET)}
_LOG_FROM = 10.0
"""Costs above 0 whose largest value is this many times the smallest are drawn on a logarithmic axis."""
_PANEL_CHARACTERS = 32
"""Characters of ticks that fit side by side below a panel of `slices`."""


def search_history(table: pd.DataFrame, *, metric: str, greater_is_better: bool) -> Figure:
    """Draws every trial's value in order, and the best so far.

    Trials without a value are marked at the edge where bad values lie: at the bottom, or at the top where less is
    better.
    """
    figure = new_figure(7.0, 4.0, "Course of the search")
    axes = figure.subplots()
    handles = []
    complete = table[table["state"] == "complete"].sort_values("number")
    edge = 0.0 if greater_is_better else 1.0
    for state, (marker, colour) in _MARKS.items():
        rows = table[table["state"] == state]
        if len(rows):
            known, unknown = rows[rows["value"].notna()], rows[rows["value"].isna()]
            axes.plot(known["number"], known["value"], marker, color=colour, ms=5)
            label = f"{state}: {len(rows)}"
            if len(unknown):
                at_edge = {"transform": axes.get_xaxis_transform(), "clip_on": False, "zorder": 3}
                axes.plot(unknown["number"], np.full(len(unknown), edge), marker, color=colour, ms=5, **at_edge)
                label += f", {len(unknown)} without a value"
            handles.append(Line2D([], [], ls="", marker=marker, color=colour, label=label))
    if len(complete):
        best = complete["value"].cummax() if greater_is_better else complete["value"].cummin()
        axes.step(complete["number"], best, where="post", color=INK, lw=1.4)
        handles.append(Line2D([], [], color=INK, label="best so far"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if table["value"].isna().all():
        axes.set_yticks([])
    dress(axes, "", "trial", metric)
    legend_below(figure, handles)
    return figure


def setting_importances(shares: Mapping[str, float]) -> Figure:
    """Draws the share of the metric's variance that each setting explains, 0..1."""
    figure = new_figure(6.5, 1.4 + 0.32 * max(1, len(shares)), "Which settings matter")
    axes = figure.subplots()
    names = list(reversed(shares))
    axes.barh(names, [shares[name] for name in names], color=BLUE, height=0.6)
    for place, name in enumerate(names):
        axes.annotate(f"{shares[name]:.2f}", (shares[name], place), (3, 0), textcoords="offset points", va="center")
    axes.set_xlim(0, 1.12 * max(shares.values(), default=0.0) or 1.0)
    dress(axes, "", "share of the variance explained (fANOVA)", "")
    if not shares:
        axes.text(0.5, 0.5, "too few complete trials", ha="center", transform=axes.transAxes, color=QUIET)
        axes.set_axis_off()
    return figure


def parallel_coordinates(table: pd.DataFrame, space: SearchSpace, *, metric: str) -> Figure:
    """Draws each complete trial as a line through its settings to its value; axes are as long as the space."""
    complete = _complete(table)
    columns = [*space, "value"]
    figure = new_figure(max(6.0, 1.5 * len(columns)), 4.6, "Settings of the trials")
    axes = figure.subplots()
    scales = {name: scale_of(span) for name, span in space.items()}
    scales["value"] = scale_of_values(complete["value"].to_list())
    places = np.arange(len(columns))
    shade = Normalize(scales["value"].low, scales["value"].high)
    mappable = ScalarMappable(shade, COLOURS)
    for row in complete.sort_values("value").to_dict("records"):
        heights = [scales[name].share(scales[name].place(row[name])) for name in columns]
        axes.plot(places, heights, color=mappable.to_rgba(row["value"]), lw=1.3, alpha=0.8)
    for place, name in enumerate(columns):
        axes.axvline(place, color=INK, lw=0.8)
        for tick, text in scales[name].ticks:
            behind = {"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.5}
            place_text = {"textcoords": "offset points", "fontsize": SMALL, "va": "center", "bbox": behind}
            axes.annotate(text, (place, scales[name].share(tick)), (3, 0), **place_text)
    axes.set_xticks(places, [*(name.replace(".", "\n", 1) for name in space), metric], fontsize=SMALL)
    axes.set_yticks([])
    axes.set_ylim(-0.05, 1.05)
    axes.set_xlim(-0.2, len(columns) - 0.3)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(mappable, ax=axes, label=metric, pad=0.02)
    bar.set_ticks([tick for tick, _ in scales["value"].ticks], labels=[text for _, text in scales["value"].ticks])
    return figure


def slices(table: pd.DataFrame, space: SearchSpace, *, metric: str) -> Figure:
    """Draws the value against each setting, a panel each, as wide as the space; later trials are darker."""
    complete = _complete(table)
    num_columns = min(4, max(1, len(space)))
    num_rows = -(-len(space) // num_columns)
    figure = new_figure(3.0 * num_columns, 2.7 * num_rows + 0.5, "Value by setting")
    grid = figure.subplots(num_rows, num_columns, squeeze=False, sharey=True)
    for axes in grid.flat[len(space) :]:
        axes.set_axis_off()
    for axes, (name, span) in zip(grid.flat, space.items(), strict=False):
        scale = scale_of(span)
        places = [scale.place(value) for value in complete[name]]
        axes.scatter(places, complete["value"], c=complete["number"], cmap="Blues", ec=INK, lw=0.4, s=22, vmin=-5)
        axes.set_xscale("log" if scale.log else "linear")
        axes.set_xlim(scale.limits())
        axes.xaxis.set_minor_locator(NullLocator())
        dress(axes, "", name, metric if axes in grid[:, 0] else "")
        _write_ticks(axes, scale)
    return figure


def pareto(table: pd.DataFrame, *, metric: str, greater_is_better: bool) -> Figure:
    """Draws the value against inference time and against size, with the trials that no other beats in both."""
    complete = _complete(table)
    figure = new_figure(8.6, 3.9, "Quality against cost")
    for axes, (cost, label) in zip(
        figure.subplots(1, 2, sharey=True),
        (("inference_ms", "inference, ms per megapixel"), ("num_params", "weights of the network")),
        strict=True,
    ):
        rows = complete[complete[cost].notna()]
        front = rows[pareto_front(rows[cost].to_numpy(), rows["value"].to_numpy(), greater_is_better=greater_is_better)]
        front = front.sort_values(cost)
        axes.plot(rows[cost], rows["value"], "o", color=FAINT, mec=QUIET, ms=5)
        axes.plot(front[cost], front["value"], "o-", color=VERMILLION, ms=6, lw=1.2)
        _name_points(axes, front, cost)
        axes.margins(0.12)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        if _spans_decades(rows[cost]):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=9))
            axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        dress(axes, "", label, metric if cost == "inference_ms" else "")
    legend_below(
        figure,
        [
            Line2D([], [], ls="", marker="o", color=FAINT, mec=QUIET, label="complete trial"),
            Line2D([], [], marker="o", color=VERMILLION, label="no trial is both cheaper and better (numbers: trials)"),
        ],
    )
    return figure


def pareto_front(
    costs: NDArray[np.float64], values: NDArray[np.float64], *, greater_is_better: bool
) -> NDArray[np.bool_]:
    """Returns which points no other point beats: as cheap and as good, and in one of the two better.

    Args:
        costs: ``(n,)``, the less the better.
        values: ``(n,)``.
        greater_is_better: Whether high values are good.
    """
    goods = values if greater_is_better else -values
    cheap = costs[None, :] <= costs[:, None]
    good = goods[None, :] >= goods[:, None]
    strict = (costs[None, :] < costs[:, None]) | (goods[None, :] > goods[:, None])
    beaten: NDArray[np.bool_] = (cheap & good & strict).any(axis=1)
    return ~beaten


def _name_points(axes: Axes, rows: pd.DataFrame, cost: str) -> None:
    for row in rows.to_dict("records"):
        place = (row[cost], row["value"])
        axes.annotate(f"{row['number']:.0f}", place, (0, 6), textcoords="offset points", ha="center", fontsize=TEXT)


def _complete(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["state"] == "complete") & table["value"].notna()]


def _write_ticks(axes: Axes, scale: Scale) -> None:
    """Writes the ticks of a panel of `slices`, aslant where their lines are too long to stand side by side."""
    axes.set_xticks([place for place, _ in scale.ticks], [text for _, text in scale.ticks])
    longest = max((len(line) for _, text in scale.ticks for line in text.split("\n")), default=0)
    if longest * len(scale.ticks) > _PANEL_CHARACTERS:
        for label in axes.get_xticklabels():
            label.set(rotation=40, ha="right", rotation_mode="anchor")


def _spans_decades(column: pd.Series) -> bool:
    return bool(len(column)) and float(column.min()) > 0 and float(column.max()) > _LOG_FROM * float(column.min())
