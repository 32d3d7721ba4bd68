"""One short question to the tracking server or database without MLflow, which asks one that is away for minutes."""

from __future__ import annotations

import http.client
import re
import sqlite3
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nanonuclei.errors import TrackingError
from nanonuclei.tracking.database import (
    RUN_ID,
    SHORT_RUN_ID,
    URI_VARIABLE,
    database_file,
    not_answering,
    read_only,
    shown_uri,
    tracking_uri,
)

NAMING = ("run_id", "model", "reference", "resume", "runs")
"""Options of commands that may name a run or a registered model."""
PATIENCE_SECONDS = 5.0
"""How long the question waits for an answer; a server that is slower than that is left to MLflow."""
RECORDING = {"prepare", "repro"} | {
    *("fetch", "explore", "train", "adopt", "evaluate", "finetune", "tune", "compare", "ship", "promote")
}
"""Stages that record a run."""
_STARTING = "the database system is"
"""What PostgreSQL says while it starts or ends."""
_BROKEN = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
"""What SQLite says of a file that no waiting mends."""
_CONNECTED = ("postgresql", "mysql")
"""Databases that are asked; their drivers know how long a connection may take."""
_LOOKED_UP = re.compile(rf"{RUN_ID.pattern}|{SHORT_RUN_ID.pattern}|(?:models|runs):/.*")
_STORES = re.compile(r"(?:sqlite|mysql|postgresql|mssql)(?:\+\w+)?|https?|databricks|databricks-uc|uc")
"""Schemes of addresses that MLflow keeps runs at."""


def check_server(options: Mapping[str, object], stage: str = "") -> None:
    """Makes sure that the place of the runs answers, where a command records a run, or looks up one or a model.

    Where a server takes longer than `PATIENCE_SECONDS`, or a database is starting, a line says that it is waited for.

    Args:
        options: Of the command; one that waits for a model anyway is not checked.
        stage: Name of the command.

    Raises:
        TrackingError: The address is unusable, or nothing answers there.
    """
    named = [part for name in NAMING for part in re.split("[=,]", str(options.get(name) or ""))]
    looks_up = any(_LOOKED_UP.fullmatch(part) and not Path(part).exists() for part in named)
    if options.get("wait") or not (looks_up or stage in RECORDING):
        return
    uri = tracking_uri()
    _check_address(uri)
    if uri.startswith(("http://", "https://")):
        _ask(uri)
    elif uri.startswith(_CONNECTED):
        _connect(uri)
    elif (file := database_file()) is not None:
        _look_into(file)


def _check_address(uri: str) -> None:
    scheme, is_address, rest = uri.partition(":")
    told = ""
    if scheme == "file" or not (is_address or _STORES.fullmatch(uri)):
        if not Path(unquote(rest.removeprefix("//")) if is_address else uri).is_dir():
            told = "which is no folder"
    elif not _STORES.fullmatch(scheme):
        known = {entry.name for entry in entry_points(group="mlflow.tracking_store")}
        told = "" if scheme in known else "which is of no kind that MLflow knows"
    if told:
        raise TrackingError(
            f"{URI_VARIABLE} must be the address of a tracking server or database, but is {shown_uri()}, {told}. Name "
            "one such as http://HOST:5000 or sqlite:///mlflow.db, or leave it out"
        )


def _ask(uri: str) -> None:
    try:
        parts = urlsplit(uri)
        place = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path.rstrip('/')}/health")
        urllib.request.urlopen(place.geturl(), timeout=PATIENCE_SECONDS).close()
    except urllib.error.HTTPError as error:  # an answer, even if it refuses this question
        error.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = getattr(error, "reason", error)
        if isinstance(why, TimeoutError):
            print(f"Waiting for the tracking server at {shown_uri()} ...", file=sys.stderr)
        elif not isinstance(why, ssl.SSLError):  # which MLflow's own settings may allow
            raise not_answering(f"it cannot be reached ({why})") from error


def _connect(uri: str) -> None:
    from sqlalchemy import NullPool, create_engine
    from sqlalchemy.exc import OperationalError

    try:
        engine = create_engine(uri, poolclass=NullPool, connect_args={"connect_timeout": int(PATIENCE_SECONDS)})
        engine.connect().close()
    except OperationalError as error:
        if _STARTING not in str(error.orig):
            raise not_answering(f"it cannot be reached ({error.orig})") from error
        print(f"Waiting for the tracking database at {shown_uri()} ...", file=sys.stderr)


def _look_into(file: Path) -> None:
    told = ""
    if file.is_dir():
        told = "is a folder"
    elif file.is_file():
        try:
            with read_only(file) as database:
                database.execute("select name from sqlite_master limit 1").fetchone()
        except sqlite3.Error as error:  # any other, such as a lock, may be over when MLflow asks
            if getattr(error, "sqlite_errorname", "") in _BROKEN:
                told = f"is none that can be read ({error})"
    if told:
        raise TrackingError(
            f"the tracking database must be a file of SQLite, but {file} {told}. Put a copy of it back, move it away, "
            f"or name another by {URI_VARIABLE}"
        )
