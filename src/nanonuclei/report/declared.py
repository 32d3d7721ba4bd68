"""The plots that a `dvc.yaml` declares; `plots` draws them. Light, so that a command without tables ends at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Plot:
    """One plot: lines over one column of a table.

    Attributes:
        title: Its heading.
        file: The table, CSV.
        x: Column of the horizontal axis.
        y: Columns that are drawn, a line each.
        y_label: Of the vertical axis.
    """

    title: str
    file: Path
    x: str
    y: tuple[str, ...]
    y_label: str


def declared_plots(pipeline: Mapping[str, Any], *, folder: Path) -> list[Plot]:
    """Returns the plots of a `dvc.yaml`: first those at its end, of several columns, then those of its stages.

    Args:
        pipeline: The content of the file. Paths of its stages count from the project's folder.
        folder: Of the file, within the project: from there paths of the plots at its end count.
    """
    found = []
    for entry in pipeline.get("plots", ()):
        for title, asked in entry.items():
            for file, columns in asked["y"].items():
                table = Path(os.path.normpath(folder / file))
                found.append(Plot(title, table, asked["x"], _several(columns), asked.get("y_label", "")))
    for file, asked in _of_stages(pipeline):
        columns = _several(asked["y"])
        found.append(Plot(asked.get("title", Path(file).stem), Path(file), asked["x"], columns, ", ".join(columns)))
    return found


def _of_stages(pipeline: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields file and properties of each plot of a stage, for each item of the stage."""
    for stage in pipeline.get("stages", {}).values():
        for item in stage.get("foreach", [""]):
            for entry in stage.get("do", stage).get("plots", ()):
                for file, asked in entry.items():
                    yield re.sub(r"\$\{(item|key)\}", str(item), file), asked


def _several(columns: str | Sequence[str]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(columns)
