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

from nanonuclei.tracking.database import database_file, not_answering, unanswered
from nanonuclei.writing import PARTIAL


def make_database() -> None:
    """Makes the database where it is a file that is not there yet, and says so; does nothing otherwise.

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
    print(f"Runs are recorded in {file.resolve()}, which is new.")


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Turns what MLflow and the database layer below it raise, where nothing answers, into a `TrackingError`.

    Raises:
        TrackingError: The server is away, or the database is locked, half made, damaged, or cannot be made.
    """
    try:
        yield
    except Exception as error:
        told = not_answering(error) if isinstance(error, OSError) else unanswered(error)
        if told is None:
            raise
        raise told from error


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
