"""Makes the tracking database of a folder: it appears with all its tables, or not at all.

MLflow makes its tables in a hundred steps, and SQLite keeps each of them: a process that is killed in between leaves a
database that no later command can use.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from nanonuclei.errors import TrackingError
from nanonuclei.tracking.database import database_file, not_answering, shown_uri
from nanonuclei.writing import PARTIAL

HALF_MADE = ("already exists", "duplicate column", "no such table", "Can't locate revision")
"""What SQLite and Alembic say of a database whose tables are there in part."""


def make_database() -> None:
    """Makes the database where it is a file that is not there yet; does nothing otherwise.

    Raises:
        TrackingError: The folder cannot be written, or the database that is there does not answer.
    """
    file = database_file()
    if file is None or (file.is_file() and file.stat().st_size):
        return
    with answering():
        file.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(file)
        partial = file.with_name(f"{PARTIAL}{os.getpid()}-{file.name}")
        try:
            _make_tables(partial)
            _put(partial, file)
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Turns what the database layer below MLflow raises into a `TrackingError`.

    Raises:
        TrackingError: The database is locked, half made, damaged, or cannot be made.
    """
    try:
        yield
    except Exception as error:
        if not (isinstance(error, OSError) or type(error).__module__.startswith(("sqlalchemy", "sqlite3", "alembic"))):
            raise
        if any(words in str(error) for words in HALF_MADE):
            raise TrackingError(
                f"the tracking database {shown_uri()} must have all its tables, but a process was killed while it made "
                "or upgraded them. Remove the file if it holds no runs yet, else put its copy from before the upgrade "
                "back, and repeat the command"
            ) from error
        raise not_answering(error) from error


def _make_tables(file: Path) -> None:
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(f"sqlite:///{file.resolve()}")
    try:
        _initialize_tables(engine)
    finally:
        engine.dispose()


def _put(partial: Path, file: Path) -> None:
    """Moves the database to its place, unless another process has put one there meanwhile, which may hold runs."""
    if file.is_file() and not file.stat().st_size:
        file.unlink()
    try:
        os.link(partial, file)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        if not file.exists():
            partial.replace(file)


def _remove_abandoned(file: Path) -> None:
    """Removes what processes left that were killed while they made a database here."""
    for path in file.parent.glob(f"{PARTIAL}*-{file.name}*"):
        pid = path.name.removeprefix(PARTIAL).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            path.unlink(missing_ok=True)
