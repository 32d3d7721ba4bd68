"""Lineage: prints and verifies which data, code and settings made a model, one that comes along or one of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nanonuclei.serving.shipped.checks import check_shipped
from nanonuclei.serving.shipped.places import shipped_folder
from nanonuclei.serving.shipped.provenance import PROVENANCE, Provenance
from nanonuclei.stages.places import DATA, LOCK, PARAMS


def lineage(reference: str, *, say: Callable[[str], None] = print) -> bool:
    """Prints what made a model, and whether that holds here.

    Args:
        reference: A model that comes along, by its name or folder; a run's id; or a model's URI.
        say: Told what the user should read.

    Returns:
        Whether nothing contradicts what was recorded; of a run, whether everything could be confirmed too. A run or
        registered version that holds a model that came along is verified as that model is.

    Raises:
        DataError: A model that comes along tells nothing of itself, or is of a newer format.
        TrackingError: There is no such run or model, or it recorded no lineage.
    """
    folder = shipped_folder(reference) or Path(reference)
    if shipped_folder(reference) or (folder / PROVENANCE).is_file():
        holds = _verified(folder, say=say)
    else:
        from nanonuclei.stages.shipped.came_along import came_along, check_stored
        from nanonuclei.tracking.origin.lineage import describe, trace

        traced = trace(reference)
        if came_along(traced):
            origin = check_stored(traced, say=say)
            holds = origin is not None and _verified(origin, say=say)
        else:
            say(describe(traced))
            holds = traced.holds
    say("\nThe lineage holds." if holds else "\nThe lineage does not hold.")
    return holds


def _verified(folder: Path, *, say: Callable[[str], None]) -> bool:
    made, checks = check_shipped(folder, data=DATA, lock=LOCK, params=PARAMS)
    say(_made(folder, made))
    say("\n".join(f"  {check.verdict:8} {check.subject:12} {check.detail}" for check in checks))
    return all(check.verdict != "broken" for check in checks)


def _made(folder: Path, made: Provenance) -> str:
    training = made.training
    hardware = training.hardware.get("name", "hardware that is not known")
    return (
        f"{folder}: a model for {made.task}, trained on {made.data.name} in {training.seconds / 60:.1f} minutes on "
        f"{hardware}, run {training.run}"
    )
