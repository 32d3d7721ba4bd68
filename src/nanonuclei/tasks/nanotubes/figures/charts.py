"""Figures of the nanotubes task: maps and lines over images, curves, confusion and calibration of windows, counts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from nanonuclei.drawing.charts import (
    BLUE,
    GREEN,
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
from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.nanotubes import binned_scores
from nanonuclei.tasks.nanotubes.lines.line import Line

SIDE = 4.0
"""Inches of a picture."""

LARGEST = 1024
"""Pixels of a picture's longer side; larger images are shown smaller."""

OPACITY = 0.6
"""Of the scores that are drawn over an image."""

TRUE_COLOURS, FOUND_COLOURS = (BLUE, ORANGE), (GREEN, VERMILLION)
"""Of true lines, found and missed; of candidates, right and wrong."""

TRUE_WIDTH, FOUND_WIDTH = 2.8, 1.0
"""Points; a candidate over a true line leaves its edges in sight."""

TITLE_WIDTH = 24
"""Characters of a title above a close-up."""

CALIBRATION = 10
"""Groups of windows of equal width in score whose share of positives is drawn."""


@dataclass(frozen=True)
class TubePanel:
    """One image with what is true and what was found.

    Attributes:
        grey: ``(height, width)`` float32 in 0..1.
        scores: ``(height, width)`` float32 in 0..1.
        true: The true lines.
        was_found: ``(true,)`` bool.
        found: Lines of the candidates.
        is_right: ``(found,)`` bool.
        name: Of the image.
        caption: What is told of it above.
    """

    grey: Float32Array
    scores: Float32Array
    true: Sequence[Line]
    was_found: NDArray[np.bool_]
    found: Sequence[Line]
    is_right: NDArray[np.bool_]
    name: str
    caption: str


def tube_panels(panels: Sequence[TubePanel], *, title: str) -> Figure:
    """Draws a row per image: the image, its scores over it, true lines (broad) below those of the candidates.

    Args:
        panels: At least one.
        title: Of the figure.
    """
    figure = new_figure(3 * SIDE, len(panels) * (SIDE + 0.35) + 0.7, title)
    grid = figure.subplots(len(panels), 3, squeeze=False)
    for row, panel in zip(grid, panels, strict=True):
        scale = min(1.0, LARGEST / max(panel.grey.shape))
        size = tuple(max(1, round(extent * scale)) for extent in panel.grey.shape[::-1])
        grey, scores = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (panel.grey, panel.scores))
        for axes in row:
            axes.imshow(np.sqrt(grey), cmap="gray", vmin=0.0, vmax=1.0)
            axes.set_axis_off()
            axes.autoscale(False)  # else lines that end at the border make the picture smaller
        names = (f"{panel.name}: {panel.caption}\nimage", "scores", "true lines and candidates")
        for axes, name in zip(row, names, strict=True):
            axes.set_title(name, fontsize=SMALL, color=INK, loc="left")
        shown = row[1].imshow(scores, cmap="magma", vmin=0.0, vmax=1.0, alpha=OPACITY)
        for lines, flags, colours, width in (
            (panel.true, panel.was_found, TRUE_COLOURS, TRUE_WIDTH),
            (panel.found, panel.is_right, FOUND_COLOURS, FOUND_WIDTH),
        ):
            for line, flag in zip(lines, flags, strict=True):
                y, x = (line.points * scale).T
                row[2].plot(x, y, color=colours[not flag], lw=width)
    bar = figure.colorbar(shown, ax=grid, location="bottom", shrink=0.3, aspect=40, pad=0.01)
    bar.ax.set_facecolor("black")  # as scores look over a dark image
    bar.set_label("score", fontsize=SMALL, color=INK)
    bar.ax.tick_params(labelsize=SMALL, colors=INK)
    handles = [
        Line2D([], [], color=colour, lw=width, label=f"{kind}, {how}")
        for kind, ends, colours, width in (
            ("true", ("found", "missed"), TRUE_COLOURS, TRUE_WIDTH),
            ("candidate", ("right", "wrong"), FOUND_COLOURS, FOUND_WIDTH),
        )
        for how, colour in zip(ends, colours, strict=True)
    ]
    legend_below(figure, handles)
    return figure


def close_ups(panels: Sequence[TubePanel], *, title: str, side: int = 96) -> Figure:
    """Draws where errors are: each panel's one line, missed or wrong, and what is around its middle.

    Args:
        panels: One per error, each with one line: in `true` where it was missed, else in `found`.
        title: Of the figure.
        side: Of a close-up, px.
    """
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    heading = textwrap.wrap(title, columns * TITLE_WIDTH)
    figure = new_figure(columns * 2.6, rows * 3.0 + 0.3 + 0.2 * len(heading), "\n".join(heading))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, panel in zip(grid.flat, panels, strict=False):
        (line,) = panel.true or panel.found
        colour = (TRUE_COLOURS if panel.true else FOUND_COLOURS)[1]
        y, x = line.points[len(line.points) // 2]
        axes.imshow(np.sqrt(panel.grey), cmap="gray", vmin=0.0, vmax=1.0)
        axes.plot(line.points[:, 1], line.points[:, 0], color=colour, lw=1.2)
        axes.set_xlim(x - side / 2, x + side / 2)
        axes.set_ylim(y + side / 2, y - side / 2)
        axes.set_title(f"{panel.name}\n{panel.caption}", fontsize=SMALL, color=INK)
    return figure


def precision_recall_curves(
    windows: tuple[NDArray[np.float64], NDArray[np.float64]], objects: pd.DataFrame, *, num_true: int
) -> Figure:
    """Draws precision over recall, of windows and of candidates, for all thresholds.

    Args:
        windows: Counts of positive and negative windows, see `tasks.nanotubes.binned_scores`.
        objects: Columns score and matched.
        num_true: True nanotubes.
    """
    figure = new_figure(9.0, 4.2, "Precision and recall for all thresholds")
    left, right = figure.subplots(1, 2)
    precision, recall = binned_scores.precision_recall(*windows)
    left.step(recall, precision, where="pre", color=BLUE)
    share = windows[0].sum() / max(windows[0].sum() + windows[1].sum(), 1.0)
    left.axhline(share, color=QUIET, lw=1.0, ls="--")
    left.annotate("share of positives", (0.0, share), (2, 3), textcoords="offset points", fontsize=SMALL, color=QUIET)
    ranked = objects.sort_values("score", ascending=False, kind="stable")
    hits = ranked["matched"].fillna(0.0).to_numpy(float).cumsum()
    right.step(hits / max(num_true, 1), hits / np.arange(1, len(hits) + 1), where="pre", color=GREEN)
    for axes, name in ((left, "Windows"), (right, "Candidates, half of the line covered")):
        axes.set_xlim(0.0, 1.02)
        axes.set_ylim(0.0, 1.02)
        dress(axes, name, "recall", "precision")
    return figure


def window_figure(windows: tuple[NDArray[np.float64], NDArray[np.float64]], *, threshold: float) -> Figure:
    """Draws the confusion matrix of windows at a threshold, and the share of positives by score.

    Args:
        windows: Counts of positive and negative windows, see `tasks.nanotubes.binned_scores`.
        threshold: Score of a positive window.
    """
    positive, negative = windows
    figure = new_figure(9.0, 4.2, "Windows: confusion and calibration")
    left, right = figure.subplots(1, 2)
    above = binned_scores.lower_edges() >= threshold - 1e-9
    table = np.array([[negative[~above].sum(), negative[above].sum()], [positive[~above].sum(), positive[above].sum()]])
    left.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1.0), cmap="Blues", vmin=0.0, vmax=1.0)
    for row, column in np.ndindex(2, 2):
        share = table[row, column] / max(table[row].sum(), 1.0)
        colour = "white" if share > 0.5 else INK
        text = f"{table[row, column]:,.0f}\n{share:.0%}"
        left.text(column, row, text, ha="center", va="center", fontsize=TEXT, color=colour)
    left.set_xticks([0, 1], ["without", "with"])
    left.set_yticks([0, 1], ["without", "with"])
    dress(left, f"Threshold {threshold:.3f}", "predicted", "true")
    left.grid(False)
    _calibration(right, positive, negative)
    return figure


def _calibration(axes: Axes, positive: NDArray[np.float64], negative: NDArray[np.float64]) -> None:
    edges = np.append(binned_scores.lower_edges(), 1.0)
    middles = (edges[:-1] + edges[1:]) / 2.0
    groups = np.minimum((middles * CALIBRATION).astype(int), CALIBRATION - 1)
    total = np.bincount(groups, positive + negative, CALIBRATION)
    share = np.bincount(groups, positive, CALIBRATION) / np.maximum(total, 1.0)
    score = np.bincount(groups, (positive + negative) * middles, CALIBRATION) / np.maximum(total, 1.0)
    axes.plot([0, 1], [0, 1], color=QUIET, lw=1.0, ls="--")
    axes.plot(score[total > 0], share[total > 0], "o-", color=BLUE, ms=5)
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, 1.02)
    dress(axes, "Calibration", "mean score", "share of windows with nanotubes")


def count_agreement(per_image: pd.DataFrame) -> Figure:
    """Draws nanotubes per cell as counted and as true, per image: difference over mean, with the limits of agreement.

    Args:
        per_image: Statistics of the images; those whose cells are not known are left out.
    """
    known = per_image[per_image["tcr_images"] > 0]
    true = known["tcr_num_true"] / known["tcr_true_cells"].clip(lower=1.0)
    found = known["tcr_num_found"] / known["tcr_found_cells"].clip(lower=1.0)
    difference = (found - true).to_numpy(float)
    figure = new_figure(5.0, 4.2, "Nanotubes per cell: found against true")
    axes = figure.subplots()
    axes.plot((found + true) / 2.0, difference, "o", color=BLUE, ms=5)
    if len(difference):
        spread = 1.96 * difference.std(ddof=1) if len(difference) > 1 else 0.0
        for place, style in ((0.0, "-"), (-spread, "--"), (spread, "--")):
            axes.axhline(difference.mean() + place, color=INK if place == 0.0 else QUIET, lw=1.0, ls=style)
    dress(axes, "Bland-Altman, one dot per image", "mean of both", "found - true")
    return figure
