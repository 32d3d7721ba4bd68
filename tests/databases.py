"""Tracking databases of tests: copies of an empty one, which is made once per version of MLflow as that takes seconds.

`tests/test_project.py` has the program make its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
KEPT = ROOT / ".pytest_cache" / "mlflow"


def empty_database() -> Path:
    """Returns a database with all tables and no run."""
    file = KEPT / f"{version('mlflow')}.db"
    if not file.is_file():
        from nanonuclei.tracking.new_database import _make_tables

        KEPT.mkdir(parents=True, exist_ok=True)
        partial = KEPT / f"{os.getpid()}.db"
        _make_tables(partial)
        partial.replace(file)
    return file


def put_database(folder: Path) -> None:
    """Puts an empty database into a folder, for commands that run there in processes of their own."""
    shutil.copyfile(empty_database(), folder / "mlflow.db")


@contextlib.contextmanager
def own_database(folder: Path) -> Iterator[Path]:
    """Has MLflow keep runs in `mlflow.db` of a folder, a file that appears with the first use; ends runs afterwards.

    Whatever MLflow remembers in this process is as before afterwards; its server, too, sets the addresses.
    """
    import mlflow
    from mlflow.store.db import utils
    from mlflow.store.model_registry import sqlalchemy_store
    from sqlalchemy import Engine, event

    template, make = empty_database(), utils._initialize_tables

    def copy(engine: Any) -> None:
        if not utils._is_empty_database(engine):
            return make(engine)
        with contextlib.closing(sqlite3.connect(template)) as database, engine.connect() as connection:
            return database.backup(connection.connection.driver_connection)

    def leave_it_to_the_system(connection: object, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            with contextlib.suppress(sqlite3.DatabaseError):  # a file that is no database is MLflow's to tell
                connection.execute("pragma synchronous = off")  # or every step waits for the disk

    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    registry = _registry()
    remember(None)
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    with pytest.MonkeyPatch.context() as patch:
        for module in (utils, sqlalchemy_store):
            patch.setattr(module, "_initialize_tables", copy)
        event.listen(Engine, "connect", leave_it_to_the_system)
        yield folder
        event.remove(Engine, "connect", leave_it_to_the_system)
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(before)
    remember(registry)


def _registry() -> str | None:
    """The address of the registry that this process has set, none where it is that of the runs."""
    from mlflow.tracking._model_registry import utils

    return utils._registry_uri


def remember(registry: str | None = None) -> None:
    """Sets the address of the registry, and forgets the experiment that an earlier test has set."""
    from mlflow.tracking import fluent
    from mlflow.tracking._model_registry import utils

    fluent._active_experiment_id = None
    utils._registry_uri = registry
    for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_REGISTRY_URI"):
        os.environ.pop(name, None)
    if registry:
        os.environ["MLFLOW_REGISTRY_URI"] = registry
