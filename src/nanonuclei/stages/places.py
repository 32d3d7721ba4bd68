"""Where things lie in a project's folder."""

from __future__ import annotations

from pathlib import Path

PARAMS = Path("params.yaml")
RECIPES = Path("recipes")
DATA = Path("data")
SCRATCH = Path("scratch")
LOCK = Path("requirements.txt")


def prepared_folder(name: str, key: str) -> Path:
    """Where an ad-hoc prepared dataset lies; the key changes with the data and the settings that shape it."""
    return SCRATCH / "prepared" / f"{name}-{key}"


def run_folder(run_id: str) -> Path:
    """Where checkpoints, event files and figures of a run lie."""
    return SCRATCH / "runs" / run_id
