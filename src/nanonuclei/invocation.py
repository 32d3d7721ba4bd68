"""Commands for messages, written in the way in which this program was called, so that they can be pasted.

Under `mlflow run` that is ``mlflow run . -e STAGE --env-manager MANAGER -P name=value``, with the manager of the
environment in use; else the words by which the command line was started, with ``--name value``.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

VARIABLE = "NANONUCLEI_CALLED"
"""Environment variable with the words before the stage, which child processes inherit; empty under `mlflow run`."""
PARENT_VARIABLE = "NANONUCLEI_PARENT_RUN"
"""Environment variable that tells a stage which run it is a child of."""
POSITIONAL = {
    "adopt": "folder",
    "compare": "task",
    "explore": "task",
    "fetch": "dataset",
    "lineage": "reference",
    "prepare": "task",
    "promote": "task",
    "repro": "targets",
    "train": "task",
    "tune": "task",
}
"""Stage to the parameter that its command line takes without a name."""
ENTRY_POINTS = {"repro": "main"}
"""Stages whose entry point of MLproject has another name."""
DEFAULT_EXPERIMENT = "Default"
"""Name of the experiment of MLflow that takes the runs for which none is named."""
WITHOUT_ENTRY_POINT = ("lineage", "prepare")
FOLDER = "python src/nanonuclei"
"""How a clone starts the command line without an installation."""


def remember(arguments: Sequence[str] | None = None) -> None:
    """Notes how this process was started, for itself and its children, unless a parent process has done so.

    Args:
        arguments: The process's own where None; the first one names the program.
    """
    if VARIABLE in os.environ:
        return
    if "MLFLOW_RUN_ID" in os.environ:
        os.environ[VARIABLE] = ""
    elif words := _program((arguments or sys.argv)[0]):
        os.environ[VARIABLE] = words


def command(stage: str, **parameters: object) -> str:
    """Returns a command to paste.

    Args:
        stage: Name of a stage of the command line.
        parameters: Its parameters, spelled with ``_``; those that are empty or None are left out.
    """
    given = {name: str(value) for name, value in parameters.items() if value not in (None, "")}
    words = os.environ.get(VARIABLE, "")
    if not words and stage not in WITHOUT_ENTRY_POINT:
        entry = ENTRY_POINTS.get(stage, stage)
        named = [f"-P {name}={shlex.quote(value)}" for name, value in given.items()]
        return " ".join(["mlflow run .", *([] if entry == "main" else [f"-e {entry}"]), _manager(), *named])
    first = [shlex.quote(given.pop(POSITIONAL[stage]))] if POSITIONAL.get(stage) in given else []
    named = [f"--{name.replace('_', '-')} {shlex.quote(value)}" for name, value in given.items()]
    return " ".join([words or FOLDER, stage, *first, *named])


def in_experiment(text: str, name: str) -> str:
    """Returns a command of `command` whose run is made in an experiment of MLflow.

    Only `mlflow run` has to be told: other runs are made in the experiment of the run that they are about.

    Args:
        text: The command.
        name: Of the experiment; empty where it is not known.
    """
    if name in ("", DEFAULT_EXPERIMENT) or not text.startswith("mlflow run ."):
        return text
    return text.replace(_manager(), f"--experiment-name {shlex.quote(name)} {_manager()}", 1)


def program() -> str:
    """Returns the words that start the command line, as it was called; those of a clone under `mlflow run`."""
    return os.environ.get(VARIABLE, "") or FOLDER


def option(name: str, value: str) -> str:
    """Returns one parameter as it is added to the command that was called.

    Args:
        name: Of the parameter, spelled with ``_``.
        value: Its value.
    """
    if os.environ.get(VARIABLE, ""):
        return f"--{name.replace('_', '-')} {shlex.quote(value)}"
    return f"-P {name}={shlex.quote(value)}"


def environment_manager(prefix: Path | None = None) -> str:
    """Returns the manager by which `mlflow run` made the environment in use; ``local`` where it made none.

    Args:
        prefix: Folder of the environment; that of this process where None.
    """
    folder = prefix or Path(sys.prefix)
    if not folder.name.startswith("mlflow-"):
        return "local"
    if (folder / "conda-meta").is_dir():
        return "conda"
    settings = folder / "pyvenv.cfg"
    made_by_uv = settings.is_file() and any(
        line.split("=")[0].strip() == "uv" for line in settings.read_text(encoding="utf-8").splitlines()
    )
    return "uv" if made_by_uv else "virtualenv"


def _manager() -> str:
    return f"--env-manager {environment_manager()}"


def _program(path: str) -> str:
    """Returns the words that start the program again; nothing where another program imported this one."""
    place = Path(path)
    if place.name in ("nanonuclei", "nanonuclei.exe") and place.is_dir():
        return f"python {place.as_posix()}"
    if place.name in ("nanonuclei", "nanonuclei.exe"):
        return "nanonuclei"
    if place.name == "__main__.py" and place.parent.name == "nanonuclei":
        return "python -m nanonuclei"
    return ""
