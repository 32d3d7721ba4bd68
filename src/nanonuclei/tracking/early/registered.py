"""One look at the registry of a database in a file without importing MLflow: a missing model is told at once."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nanonuclei.errors import DoneAlreadyError, TrackingError, nearest_name, similar_name
from nanonuclei.tracking.database import check_database, database_file, read_only, shown_uri

_REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<number>\d+))")
_LOGGED = re.compile(r"models:/m-[0-9a-f]+")
_NAME_ALONE = re.compile(r"models:/(?!m-[0-9a-f]+$)[^/@]*")
"""What names neither an alias nor a version, nor a logged model by its id."""
CHAMPION = "champion"
"""As `tracking.registry.CHAMPION`."""
PREVIOUS = "champion.previous"
"""Tag of a version: the champion that it followed; empty where it was the first."""


@dataclass(frozen=True)
class Registered:
    """A version of a registered model.

    Attributes:
        version: Its number; empty where there is none.
        run: Id of the run that logged it.
        tags: Of the version.
    """

    version: str
    run: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def check_registered(reference: str) -> None:
    """Makes sure that a registered model is there, where its database is a file; a server is left to MLflow.

    Args:
        reference: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION`` or ``models:/m-ID``; other forms are left to MLflow.

    Raises:
        TrackingError: There is no such model, alias or version, or no database.
    """
    if _NAME_ALONE.fullmatch(reference):
        raise TrackingError(
            f"a registered model must be named with an alias or a version, got {reference!r}. Such as "
            f"{reference}@{CHAMPION}, or {reference}/1"
        )
    check_database()
    if _LOGGED.fullmatch(reference):
        _check_logged(reference)
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


def _check_logged(reference: str) -> None:
    file = database_file()
    if file is None or not file.is_file():
        return
    with contextlib.suppress(sqlite3.Error), read_only(file) as database:  # MLflow tells what is wrong with it
        known = [f"models:/{name}" for (name,) in database.execute("select model_id from logged_models")]
        if reference not in known:
            raise TrackingError(
                f"no model {reference!r} at {shown_uri()}. "
                f"{similar_name(reference, known) or 'lineage and the runs in the UI name the models there'}"
            )


def check_champion(name: str) -> None:
    """Makes sure that a registered model has a champion with one before it, where its database is a file.

    Raises:
        TrackingError: It has none, or it is the first.
    """
    champion = champion_of(name)
    if champion is None:
        return
    if not champion.version:
        raise TrackingError(f"{name} has no champion that could be rolled back. Promote a run first")
    if not champion.tags.get(PREVIOUS):
        raise first_champion(name, champion.version)


def first_champion(name: str, version: str) -> TrackingError:
    """Returns the error that tells that there is no champion before one."""
    return TrackingError(
        f"version {version} of {name} is the first champion, there is none before it. Promote another run"
    )


def champion_already(name: str, version: str, run: str) -> DoneAlreadyError:
    """Returns what is told where the model of a run is champion."""
    return DoneAlreadyError(
        f"version {version} of {name}, the model of run {run}, is champion already: nothing was changed"
    )


def champion_of(name: str) -> Registered | None:
    """Returns the champion of a model; without a version where there is none, None where MLflow must tell."""
    file = database_file()
    if file is None or not file.is_file():
        return None
    try:
        with read_only(file) as database:
            query = (
                "select v.version, v.run_id from model_versions v join registered_model_aliases a "
                "on a.name = v.name and a.version = v.version where a.name = ? and a.alias = ?"
            )
            row = database.execute(query, (name, CHAMPION)).fetchone()
            if row is None:
                return Registered("")
            tags = "select key, value from model_version_tags where name = ? and version = ?"
            found = dict(database.execute(tags, (name, row[0])).fetchall())
    except sqlite3.Error:  # locked, or made by another version: MLflow tells
        return None
    return Registered(str(row[0]), str(row[1] or ""), found)


def run_behind(reference: str) -> str:
    """Returns the id of the run that logged a model of the registry; empty where only MLflow can tell, as of a server.

    Args:
        reference: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION`` or ``models:/m-ID``.
    """
    file, found = database_file(), _REGISTERED.fullmatch(reference)
    if file is None or not file.is_file():
        return ""
    if found is None:
        query, values = "select source_run_id from logged_models where model_id = ?", [reference.rpartition("/")[2]]
    elif found["alias"]:
        query = (
            "select v.run_id from model_versions v join registered_model_aliases a "
            "on a.name = v.name and a.version = v.version where a.name = ? and a.alias = ?"
        )
        values = [found["name"], found["alias"]]
    else:
        query, values = (
            "select run_id from model_versions where name = ? and version = ?",
            [found["name"], found["number"]],
        )
    with contextlib.suppress(sqlite3.Error), read_only(file) as database:  # MLflow tells what is wrong with it
        row = database.execute(query, values).fetchone()
        return str(row[0] or "") if row else ""
    return ""


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
