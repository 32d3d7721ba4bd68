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
    folder, open_ones = shipped_folder(reference) or Path(reference), ""
    if shipped_folder(reference) or (folder / PROVENANCE).is_file():
        holds, open_ones = _verified(folder, say=say)
    else:
        from nanonuclei.stages.shipped.came_along import came_along, check_stored
        from nanonuclei.tracking.origin.lineage import describe, trace

        traced = trace(reference)
        if came_along(traced):
            origin = check_stored(traced, say=say)
            holds, open_ones = _verified(origin, say=say) if origin is not None else (False, "")
        else:
            say(describe(traced))
            holds = traced.holds
    say(f"\nThe lineage holds{open_ones}." if holds else "\nThe lineage does not hold.")
    return holds


def _verified(folder: Path, *, say: Callable[[str], None]) -> tuple[bool, str]:
    """Returns whether nothing is broken, and what could not be confirmed, as the end of a sentence."""
    made, checks = check_shipped(folder, data=DATA, lock=LOCK, params=PARAMS)
    say(_made(folder, made))
    say("\n".join(f"  {check.verdict:8} {check.subject:12} {check.detail}" for check in checks))
    absent, other = (sum(check.verdict == verdict for check in checks) for verdict in ("not here", "differs"))
    differing = "1 differs" if other == 1 else f"{other} differ"
    told = [text for number, text in ((absent, f"{absent} could not be made here"), (other, differing)) if number]
    open_ones = f" as far as it could be checked: of {len(checks)} checks {' and '.join(told)}" if told else ""
    return all(check.verdict != "broken" for check in checks), open_ones


def _made(folder: Path, made: Provenance) -> str:
    training = made.training
    hardware = training.hardware.get("name", "hardware that is not known")
    return (
        f"{folder}: a model for {made.task}, trained on {made.data.name} in {training.seconds / 60:.1f} minutes on "
        f"{hardware}, run {training.run}"
    )
