"""Keeps what libraries say of themselves off the terminal."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def quieten() -> None:
    """Leaves on the terminal what the user needs: no start-up chatter of TensorFlow, Alembic and MLflow."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for name in ("alembic", "mlflow.system_metrics", "mlflow.utils.environment", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # its tracebacks of a database that does not answer, which one line of our own tells
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


@contextlib.contextmanager
def loggers_quiet(*names: str) -> Iterator[None]:
    """Lets loggers tell errors only."""
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def native_messages_hidden() -> Iterator[None]:
    """Hides what TensorFlow's libraries write to standard error when loaded, before any log level counts.

    Exceptions pass; Python's own messages of the same moment are hidden too.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
