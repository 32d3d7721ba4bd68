"""Declared plots, drawn as figures and as one page that opens without a network connection."""

from __future__ import annotations

import base64
import html
import io
import re
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nanonuclei.drawing.charts import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, dress, legend_below, new_figure
from nanonuclei.errors import DataError
from nanonuclei.report.declared import Plot

DPI = 110
"""Dots per inch of the figures: 5.4 inches are 594 px."""

_COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY)
_TITLE_WIDTH = 48
"""Characters of a title that fit on a line."""

_MOST_MARKED = 30
"""Points of a line up to which each is marked."""

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;color:#222;max-width:76rem;margin:2rem auto;padding:0 1rem}
main{display:flex;flex-wrap:wrap;gap:1.5rem}figure{margin:0}img{max-width:100%;border:1px solid #e4e4e4}
figcaption{font-size:.85rem;color:#555}h1{font-size:1.5rem}h2{width:100%;margin:1.5rem 0 0;font-size:1.2rem}"""


def draw_plot(plot: Plot) -> Figure:
    """Draws a plot.

    Raises:
        DataError: The table cannot be read or lacks a column.
    """
    try:
        table = pd.read_csv(plot.file)
    except (OSError, ValueError) as error:
        raise DataError(f"{plot.file} must be a table, but cannot be read: {error}. Run the pipeline again") from error
    if lacking := [name for name in (plot.x, *plot.y) if name not in table.columns]:
        raise DataError(
            f"{plot.file} must hold the column {lacking[0]}, got {', '.join(table)}. Run the pipeline again"
        )
    figure = new_figure(5.4, 4.2, textwrap.fill(plot.title, _TITLE_WIDTH))
    axes = figure.subplots()
    marker = "o" if len(table) <= _MOST_MARKED else None
    for place, name in enumerate(plot.y):
        values = table[name].to_numpy(float)
        drawn = np.where(np.isfinite(values), values, np.nan)
        colour = _COLOURS[place % len(_COLOURS)]
        axes.plot(table[plot.x], drawn, color=colour, lw=1.5, marker=marker, ms=3.5, label=name)
    dress(axes, "", plot.x, plot.y_label)
    if len(plot.y) > 1:
        legend_below(figure, axes.get_lines())
    return figure


def as_png(figure: Figure) -> bytes:
    """Returns a figure as a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return file.getvalue()


def file_name(title: str) -> str:
    """Returns a title as the name of a file: ``loss-per-epoch.png``."""
    return f"{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')}.png"


def plots_page(groups: Mapping[str, Sequence[tuple[Plot, bytes]]]) -> str:
    """Returns the page: it holds all figures and asks for nothing outside of it.

    Args:
        groups: Heading to plots with their PNG files.
    """
    parts = []
    for heading, plots in groups.items():
        parts.append(f"<h2>{html.escape(heading)}</h2>")
        for plot, png in plots:
            title, source = html.escape(plot.title), html.escape(plot.file.as_posix())
            shown = f'<img alt="{title}" src="data:image/png;base64,{base64.b64encode(png).decode("ascii")}">'
            parts.append(f"<figure>{shown}<figcaption>{source}</figcaption></figure>")
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Plots of the pipeline</title>\n'
        f"<style>{_STYLE}</style>\n<h1>Plots of the pipeline</h1>\n<main>\n{body}\n</main>\n</html>\n"
    )
