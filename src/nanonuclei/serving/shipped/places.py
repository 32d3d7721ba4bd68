"""Where the models that come along lie: in the current folder, in the clone, in the installed package."""

from __future__ import annotations

from pathlib import Path

from nanonuclei.packaged import CLONE, PACKAGED

MODELS = Path("models")
"""Folder at the top of the repository; one folder per model, by its name."""


def places() -> tuple[Path, ...]:
    """Returns the folders that may hold models, those that come first win.

    The current folder first, then the copy in the installed package, then the clone, as for `params.yaml`.
    """
    return (MODELS, PACKAGED / MODELS, CLONE / MODELS)


def shipped_names() -> list[str]:
    """Returns the names of all models that come along, sorted."""
    found = {folder.name for place in places() if place.is_dir() for folder in place.iterdir() if folder.is_dir()}
    return sorted(name for name in found if not name.startswith("."))


def shipped_folder(name: str) -> Path | None:
    """Returns the folder of a model that comes along; None where none has that name."""
    if name not in shipped_names():
        return None
    return next(place / name for place in places() if (place / name).is_dir())
