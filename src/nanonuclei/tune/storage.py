"""Where Optuna keeps trials: PostgreSQL, or one SQLite file; waits for a server that is away, locks, signs of life."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import optuna
import sqlalchemy
from filelock import FileLock
from optuna.storages import RDBStorage
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

from nanonuclei.config.tune import TuneConfig
from nanonuclei.tune.base import wrong_storage
from nanonuclei.tune.reaching import one_line, unreachable

_logger = logging.getLogger(__name__)

BACKENDS = ("postgresql", "sqlite")
FIRST_PATIENCE = 15.0
"""Seconds that a search waits for its storage when it begins: a wrong address is told soon."""
LATER_PATIENCE = 600.0
"""Seconds that a search waits for a storage that it had already reached."""
LOCK_SECONDS = 120
"""After this time PostgreSQL takes the lock from a worker that holds it and has gone silent."""


class Storage:
    """A storage of Optuna, and a lock that its workers share; see `open_storage`.

    Attributes:
        optuna: What Optuna calls a storage.
        shown: Its URL without the password.
    """

    def __init__(self, url: sqlalchemy.URL, config: TuneConfig) -> None:
        self.shown = url.render_as_string(hide_password=True)
        self._file = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
        connect = None
        pool: dict[str, Any] = {}
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            options: dict[str, Any] = {"connect_args": {"timeout": 60}}
        else:
            connect = _Connect(url)
            options = {"creator": connect}
            pool = {"pool_pre_ping": True, "pool_size": 2}  # the trial's thread, and that of its signs of life
        self._locks = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, **options)
        with self.exclusive("tables"), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self.optuna = RDBStorage(
                url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}"),
                engine_kwargs={**options, **pool},
                heartbeat_interval=config.heartbeat,
                grace_period=config.grace,
            )
        weakref.finalize(self, _close, self.optuna)
        if connect:
            connect.patience = LATER_PATIENCE

    @contextlib.contextmanager
    def exclusive(self, study: str) -> Iterator[None]:
        """Holds what one worker of a study may hold at a time; a killed worker lets go by itself."""
        if self._file:
            with FileLock(self._file.with_suffix(".lock")):
                yield
            return
        with self._locks.begin() as connection:
            connection.execute(sqlalchemy.text(f"set local idle_in_transaction_session_timeout = '{LOCK_SECONDS}s'"))
            connection.execute(sqlalchemy.text("select pg_advisory_xact_lock(hashtext(:study))"), {"study": study})
            yield

    def without_heartbeat(self, trial_ids: set[int]) -> set[int]:
        """Returns those trials that have never given a sign of life."""
        with self.optuna.engine.connect() as connection:
            rows = connection.execute(sqlalchemy.text("select trial_id from trial_heartbeats"))
            return trial_ids - {int(row[0]) for row in rows}


class Heartbeat:
    """Gives signs of life for a trial while it runs, also after the storage was away; a context manager."""

    def __init__(self, storage: RDBStorage, trial_id: int) -> None:
        self._storage = storage
        self._trial_id = trial_id
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Gives the first sign before anything else happens."""
        self._storage.record_heartbeat(self._trial_id)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the signs."""
        self._stop.set()
        self._thread.join(5.0)

    def _work(self) -> None:
        while not self._stop.wait(self._storage.heartbeat_interval):
            try:
                self._storage.record_heartbeat(self._trial_id)
            except Exception as error:  # the trial goes on; whether it still counts is seen when it reports
                _logger.warning("a sign of life of a trial could not be stored: %s", one_line(error))
        self._storage.remove_session()


def open_storage(url: str | None, *, folder: Path, config: TuneConfig) -> Storage:
    """Opens or makes a storage.

    Args:
        url: ``postgresql://...`` or ``sqlite:///...``; None for an SQLite file in `folder`.
        folder: Where that file goes.
        config: Heartbeat and grace.

    Raises:
        ConfigError: The URL is not of that form.
        NanonucleiError: The storage cannot be reached, after some tries.
    """
    try:
        parsed = sqlalchemy.make_url(url or f"sqlite:///{(folder / 'study.db').resolve()}")
        if parsed.get_backend_name() not in BACKENDS or not parsed.database:
            raise ArgumentError("another kind of database")
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise wrong_storage(url or "") from None
    try:
        return Storage(parsed, config)
    except OperationalError as error:
        raise unreachable(parsed.render_as_string(hide_password=True), error) from None


def _close(storage: RDBStorage) -> None:
    """Closes the connections that a search no longer in use has left open."""
    storage.remove_session()
    storage.engine.dispose()


class _Connect:
    """Makes connections to PostgreSQL, and tries again for as long as `patience` says."""

    def __init__(self, url: sqlalchemy.URL) -> None:
        engine = sqlalchemy.create_engine(url)  # connects to nothing
        self._dialect = engine.dialect
        arguments, self._options = engine.dialect.create_connect_args(engine.url)
        self._arguments = tuple(arguments)
        self._options.setdefault("connect_timeout", 10)
        self.patience = FIRST_PATIENCE

    def __call__(self) -> Any:
        deadline, pause = time.monotonic() + self.patience, 0.5
        while True:
            try:
                return self._dialect.connect(*self._arguments, **self._options)
            except self._dialect.loaded_dbapi.OperationalError as error:
                if time.monotonic() + pause > deadline:
                    raise
                _logger.warning("the storage does not answer, trying again: %s", one_line(error))
                time.sleep(pause)
                pause = min(2 * pause, 10.0)


def patiently(call: Callable[[], None]) -> None:
    """Calls the storage, and once more where the connection broke in the middle. For calls that may be repeated."""
    try:
        call()
    except (optuna.exceptions.StorageInternalError, OperationalError):
        call()
