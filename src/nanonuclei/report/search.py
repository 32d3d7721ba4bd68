"""Charts of a search: its course, which settings matter, where the good ones lie, and what quality costs.

All are drawn from one table with a row per trial: `number`, `state`, `value` (the metric at its best epoch, NaN where
there is none), `num_params`, `inference_ms` (NaN where not measured), and one column per setting of the space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

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

COLOURS = "viridis"
_MARKS = {"complete": ("o", BLUE), "pruned": ("v", ORANGE), "failed": ("x", VERMILLION), "out of memory": ("P", QUIET)}
_LOG_FROM = 10.0
"""Settings above 0 whose largest value is this many times the smallest are drawn on a logarithmic axis."""


def search_history(table: pd.DataFrame, *, metric: str, greater_is_better: bool) -> Figure:
    """Draws every trial's value in order, and the best so far; trials without a value are marked at the bottom."""
    figure = new_figure(7.0, 4.0, "Course of the search")
    axes = figure.subplots()
    handles = []
    complete = table[table["state"] == "complete"].sort_values("number")
    lowest = float(table["value"].min()) if table["value"].notna().any() else 0.0
    for state, (marker, colour) in _MARKS.items():
        rows = table[table["state"] == state]
        if len(rows):
            axes.plot(rows["number"], rows["value"].fillna(lowest), marker, color=colour, ms=5)
            handles.append(Line2D([], [], ls="", marker=marker, color=colour, label=f"{state}: {len(rows)}"))
    if len(complete):
        best = complete["value"].cummax() if greater_is_better else complete["value"].cummin()
        axes.step(complete["number"], best, where="post", color=INK, lw=1.4)
        handles.append(Line2D([], [], color=INK, label="best so far"))
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
    axes.set_xlim(0, 1.12 * max([*shares.values(), 1e-6]))
    if not shares:
        axes.text(0.5, 0.5, "too few complete trials", ha="center", transform=axes.transAxes, color=QUIET)
    dress(axes, "", "share of the variance explained (fANOVA)", "")
    return figure


def parallel_coordinates(table: pd.DataFrame, settings: Sequence[str], *, metric: str) -> Figure:
    """Draws each complete trial as a line through its settings to its value."""
    complete = _complete(table)
    columns = [*settings, "value"]
    figure = new_figure(max(6.0, 1.5 * len(columns)), 4.6, "Settings of the trials")
    axes = figure.subplots()
    scales = {name: _Scale(complete[name]) for name in columns}
    places = np.arange(len(columns))
    shade = Normalize(*_limits(complete["value"]))
    mappable = ScalarMappable(shade, COLOURS)
    for row in complete.sort_values("value").to_dict("records"):
        heights = [scales[name].place(row[name]) for name in columns]
        axes.plot(places, heights, color=mappable.to_rgba(row["value"]), lw=1.3, alpha=0.8)
    for place, name in enumerate(columns):
        axes.axvline(place, color=INK, lw=0.8)
        for height, text in scales[name].ticks():
            behind = {"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.5}
            place_text = {"textcoords": "offset points", "fontsize": SMALL, "va": "center", "bbox": behind}
            axes.annotate(text, (place, height), (3, 0), **place_text)
    axes.set_xticks(places, [*(name.replace(".", "\n", 1) for name in settings), metric], fontsize=SMALL)
    axes.set_yticks([])
    axes.set_ylim(-0.05, 1.05)
    axes.set_xlim(-0.2, len(columns) - 0.3)
    axes.spines[:].set_visible(False)
    figure.colorbar(mappable, ax=axes, label=metric, pad=0.02)
    return figure


def slices(table: pd.DataFrame, settings: Sequence[str], *, metric: str) -> Figure:
    """Draws the value against each setting, a panel each; later trials are darker."""
    complete = _complete(table)
    num_columns = min(4, max(1, len(settings)))
    num_rows = -(-len(settings) // num_columns)
    figure = new_figure(3.0 * num_columns, 2.7 * num_rows + 0.5, "Value by setting")
    grid = figure.subplots(num_rows, num_columns, squeeze=False, sharey=True)
    for axes in grid.flat[len(settings) :]:
        axes.set_axis_off()
    for axes, name in zip(grid.flat, settings, strict=False):
        column = complete[name]
        if _is_number(column):
            axes.scatter(column, complete["value"], c=complete["number"], cmap="Blues", ec=INK, lw=0.4, s=22, vmin=-5)
            if _spans_decades(column):
                axes.set_xscale("log")
        else:
            words = sorted(column.astype(str).unique())
            axes.scatter(column.astype(str).map(words.index), complete["value"], color=BLUE, ec=INK, lw=0.4, s=22)
            axes.set_xticks(range(len(words)), words)
            axes.margins(x=0.3)
        dress(axes, "", name, metric if axes in grid[:, 0] else "")
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
        if _spans_decades(rows[cost]):
            axes.set_xscale("log")
        axes.margins(0.12)
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


def _limits(column: pd.Series) -> tuple[float, float]:
    if column.empty:
        return 0.0, 1.0
    low, high = float(column.min()), float(column.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _is_number(column: pd.Series) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in column)


def _spans_decades(column: pd.Series) -> bool:
    return bool(len(column)) and float(column.min()) > 0 and float(column.max()) > _LOG_FROM * float(column.min())


class _Scale:
    """Where the values of one setting stand on an axis from 0 to 1."""

    def __init__(self, column: pd.Series) -> None:
        self._words = [] if _is_number(column) else sorted(column.astype(str).unique())
        self._log = not self._words and _spans_decades(column)
        self._low, self._high = (0.0, 1.0) if self._words else _limits(self._scaled(column))

    def place(self, value: object) -> float:
        if self._words:
            return self._words.index(str(value)) / max(1, len(self._words) - 1)
        number = float(np.log(float(value)) if self._log else float(value))  # type: ignore[arg-type]
        return (number - self._low) / (self._high - self._low)

    def ticks(self) -> list[tuple[float, str]]:
        if self._words:
            return [(self.place(word), word) for word in self._words]
        ends = [(height, self._low + height * (self._high - self._low)) for height in (0.0, 0.5, 1.0)]
        return [(height, f"{np.exp(value) if self._log else value:.3g}") for height, value in ends]

    def _scaled(self, column: pd.Series) -> pd.Series:
        return np.log(column.astype(float)) if self._log else column.astype(float)
