"""A command of this project in a process of its own, whose runs become children of the active run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow

from nanonuclei.invocation import PARENT_VARIABLE
from nanonuclei.packaged import with_sources
from nanonuclei.tracking.runs import existing_run

WINDOWS = sys.platform == "win32"
OWN_GROUP: dict[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if WINDOWS else {"process_group": 0}
"""Options of `Popen` by which Ctrl-C reaches the child only through its parent."""


def run_child(words: Sequence[str], parent: str) -> int:
    """Runs ``python -m WORDS`` and waits; what it says appears here. When interrupted, so is the child first.

    Args:
        words: A module and its arguments.
        parent: Id of the run that the child's runs are logged below.

    Returns:
        The exit status.
    """
    environment = with_sources(os.environ)
    environment.pop("MLFLOW_RUN_ID", None)  # the child would log into the parent
    environment[PARENT_VARIABLE] = parent
    environment["MLFLOW_TRACKING_URI"] = mlflow.get_tracking_uri()
    environment["MLFLOW_EXPERIMENT_ID"] = existing_run(parent).info.experiment_id
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would inherit deafness
    process = subprocess.Popen([sys.executable, "-m", *words], env=environment, **OWN_GROUP)
    signal.signal(signal.SIGINT, kept)
    try:
        return process.wait()
    except KeyboardInterrupt:  # the child ends its own run
        _interrupt(process)
        process.wait()
        raise


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """Interrupts a child and its own children."""
    if WINDOWS:
        process.send_signal(signal.CTRL_BREAK_EVENT)
    else:
        os.killpg(process.pid, signal.SIGINT)
