"""One look at the tracking database without importing MLflow: wrong runs are told at once, and nothing is made."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sqlite3
import sys
from pathlib import Path
from urllib.parse import unquote

from nanonuclei.errors import TrackingError, without_password
from nanonuclei.invocation import command

DEFAULT_FILE = "mlflow.db"
PATIENCE_SECONDS = 5.0
"""How long a look waits for a database that another process has locked."""
RUN_ID = re.compile(r"[0-9a-f]{32}")
"""What the ids of MLflow's runs look like."""
SHORT_RUN_ID = re.compile(r"[0-9a-f]{4,31}")
"""The beginning of such an id, as tables and pages show it."""
FAILING = ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "REQUEST_LIMIT_EXCEEDED")
"""MLflow's codes for a server or database that does not answer."""
HALF_MADE = ("already exists", "duplicate column", "no such table", "no such column", "Can't locate revision")
"""What SQLite and Alembic say of a database whose tables are there in part."""
URI_VARIABLE = "MLFLOW_TRACKING_URI"
LOCAL_UI = "http://localhost:5000"
"""Where `mlflow ui` answers."""
_SQLITE = "sqlite:///"


def tracking_uri() -> str:
    """Returns the URI of the tracking server or database; MLflow's own answer where it has been imported."""
    if "mlflow" in sys.modules:
        import mlflow

        return str(mlflow.get_tracking_uri())
    return os.environ.get(URI_VARIABLE) or f"{_SQLITE}{Path(DEFAULT_FILE).resolve()}"


def shown_uri() -> str:
    """Returns the same URI for a message: without a password."""
    return without_password(tracking_uri())


def ui_command() -> str:
    """Returns what shows the runs: a command to paste, or the address of the tracking server."""
    uri = tracking_uri()
    if uri.startswith(("http://", "https://")):
        return without_password(uri)
    secret = uri != without_password(uri)
    return f"mlflow ui --backend-store-uri {f'${URI_VARIABLE}' if secret else shlex.quote(uri)}"


def ui_link(path: str) -> str:
    """Returns how a view of the user interface is opened, to be printed: its address, and what starts it where needed.

    Args:
        path: The address below that of the user interface, beginning with ``#/``.
    """
    uri = tracking_uri()
    if uri.startswith(("http://", "https://")):
        return f"{without_password(uri).rstrip('/')}/{path}"
    return f"{LOCAL_UI}/{path}\n  after starting the user interface by `{ui_command()}`"


def check_database() -> None:
    """Makes sure that a database which is a file exists; MLflow would make an empty one.

    Raises:
        TrackingError: The file is missing.
    """
    file = database_file()
    if file is not None and not file.is_file():
        raise TrackingError(f"there are no runs here: {_missing(file)}")


def full_run_id(text: str) -> str:
    """Returns the whole id of a run that is named by its id or by the unique beginning of it.

    Only a database in a file is looked at; for a server the text is returned unchanged.

    Args:
        text: 32 hex digits, or the first 4 or more of them.

    Raises:
        TrackingError: There is no such run, several begin so, or the database is missing or locked.
    """
    if text.startswith("models:/"):
        raise TrackingError(
            f"this needs the id of a run, but {text} is a registered model. "
            f"`{command('lineage', reference=text)}` tells its run"
        )
    file = database_file()
    if file is None:
        return text
    if not file.is_file():
        raise TrackingError(f"no run {text!r} at {shown_uri()}: {_missing(file)}")
    known = _run_ids(file, text) if RUN_ID.fullmatch(text) or SHORT_RUN_ID.fullmatch(text) else []
    return one_run(text, known)


def one_run(text: str, known: list[str]) -> str:
    """Returns the only one of the known ids that a text is the beginning of.

    Raises:
        TrackingError: There is none, or there are several.
    """
    found = [run_id for run_id in known if run_id.startswith(text)]
    if len(found) > 1:
        shown = ", ".join(run_id[: len(text) + 4] for run_id in sorted(found)[:5])
        raise TrackingError(
            f"a run's id may be shortened where it is unique, but {len(found)} runs begin with {text!r}: {shown}. "
            "Give more digits"
        )
    if not found:
        raise no_run(text)
    return found[0]


def no_run(text: str) -> TrackingError:
    """Returns the error that tells that there is no such run."""
    known_form = RUN_ID.fullmatch(text) or SHORT_RUN_ID.fullmatch(text)
    form = "" if known_form else " An id has 32 hex digits, of which the first 4 may be enough."
    return TrackingError(
        f"no run {text!r} at {shown_uri()}.{form} `{ui_command()}` shows the ids; {URI_VARIABLE} names another server"
    )


def not_answering(error: BaseException | str) -> TrackingError:
    """Returns the error that tells that the tracking server or database does not answer: nothing is known of runs."""
    told = without_password(" ".join(str(error).partition("[SQL")[0].split()))[:300].rstrip(". ")
    return TrackingError(
        f"the tracking database or server {shown_uri()} must answer, but does not: {told}. Wait until no other process "
        "holds it, start the server, or check its address, and repeat the command"
    )


def unanswered(error: BaseException) -> TrackingError | None:
    """Returns the error to tell where a server or database did not answer MLflow; None where something else is wrong.

    Args:
        error: Of MLflow, of the database layer below it, or any other; told by its module, so that neither is imported.
    """
    module = type(error).__module__
    if module == "mlflow.exceptions":
        if getattr(error, "error_code", "") not in FAILING:
            return None
    elif not module.startswith(("sqlalchemy", "sqlite3", "alembic")):
        return None
    if any(words in str(error) for words in HALF_MADE):
        return TrackingError(
            f"the tracking database {shown_uri()} must have all its tables, but a process was killed while it made or "
            "upgraded them. Remove the file if it holds no runs yet, else put its copy from before the upgrade back, "
            "and repeat the command"
        )
    return not_answering(error)


def database_file() -> Path | None:
    """Returns the file of the database; None where a server or another database keeps the runs."""
    uri = tracking_uri()
    if not uri.startswith(_SQLITE):
        return None
    if URI_VARIABLE not in os.environ and not Path(DEFAULT_FILE).exists() and Path("mlruns").is_dir():
        return None  # MLflow decides
    return Path(unquote(uri.removeprefix(_SQLITE).partition("?")[0]))


def _missing(file: Path) -> str:
    return (
        f"there is no database {file.name} in {file.parent}. Change to the folder where the runs were made, or name "
        f"its database by {URI_VARIABLE}"
    )


def read_only(file: Path) -> contextlib.closing[sqlite3.Connection]:
    """Opens a database in a file to look at it; nothing is made or changed."""
    return contextlib.closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=PATIENCE_SECONDS))


def _run_ids(file: Path, beginning: str) -> list[str]:
    try:
        with read_only(file) as database:
            rows = database.execute("select run_uuid from runs where run_uuid like ?", (f"{beginning}%",)).fetchall()
    except sqlite3.Error as error:
        if "no such table" in str(error):
            return []
        raise not_answering(error) from error
    return [str(row[0]) for row in rows]
