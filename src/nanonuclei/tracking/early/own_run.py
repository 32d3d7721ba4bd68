"""The run that `mlflow run` makes for a command: where the command opens none, it still is named."""

from __future__ import annotations

import contextlib
import os

from nanonuclei.errors import without_password

PARENT_VARIABLE = "NANONUCLEI_PARENT_RUN"
"""Environment variable that tells a stage which run it is a child of."""


_named: set[str] = set()
"""Runs that this process has named."""


def name_own_run(name: str, *, stage: str, error: str = "", once: bool = False) -> None:
    """Names the run of this process's entry point, which MLflow has given a random name; nothing is raised.

    A run that a stage has opened already keeps its name, and outside of `mlflow run` there is none.

    Args:
        name: Its name.
        stage: Its tag ``stage``.
        error: Why the command could not begin; its tag ``error``.
        once: Whether a name that this process gave it stays.
    """
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id or (once and run_id in _named):
        return
    _named.add(run_id)
    with contextlib.suppress(Exception):  # what the user should read has been said
        from mlflow.tracking import MlflowClient

        tags = {"mlflow.runName": name, "stage": stage, **({"error": without_password(error)[:500]} if error else {})}
        for key, value in tags.items():
            MlflowClient().set_tag(run_id, key, value)
