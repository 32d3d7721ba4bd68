"""Which processes work on a run, and the runs that killed processes of this machine have left in the state RUNNING."""

from __future__ import annotations

import contextlib
import os
import socket

import psutil
from mlflow.entities import Run, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

TAG = "processes"
"""Tag of a run: the processes that work on it, each as ``HOST:ID:START``, separated by spaces."""


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
    client, closed = MlflowClient(), []
    with contextlib.suppress(MlflowException):
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        query = f"attributes.status = 'RUNNING' and tags.{TAG} LIKE '%{socket.gethostname()}:%'"
        for run in client.search_runs(experiments, query):
            if all(_is_gone(name) for name in run.data.tags[TAG].split()):
                client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.KILLED))
                closed.append(str(run.info.run_id))
    return closed


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
