"""Verifies the run that holds a model that came along: its files are those that came along, however it is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nanonuclei.config.params import read_settings
from nanonuclei.serving.folder import CONFIG
from nanonuclei.serving.shipped.places import shipped_folder, shipped_names
from nanonuclei.serving.shipped.provenance import PROVENANCE, file_sha256, problems, read_provenance
from nanonuclei.serving.store import files_at
from nanonuclei.tracking.origin.lineage import Check, Lineage

STAGE = "ship"
"""Stage of a run that holds a model that came along, as it recorded it."""

OF_THE_RUN = ("tags", "model")
"""What is checked of such a run itself. Data, code and lock are those of the training, which the model tells."""


def came_along(traced: Lineage) -> bool:
    """Tells whether a lineage begins with a model that came along."""
    return traced.chain[0]["stage"] == STAGE


def check_stored(traced: Lineage, *, say: Callable[[str], None]) -> Path | None:
    """Compares a stored model with the one that came along, and prints each check.

    Args:
        traced: See `came_along`.
        say: Told what the user should read.

    Returns:
        The folder of the model that came along; None where something is wrong, or that folder is not here.

    Raises:
        DataError: The stored model does not tell in a valid form what made it.
        TrackingError: It is not there.
    """
    recorded = traced.chain[0]
    stored = files_at(recorded["model_uri"])
    digest = file_sha256(stored / PROVENANCE) if (stored / PROVENANCE).is_file() else ""
    folders = [folder for folder in map(shipped_folder, shipped_names()) if folder is not None]
    same = [one for one in folders if (one / PROVENANCE).is_file() and file_sha256(one / PROVENANCE) == digest]
    origin = same[0] if same else None
    checks = [check for check in traced.checks if check.subject in OF_THE_RUN and check.run_id == recorded["run_id"]]
    checks.append(_compared(recorded["run_id"], stored, origin))
    say(f"{STAGE:9} {recorded['run_id']}  holds a model that came along")
    say("\n".join(f"  {check.verdict:8} {check.subject:12} {check.detail}" for check in checks))
    return origin if all(check.verdict == "holds" for check in checks) else None


def _compared(run_id: str, stored: Path, origin: Path | None) -> Check:
    subject = "came along"
    if origin is None:
        told = f"no model that comes along here has the {PROVENANCE} of this one. Put its folder back below models/"
        return Check(run_id, subject, "unknown", told)
    kept = {name: digest for name, digest in read_provenance(stored).files.items() if "/" not in name}
    wrong = problems(stored, {name: digest for name, digest in kept.items() if name != CONFIG})
    here, there = (read_settings(folder / CONFIG) for folder in (stored, origin))
    wrong += [f"{path} is {here[path]}, was {value}" for path, value in there.items() if here.get(path, value) != value]
    if wrong:
        return Check(run_id, subject, "broken", f"{'; '.join(wrong)}. Do not use that model, promote {origin} anew")
    return Check(run_id, subject, "holds", f"its {len(kept)} files are those of {origin}")
