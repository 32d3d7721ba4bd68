"""Plots: the tables that the pipeline's stages wrote, as figures and a page that opens without a network connection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from nanonuclei.errors import DataError
from nanonuclei.invocation import command
from nanonuclei.report.declared import declared_plots
from nanonuclei.stages.places import PIPELINE, PIPELINES, SCRATCH
from nanonuclei.writing import write_bytes, write_text

PAGE = "index.html"
FOLDER = SCRATCH / "plots"


def draw_plots(output: Path = FOLDER, *, say: Callable[[str], None] = print) -> Path:
    """Draws what the pipelines declare as plots, of the tables that are there.

    Args:
        output: Folder of the page and of a PNG file per plot; what it holds of an earlier call is replaced.
        say: Told where they are.

    Returns:
        The page.

    Raises:
        DataError: No pipeline has written a table yet, or a table lacks a column.
    """
    declared = {}
    for path in filter(Path.is_file, (PIPELINE, *sorted(PIPELINES.glob(f"*/{PIPELINE.name}")))):
        plots = declared_plots(yaml.safe_load(path.read_text(encoding="utf-8")), folder=path.parent)
        if present := [plot for plot in plots if plot.file.is_file()]:
            declared[path.as_posix()] = present
    if not declared:
        raise DataError(
            f"plots need the tables that the pipeline writes, but none of those that {PIPELINE} declares is there. Run "
            f"`{command('repro')}` first, in the folder of the project"
        )
    from nanonuclei.report.plots import as_png, draw_plot, file_name, plots_page

    groups = {head: [(plot, as_png(draw_plot(plot))) for plot in plots] for head, plots in declared.items()}
    drawn = [one for group in groups.values() for one in group]
    for plot, png in drawn:
        write_bytes(output / plot.file.parent.parent.name / file_name(plot.title), png)
    write_text(output / PAGE, plots_page(groups))
    told = f"{len(drawn)} plots, in one page that needs no network connection; each is a PNG file beside it."
    say(f"{output / PAGE}: {told}")
    return output / PAGE
