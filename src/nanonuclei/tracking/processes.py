"""Which processes work on a run, and the runs that killed processes of this machine have left in the state RUNNING."""

from __future__ import annotations

import contextlib
import os
import socket
import time

import psutil
from mlflow.entities import Run, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

TAG = "processes"
"""Tag of a run: the processes that work on it, each as ``HOST:ID:START``, separated by spaces."""
ENTRY_POINT = "mlflow.project.entryPoint"
"""Tag of a run that `mlflow run` made."""


def process_tag(run: Run) -> dict[str, str]:
    """Returns the tag of a run that this process works on, beside those that do so already.

    Args:
        run: As the tracking server has it; workers of a search share one run.
    """
    others = [name for name in run.data.tags.get(TAG, "").split() if not _is_gone(name)]
    return {TAG: " ".join(dict.fromkeys([*others, _name(os.getpid())]))}


def first_process_tag() -> dict[str, str]:
    """Returns the tag of a new run, which has it from the moment on at which it is there."""
    return {TAG: _name(os.getpid())}


def close_dead_runs() -> list[str]:
    """Ends the runs, as KILLED, whose processes were all of this machine and are gone; returns their ids.

    A process that was killed with ``kill -9`` cannot end its run. Runs of other machines are left alone. Nothing is
    raised where the tracking server does not answer: the caller's own work will tell.
    """
    closed: list[str] = []
    with contextlib.suppress(MlflowException):
        for run in dead_runs():
            closed.append(close(run))
    return closed


def dead_runs() -> list[Run]:
    """Returns the runs in the state RUNNING whose processes were all of this machine and are gone.

    Raises:
        MlflowException: The tracking server does not answer.
    """
    query = f"attributes.status = 'RUNNING' and tags.{TAG} LIKE '%{socket.gethostname()}:%'"
    return [run for run in _running(query) if all(_is_gone(name) for name in run.data.tags[TAG].split())]


def unborn_runs(*, seconds: float) -> list[Run]:
    """Returns the runs that `mlflow run` made for a program that never began: its environment could not be made.

    They are in the state RUNNING, began more than `seconds` ago, and no process of this platform worked on them.

    Raises:
        MlflowException: The tracking server does not answer.
    """
    before = round((time.time() - seconds) * 1000)
    found = _running(f"attributes.status = 'RUNNING' and attributes.start_time < {before}")
    return [run for run in found if ENTRY_POINT in run.data.tags and not {TAG, "stage"} & set(run.data.tags)]


def working_runs() -> list[Run]:
    """Returns the runs in the state RUNNING that may still be worked on.

    Raises:
        MlflowException: The tracking server does not answer.
    """
    dead = {run.info.run_id for run in dead_runs()}
    return [run for run in _running("attributes.status = 'RUNNING'") if run.info.run_id not in dead]


def close(run: Run) -> str:
    """Ends a run as KILLED; returns its id."""
    MlflowClient().set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.KILLED))
    return str(run.info.run_id)


def _running(query: str) -> list[Run]:
    client = MlflowClient()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, query))


def _name(pid: int) -> str:
    """Returns a process's name; its start tells it from a later process with the same id."""
    return f"{socket.gethostname()}:{pid}:{psutil.Process(pid).create_time():.0f}"


def _is_gone(name: str) -> bool:
    """Tells whether a process of this machine has ended; of another machine's nothing is known."""
    host, _, process = name.rpartition(":")[0].rpartition(":")
    if host != socket.gethostname() or not process.isdecimal():
        return False
    try:
        return _name(int(process)) != name
    except psutil.Error:
        return True
