"""Figures of a training and of an evaluation, and the look that all figures share; a dataset is drawn in `explore`.

Everything is drawn through `matplotlib.figure.Figure`: no pyplot, no global settings, no display.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from skimage.segmentation import expand_labels, find_boundaries, relabel_sequential

from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Image, Int32Array, Labels, UInt8Array
from nanonuclei.report.summary import METRIC_NAMES, format_value

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

CELL = 3.2
"""Longest side of a drawn image, in."""
_OUTLINE_RGB = ((255, 176, 0), (64, 196, 255), (255, 96, 60), (80, 230, 140), (255, 130, 220), (245, 240, 80))
_NEAR = 8
_CORRECT, _MISSED, _FALSE = "#4C86B8", "#F08A24", "#F5E663"
_PANEL_COLUMNS = ("image", "annotated", "predicted", "difference")

_CURVES = {
    "loss": ("Loss (lower is better)", "loss"),
    "accuracy": ("Pixel accuracy (higher is better)", "share of pixels"),
    "iou": ("Foreground IoU (higher is better)", "IoU"),
    "learning_rate": ("Learning rate", "learning rate"),
}
_LOG_FROM = 20.0
"""Positive curves whose largest value is this many times the smallest are drawn on a logarithmic axis."""


@dataclass(frozen=True)
class Panel:
    """One image of an evaluation, to be drawn as a row.

    Attributes:
        image: ``(height, width)`` or ``(height, width, 3)`` RGB, uint8 or uint16.
        true: ``(height, width)`` integers, 0 background, the annotated nuclei.
        predicted: ``(height, width)`` integers, 0 background, the predicted nuclei.
        caption: Written above the row.
    """

    image: Image
    true: Labels
    predicted: Labels
    caption: str


def learning_curves(history: Mapping[str, Sequence[float]], *, best_epoch: int | None) -> Figure:
    """Draws how a training went: one panel per metric with training and validation, and one for the learning rate.

    Args:
        history: One value per epoch under `train/<metric>`, `val/<metric>` and `learning_rate`; other names are not
            drawn. NaN and infinite values leave a gap.
        best_epoch: The epoch whose weights were kept, counted from 1; None marks none.

    Raises:
        DataError: The history holds nothing that could be drawn.
    """
    names = {key.partition("/")[2] for key in history if key.startswith(("train/", "val/"))} - {"learning_rate"}
    order = sorted(names, key=lambda name: ([*_CURVES, name].index(name), name))
    order += ["learning_rate"] if "learning_rate" in history else []
    if not order:
        raise DataError(
            f"a history must hold train/<metric> or val/<metric>, got {sorted(history)}. Train for at least one epoch"
        )
    figure = new_figure(3.3 * len(order), 3.3, "Course of the training")
    for axes, name in zip(figure.subplots(1, len(order), squeeze=False)[0], order, strict=True):
        keys = {"learning_rate": INK} if name == "learning_rate" else {f"train/{name}": BLUE, f"val/{name}": ORANGE}
        curves = {key: np.asarray(history[key], float) for key in keys if key in history}
        for key, values in curves.items():
            drawn = np.where(np.isfinite(values), values, np.nan)
            marker = "o" if len(values) < 30 else None
            axes.plot(np.arange(1, len(values) + 1), drawn, color=keys[key], lw=1.5, marker=marker, ms=3, label=key)
            if best_epoch is not None and key.startswith("val/") and 1 <= best_epoch <= len(values):
                axes.plot(best_epoch, drawn[best_epoch - 1], "o", ms=7, mfc="none", mec=INK, mew=1.2)
        if best_epoch is not None:
            axes.axvline(best_epoch, color=QUIET, lw=1.0, ls=":")
        title, unit = _CURVES.get(name, (METRIC_NAMES.get(name, name), name))
        everything = np.concatenate(list(curves.values()))
        finite = everything[np.isfinite(everything)]
        if finite.size and finite.min() > 0 and finite.max() > _LOG_FROM * finite.min():
            axes.set_yscale("log")
            unit += " (log scale)"
        dress(axes, title, "epoch", unit)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
        axes.set_xlim(0.5, max(map(len, curves.values())) + 0.5)
    handles = [Line2D([], [], color=BLUE, label="training"), Line2D([], [], color=ORANGE, label="validation")]
    if best_epoch is not None:
        best = f"best epoch: {best_epoch}"
        handles.append(Line2D([], [], color=QUIET, ls=":", marker="o", mfc="none", mec=INK, label=best))
    legend_below(figure, handles)
    return figure


def panels(rows: Sequence[Panel], *, title: str) -> Figure:
    """Draws images beside their annotated and predicted nuclei and the difference between the two, a row per image.

    Contrast is stretched to the percentiles 1 and 99.8 of each image, for display only.

    Raises:
        DataError: There are no rows, or an image and its label maps differ in height or width.
    """
    if not rows:
        raise DataError("a figure of panels needs at least one image, got none. Raise evaluate.num_panels or skip it")
    drawn = [_panel_cells(row) for row in rows]
    captions = [textwrap.fill(row.caption, 150) for row in rows]
    heads = [0.44 + 0.16 * (caption.count("\n") + 1) for caption in captions]
    heights = [cells[0].shape[0] / DPI for cells in drawn]
    gap, band = 0.1, 0.66
    width = 4 * CELL + 5 * gap
    height = band + sum(heads) + sum(heights) + gap
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    write(figure, gap, 0.12, title, size=TITLE, weight="bold")
    on_grey = [withStroke(linewidth=6, foreground=QUIET)]
    figure.legend(
        handles=[
            Patch(color=_CORRECT, label="correct: nucleus in both"),
            Patch(color=_MISSED, label="missed: annotated only"),
            Patch(color=_FALSE, label="false: predicted only"),
            Line2D([], [], color="white", lw=1.5, path_effects=on_grey, label="outline of annotated nuclei"),
            Line2D([], [], color="black", lw=1.5, path_effects=on_grey, label="outline of predicted nuclei"),
        ],
        loc="upper left",
        bbox_to_anchor=((gap + 1.15) / width, 1 - 0.44 / height),
        borderaxespad=0,
        borderpad=0,
        ncols=5,
        fontsize=SMALL,
        frameon=False,
    )
    write(figure, gap, 0.44, "In the difference:", size=SMALL)
    top = band
    for row, cells, caption, head in zip(rows, drawn, captions, heads, strict=True):
        write(figure, gap, top + 0.16, caption, size=TEXT, weight="bold")
        counts = ("", f": {_count(row.true)}", f": {_count(row.predicted)}", "")
        for column, cell in enumerate(cells):
            left = gap + column * (CELL + gap)
            write(figure, left, top + head - 0.19, _PANEL_COLUMNS[column] + counts[column], size=SMALL)
            picture(figure, cell, left, top + head)
        top += head + cells[0].shape[0] / DPI
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


def metric_intervals(table: pd.DataFrame) -> Figure:
    """Draws metrics as dots with their 95 % intervals: a panel per metric, a line per group.

    Args:
        table: Columns metric, group, value, low, high; one row per metric and group. Without a finite low and high
            only the dot is drawn; a missing value leaves the line empty.

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
                format_value(metric, value),
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
        dress(axes, METRIC_NAMES.get(metric, metric), "", "")
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


def group_colours(groups: Iterable[str]) -> dict[str, str]:
    """Returns one colour per group, the same for a modality in every figure."""
    spare = iter(_SPARE_COLOURS * (1 + len(list(groups)) // len(_SPARE_COLOURS)))
    return {group: GROUP_COLOURS.get(group) or next(spare) for group in groups}


def write(figure: Figure, left: float, top: float, text: str, **style: Any) -> None:
    """Writes text with its upper left corner at a place counted in inches from the upper left corner of a figure."""
    width, height = figure.get_size_inches()
    figure.text(left / width, 1 - top / height, text, color=INK, va="top", parse_math=False, **style)


def picture(figure: Figure, image: UInt8Array, left: float, top: float) -> Axes:
    """Places an image of `CELL * DPI` px or less, pixel for pixel, in inches from the upper left corner."""
    width, height = figure.get_size_inches()
    tall, wide = image.shape[0] / DPI, image.shape[1] / DPI
    axes = figure.add_axes((left / width, 1 - (top + tall) / height, wide / width, tall / height))
    axes.imshow(image)
    axes.set_axis_off()
    return axes


def for_display(image: Image, *, size: int = round(CELL * DPI)) -> UInt8Array:
    """Returns an image for the eye: contrast from percentile 1 to 99.8, RGB uint8, its longest side `size` px."""
    low, high = np.percentile(image, (1.0, 99.8))
    stretched = (np.clip((image - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)
    colour = stretched if stretched.ndim == 3 else cv2.cvtColor(stretched, cv2.COLOR_GRAY2RGB)
    shape = _shape_for_display(image.shape, size)
    shrinks = shape[0] < image.shape[0]
    resized: UInt8Array = cv2.resize(colour, shape[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return resized


def outlined(image: UInt8Array, labels: Labels) -> UInt8Array:
    """Returns a displayed image, dimmed and without colour, with every instance outlined, 1 px wide or 2 where magnified.

    Args:
        image: ``(height, width, 3)`` uint8, as `for_display` returns it.
        labels: Integers, 0 background, of the size that the image had before `for_display`.
    """
    drawn = _grey(image, 0.7)
    instances = _resized(labels, image.shape)
    edge = find_boundaries(instances, mode="inner")
    if image.shape[0] >= 1.5 * labels.shape[0]:
        edge |= find_boundaries(np.where(edge, 0, instances), mode="inner")
    drawn[edge] = np.asarray(_OUTLINE_RGB, np.uint8)[_instance_colours(instances)][instances[edge]]
    return drawn


def _difference(image: UInt8Array, true: Labels, predicted: Labels) -> UInt8Array:
    true, predicted = (_resized(labels, image.shape) for labels in (true, predicted))
    drawn = _grey(image, 0.35)
    for where, colour in (
        ((true > 0) & (predicted > 0), _CORRECT),
        ((true > 0) & (predicted == 0), _MISSED),
        ((true == 0) & (predicted > 0), _FALSE),
        (find_boundaries(predicted, mode="inner"), "black"),
        (find_boundaries(true, mode="inner"), "white"),
    ):
        drawn[where] = np.round(np.multiply(to_rgb(colour), 255))
    return drawn


def _panel_cells(panel: Panel) -> tuple[UInt8Array, ...]:
    """Returns what the four columns of a row show, each ``(height, width, 3)`` uint8 for display."""
    shapes = [panel.image.shape[:2], panel.true.shape, panel.predicted.shape]
    if len(set(shapes)) > 1:
        raise DataError(
            f"an image and its label maps must have one height and width: {panel.caption!r} has an image of "
            f"{shapes[0]}, annotated labels of {shapes[1]} and predicted labels of {shapes[2]}. Resize none of them"
        )
    image = for_display(panel.image)
    truth, prediction = (outlined(image, labels) for labels in (panel.true, panel.predicted))
    return image, truth, prediction, _difference(image, panel.true, panel.predicted)


def _resized(labels: Labels, shape: tuple[int, ...]) -> Int32Array:
    """Returns labels 1..n at the height and width of a displayed image."""
    sequential = relabel_sequential(labels)[0].astype(np.int32)
    resized: Int32Array = cv2.resize(sequential, shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return resized


def _instance_colours(labels: Int32Array) -> Int32Array:
    """Returns per label the place of its colour, so that instances near each other differ; greedy, in label order."""
    grown = expand_labels(labels, distance=_NEAR)
    pairs = np.concatenate(
        [
            np.stack([grown[:, :-1].ravel(), grown[:, 1:].ravel()], axis=1),
            np.stack([grown[:-1].ravel(), grown[1:].ravel()], axis=1),
        ]
    )
    pairs = np.unique(np.sort(pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs > 0).all(axis=1)], axis=1), axis=0)
    colours = np.full(int(labels.max(initial=0)) + 1, -1, np.int32)
    colours[0] = 0
    neighbours: dict[int, list[int]] = {}
    for one, other in pairs.tolist():
        neighbours.setdefault(other, []).append(one)
    for label in range(1, len(colours)):
        taken = [int(colours[other]) for other in neighbours.get(label, [])]
        places = [(label + step) % len(_OUTLINE_RGB) for step in range(len(_OUTLINE_RGB))]
        colours[label] = min(places, key=taken.count)
    return colours


def _grey(image: UInt8Array, brightness: float) -> UInt8Array:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) * brightness
    drawn: UInt8Array = cv2.cvtColor(grey.astype(np.uint8), cv2.COLOR_GRAY2RGB)
    return drawn


def _shape_for_display(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    scale = size / max(shape[:2])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _count(labels: Labels) -> str:
    number = len(np.setdiff1d(labels, 0))
    return f"{number:,} {'nucleus' if number == 1 else 'nuclei'}"
