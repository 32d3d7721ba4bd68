"""Figures of a dataset before any training; charts of a training and an evaluation are in `drawing.charts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, PercentFormatter
from numpy.typing import NDArray

from nanonuclei.data.catalog import SPLITS, SampleRef
from nanonuclei.drawing.charts import (
    BLUE,
    DPI,
    INK,
    ORANGE,
    QUIET,
    SKY,
    SMALL,
    TEXT,
    TITLE,
    dress,
    group_colours,
    legend_below,
    new_figure,
)
from nanonuclei.drawing.pictures import for_display, outlined, picture, write
from nanonuclei.drawing.tables import shortened
from nanonuclei.errors import DataError
from nanonuclei.tasks.values import Noun

MAX_IMAGES = 12
_PAIRS_PER_ROW = 3
_SIDE = 352
"""Longest side of an image in a grid, px."""
_MOST_SIZES = 10
_SPLIT_COLOURS = dict(zip(SPLITS, (BLUE, SKY, ORANGE), strict=True))


def image_grid(samples: Sequence[SampleRef], *, title: str, noun: Noun) -> Figure:
    """Draws images, each beside itself with its annotated objects outlined.

    Args:
        samples: The first 12 are drawn.
        title: Says what the images have in common, such as their modality.
        noun: What an object is called.

    Raises:
        DataError: There are no samples, or a file cannot be read.
    """
    if not samples:
        raise DataError("a grid of images needs at least one sample, got none. Leave out modalities without images")
    shown = samples[:MAX_IMAGES]
    num_columns = min(_PAIRS_PER_ROW, len(shown))
    cells = []
    for sample in shown:
        image = for_display(sample.image(), size=_SIDE)
        cells.append((image, outlined(image, sample.labels())))
    side, gap, between, head, band = _SIDE / DPI, 0.04, 0.25, 0.48, 0.42
    rows = [range(start, min(start + num_columns, len(shown))) for start in range(0, len(shown), num_columns)]
    heights = [max(cells[place][0].shape[0] for place in row) / DPI for row in rows]
    pair = 2 * side + gap + between
    figure = Figure(
        figsize=(max(num_columns * pair + between, 6.0), band + sum(heights) + head * len(rows) + 0.12),
        dpi=DPI,
        facecolor="white",
    )
    write(figure, between, 0.14, title, size=TITLE, weight="bold")
    top = band
    for row, height in zip(rows, heights, strict=True):
        for column, place in enumerate(row):
            left = between + column * pair
            write(figure, left, top + 0.13, _caption(shown[place], noun), size=SMALL, linespacing=1.15)
            for offset, cell in zip((0.0, side + gap), cells[place], strict=True):
                picture(figure, cell, left + offset, top + head)
        top += height + head
    return figure


def histograms(table: pd.DataFrame, sizes_of: Mapping[str, NDArray[Any]], *, noun: Noun, size: str) -> Figure:
    """Draws the sizes of the images, the objects per image and the sizes of the objects, per modality.

    Args:
        table: One row per image with the columns height, width, modality, num_objects, as `Catalog.table` returns it.
        sizes_of: Sizes of the objects in px, under the name of the modality.
        noun: What an object is called.
        size: What is measured of it, such as ``area``.

    Raises:
        DataError: The table is empty.
    """
    if table.empty:
        raise DataError("histograms of a dataset need at least one image, got an empty table. Prepare the data first")
    modalities = sorted(
        set(table["modality"]) | set(sizes_of), key=lambda name: -int((table["modality"] == name).sum())
    )
    colours = group_colours(modalities)
    figure = new_figure(13.0, 4.2, "What the dataset holds")
    sizes, per_image, per_object = figure.subplots(1, 3)
    _bars_of_sizes(sizes, table, colours)
    counts = {name: table.loc[table["modality"] == name, "num_objects"].to_numpy() for name in modalities}
    _log_histogram(per_image, counts, colours, unit="images")
    dress(
        per_image,
        f"{noun.many.capitalize()} per image",
        f"{noun.many} per image (log scale)",
        "share of the images of a modality",
    )
    _log_histogram(per_object, sizes_of, colours, unit=noun.many)
    title = f"{size.capitalize()} of a {noun.one}"
    dress(per_object, title, f"{size}, px (log scale)", f"share of the {noun.many} of a modality")
    return figure


def split_overview(split_table: pd.DataFrame, *, noun: Noun) -> Figure:
    """Draws how images, fields of view and objects of each modality are shared among train, val and test.

    Args:
        split_table: Columns modality, split, images, fields, objects, as `Catalog.split_table` returns it.
        noun: What an object is called.

    Raises:
        DataError: The table is empty.
    """
    if split_table.empty:
        raise DataError(
            "an overview of the splits needs at least one image, got an empty table. Prepare the data first"
        )
    totals = split_table.groupby("modality")["images"].sum().sort_values(ascending=False)
    modalities = [str(name) for name in totals.index]
    figure = new_figure(11.0, 1.6 + 0.62 * len(modalities), "How the dataset is split")
    columns = {"images": "Images", "fields": "Fields of view", "objects": noun.many.capitalize()}
    for axes, (column, name) in zip(figure.subplots(1, 3, sharey=True), columns.items(), strict=True):
        for place, modality in enumerate(modalities):
            rows = split_table[split_table["modality"] == modality].set_index("split")[column]
            counts = [int(rows.get(split, 0)) for split in SPLITS]
            shares = np.array(counts) / max(sum(counts), 1)
            starts = np.cumsum(shares) - shares
            axes.barh(place, shares, left=starts, height=0.42, color=[_SPLIT_COLOURS[split] for split in SPLITS])
            text = " / ".join(f"{count:,}" for count in counts)
            axes.text(0.0, place - 0.27, text, fontsize=SMALL, color=INK, va="bottom")
        axes.set_yticks(range(len(modalities)), modalities)
        axes.set_ylim(len(modalities) - 0.5, -0.7)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        dress(axes, f"{name}: {' / '.join(SPLITS)}", f"share of the {name.lower()} of a modality", "")
        axes.grid(False, axis="y")
    legend_below(figure, [Patch(color=colour, label=split) for split, colour in _SPLIT_COLOURS.items()])
    return figure


def _bars_of_sizes(axes: Axes, table: pd.DataFrame, colours: Mapping[str, str]) -> None:
    """Draws how many images have each height x width, the most frequent first, stacked by modality."""
    size = table["height"].astype(str) + " x " + table["width"].astype(str)
    counts = pd.crosstab(size, table["modality"])
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    if len(counts) > _MOST_SIZES:
        rest = counts.iloc[_MOST_SIZES - 1 :].sum().to_frame(f"{len(counts) - _MOST_SIZES + 1} other sizes").T
        counts = pd.concat([counts.iloc[: _MOST_SIZES - 1], rest])
    starts = np.zeros(len(counts))
    for modality in (name for name in colours if name in counts):
        axes.barh(
            range(len(counts)), counts[modality], left=starts, height=0.7, color=colours[modality], label=modality
        )
        starts += counts[modality].to_numpy()
    for place, number in enumerate(starts):
        axes.annotate(
            f"{number:,.0f}",
            (number, place),
            (3, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=INK,
        )
    axes.set_yticks(range(len(counts)), list(counts.index))
    axes.set_ylim(len(counts) - 0.4, -0.6)
    axes.margins(x=0.12)
    dress(axes, "Size of the images", "images", "height x width, px")
    axes.grid(False, axis="y")
    axes.legend(fontsize=SMALL, frameon=False, loc="lower right")


def _log_histogram(axes: Axes, groups: Mapping[str, NDArray[Any]], colours: Mapping[str, str], *, unit: str) -> None:
    """Draws the shares of each group per bin of equal ratio; zeros count in the shares and are named in the legend."""
    groups = {name: np.asarray(groups[name], float) for name in colours if len(groups.get(name, ()))}
    positive = [values[values > 0] for values in groups.values() if (values > 0).any()]
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
    if not positive:
        axes.text(0.5, 0.5, f"no {unit}", transform=axes.transAxes, ha="center", fontsize=TEXT, color=QUIET)
        return
    everything = np.concatenate(positive)
    edges = np.geomspace(everything.min() / 1.05, everything.max() * 1.05, 26)
    for name, values in groups.items():
        shares = np.histogram(values, edges)[0] / len(values)
        label = f"{name}: n = {len(values):,}"
        if (values <= 0).any():
            label += f", {(values <= 0).sum():,} with none"
        if (values > 0).any():
            label += f", median {np.median(values):,.0f}"
        axes.stairs(shares, edges, color=colours[name], lw=1.6, label=label)
        axes.stairs(shares, edges, color=colours[name], alpha=0.12, fill=True)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.set_ylim(0, axes.get_ylim()[1] * (1 + 0.1 * len(groups)))
    axes.legend(fontsize=SMALL, frameon=False, loc="upper right")


def _caption(sample: SampleRef, noun: Noun) -> str:
    return f"{shortened(sample.sample_id)}\n{sample.height} x {sample.width} px, {noun.count(sample.num_objects)}"
