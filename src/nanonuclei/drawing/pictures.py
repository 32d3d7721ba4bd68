"""Images in figures: as the eye sees them, instances outlined, annotation and prediction side by side.

Everything is placed by hand, pixel for pixel, in inches from the upper left corner; charts are in `drawing.charts`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from skimage.segmentation import find_boundaries, relabel_sequential

from nanonuclei.counted import counted
from nanonuclei.drawing.charts import DPI, INK, QUIET, SMALL, TEXT, TITLE
from nanonuclei.errors import DataError
from nanonuclei.imaging.outline_colours import COLOURS, outline_colours
from nanonuclei.imaging.types import Image, Int32Array, Labels, UInt8Array

CELL = 3.2
"""Longest side of a drawn image, in."""
_CORRECT, _MISSED, _FALSE = "#4C86B8", "#F08A24", "#F5E663"
_PANEL_COLUMNS = ("image", "annotated", "predicted", "difference")


@dataclass(frozen=True)
class Panel:
    """One image of an evaluation, to be drawn as a row.

    Attributes:
        image: ``(height, width)`` or ``(height, width, 3)`` RGB, uint8 or uint16.
        true: ``(height, width)`` integers, 0 background, the annotated objects.
        predicted: ``(height, width)`` integers, 0 background, the predicted objects.
        caption: Written above the row.
    """

    image: Image
    true: Labels
    predicted: Labels
    caption: str


def panels(rows: Sequence[Panel], *, title: str, one: str, many: str) -> Figure:
    """Draws images beside their annotated and predicted objects and the difference between the two, a row per image.

    Contrast is stretched to the percentiles 1 and 99.8 of each image, for display only.

    Args:
        rows: The images.
        title: Of the figure.
        one: What an object is called.
        many: The plural.

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
            Patch(color=_CORRECT, label=f"correct: {one} in both"),
            Patch(color=_MISSED, label="missed: annotated only"),
            Patch(color=_FALSE, label="false: predicted only"),
            Line2D([], [], color="white", lw=1.5, path_effects=on_grey, label=f"outline of annotated {many}"),
            Line2D([], [], color="black", lw=1.5, path_effects=on_grey, label=f"outline of predicted {many}"),
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
        counts = ("", f": {_count(row.true, one, many)}", f": {_count(row.predicted, one, many)}", "")
        for column, cell in enumerate(cells):
            left = gap + column * (CELL + gap)
            write(figure, left, top + head - 0.19, _PANEL_COLUMNS[column] + counts[column], size=SMALL)
            picture(figure, cell, left, top + head)
        top += head + cells[0].shape[0] / DPI
    return figure


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
    """Returns a displayed image, dimmed and without colour, every instance outlined (2 px where magnified).

    Args:
        image: ``(height, width, 3)`` uint8, as `for_display` returns it.
        labels: Integers, 0 background, of the size that the image had before `for_display`.
    """
    drawn = _grey(image, 0.7)
    instances = _resized(labels, image.shape)
    edge = find_boundaries(instances, mode="inner")
    colours = np.asarray(COLOURS, np.uint8)[outline_colours(instances, edge)]
    if image.shape[0] >= 1.5 * labels.shape[0]:
        edge |= find_boundaries(np.where(edge, 0, instances), mode="inner")
    drawn[edge] = colours[instances[edge]]
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


def _grey(image: UInt8Array, brightness: float) -> UInt8Array:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) * brightness
    drawn: UInt8Array = cv2.cvtColor(grey.astype(np.uint8), cv2.COLOR_GRAY2RGB)
    return drawn


def _shape_for_display(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    scale = size / max(shape[:2])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _count(labels: Labels, one: str, many: str) -> str:
    number = len(np.setdiff1d(labels, 0))
    return counted(number, one, many)
