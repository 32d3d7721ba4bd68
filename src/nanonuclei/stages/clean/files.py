"""Files and folders with temporary names that killed processes left in a project's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from nanonuclei.stages.clean.leftover import Leftover, of_path
from nanonuclei.stages.places import BUILD, DATA, RECIPES, SCRATCH
from nanonuclei.writing import PARTIAL, is_abandoned

WRITTEN_TO = (SCRATCH, BUILD, DATA, RECIPES, Path("models"))
"""Folders that this program writes to, with all below them."""

REASON = "temporary, of a process that is gone"


def temporary() -> list[Leftover]:
    """Returns what has a temporary name and is nobody's, in the current folder and below `WRITTEN_TO`."""
    top = (path for path in Path().glob(f"{PARTIAL}*") if not path.is_symlink())
    found = [*top, *(path for place in WRITTEN_TO for path in _below(place))]
    return [of_path("temporary", path, REASON) for path in sorted(found) if is_abandoned(path)]


def _below(place: Path) -> Iterator[Path]:
    """Yields temporary names below a folder, without looking into them or through links."""
    for folder, folders, files in os.walk(place, followlinks=False):
        partial = [name for name in folders if name.startswith(PARTIAL)]
        folders[:] = [name for name in folders if name not in partial]
        for name in (*partial, *(name for name in files if name.startswith(PARTIAL))):
            yield Path(folder, name)
