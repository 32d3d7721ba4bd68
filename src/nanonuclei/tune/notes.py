"""What a tuner without a database keeps of a study: a lock for its one worker, the identity, the shared record."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nanonuclei.errors import NanonucleiError
from nanonuclei.tune.base import Search, check_identity
from nanonuclei.writing import write_text

NOTES = "study.json"
LOCK = "lock"
PROJECT = "keras-tuner"
"""Folder of Keras Tuner's files below that of a study."""
WITHOUT_VALUE = ("FAILED", "INVALID")
"""Keras Tuner's words for trials that failed."""
ENDED = ("COMPLETED", *WITHOUT_VALUE)
"""Its words for trials that have ended."""


def ended_in_files(search: Search) -> int | None:
    """Returns how many trials of a search that Keras Tuner keeps in files have ended; None where others have not.

    Args:
        search: Whose folder is looked at; nothing is made, and Keras Tuner is not imported.
    """
    states = _states(search.folder / PROJECT)
    return len(states) if states is not None and set(states) <= set(ENDED) else None


def identity_in_files(folder: Path) -> Mapping[str, Any] | None:
    """Returns what the trials of a study of Keras Tuner have in common; None where none could be compared.

    Args:
        folder: Of the study's own files. A study whose trials all failed, or that has none, began with a mistake.
    """
    states = _states(folder)
    if states is not None and set(states) <= set(WITHOUT_VALUE):
        return None
    try:
        found: Mapping[str, Any] = json.loads((folder / NOTES).read_text(encoding="utf-8"))["identity"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found


def _states(folder: Path) -> list[str] | None:
    """Returns how the trials stand in Keras Tuner's words; None where a file is cut off: the search tells."""
    files = sorted(folder.glob("trial_*/trial.json"))
    try:
        return [json.loads(file.read_text(encoding="utf-8"))["status"] for file in files]
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Notes:
    """Notes in a folder that one process holds, until it ends or is killed.

    Args:
        folder: Of the study; made if missing.
        study: Its name.
        identity: What its trials have in common.

    Raises:
        ConfigError: The study exists with another identity, and has trials that could be compared.
        NanonucleiError: Another process holds the folder.
    """

    def __init__(self, folder: Path, *, study: str, identity: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / NOTES
        self._lock = FileLock(folder / LOCK, blocking=False, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise NanonucleiError(
                f"study {study!r} is being searched by another process, and this tuner has one worker. Wait for it, or "
                "take tuner=optuna"
            ) from error
        here = json.loads(json.dumps(identity))
        self._known = json.loads(self._path.read_text(encoding="utf-8")) if self._path.is_file() else {"identity": here}
        if self._known["identity"] != here and identity_in_files(folder) is None:
            _clear(folder)
            self._known = {"identity": here}
        check_identity(study, self._known["identity"], here)
        self._write()

    @property
    def record(self) -> str | None:
        """Id of the shared record."""
        return self._known.get("record")

    @record.setter
    def record(self, value: str) -> None:
        self._known["record"] = value
        self._write()

    def _write(self) -> None:
        write_text(self._path, json.dumps(self._known))


def _clear(folder: Path) -> None:
    """Removes what Keras Tuner keeps of a study, but not the lock."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()
