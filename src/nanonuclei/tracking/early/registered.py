"""One look at the registry of a database in a file without importing MLflow: a missing model is told at once."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

from nanonuclei.errors import TrackingError, nearest_name
from nanonuclei.tracking.database import check_database, database_file, read_only, shown_uri

_REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<number>\d+))")
_NAME_ALONE = re.compile(r"models:/(?!m-[0-9a-f]+$)[^/@]*")
"""What names neither an alias nor a version, nor a logged model by its id."""
CHAMPION = "champion"
"""As `tracking.registry.CHAMPION`."""


def check_registered(reference: str) -> None:
    """Makes sure that a registered model is there, where its database is a file; a server is left to MLflow.

    Args:
        reference: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``; other forms are left to MLflow.

    Raises:
        TrackingError: There is no such model, alias or version, or no database.
    """
    if _NAME_ALONE.fullmatch(reference):
        raise TrackingError(
            f"a registered model must be named with an alias or a version, got {reference!r}. Such as "
            f"{reference}@{CHAMPION}, or {reference}/1"
        )
    check_database()
    found = _REGISTERED.fullmatch(reference)
    known = _known() if found else None
    if found is None or known is None:
        return
    name, alias, number = found["name"], found["alias"], found["number"]
    if name not in known:
        hint = nearest_name(name, known) if known else "Nothing is registered there: promote a model first."
        raise TrackingError(f"no model {reference!r} at {shown_uri()}. {hint}")
    if (f"@{alias}" if alias else f"/{int(number)}") not in known[name]:
        there = ", ".join(f"models:/{name}{end}" for end in sorted(known[name])) or "no version"
        raise TrackingError(f"no model {reference!r} at {shown_uri()}. There is {there}")


def check_champion(name: str) -> None:
    """Makes sure that a registered model has a champion, where its database is a file.

    Raises:
        TrackingError: It has none.
    """
    known = _known()
    if known is not None and f"@{CHAMPION}" not in known.get(name, ()):
        raise TrackingError(f"{name} has no champion that could be rolled back. Promote a run first")


def _known() -> dict[str, set[str]] | None:
    """Returns the registered models with their aliases and versions as URIs end; None where only MLflow can tell."""
    file = database_file()
    if file is None or not file.is_file():
        return None
    with contextlib.suppress(sqlite3.Error):  # locked, or made by another version: MLflow tells
        return _read(file)
    return None


def _read(file: Path) -> dict[str, set[str]]:
    with read_only(file) as database:
        known: dict[str, set[str]] = {name: set() for (name,) in database.execute("select name from registered_models")}
        for name, alias in database.execute("select name, alias from registered_model_aliases"):
            known[name].add(f"@{alias}")
        for name, version, stage in database.execute("select name, version, current_stage from model_versions"):
            if stage != "Deleted_Internal":
                known[name].add(f"/{version}")
    return known
