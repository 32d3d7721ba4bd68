"""The run that `mlflow run` makes for a command: where the command opens none, it still is named."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from nanonuclei.errors import without_password

_named: set[str] = set()
"""Runs that this process has named."""
_told: dict[str, str] = {}
"""Tags of the run of this process's entry point: its stage, and what its command line names."""


def remember_words(stage: str, words: Mapping[str, object]) -> None:
    """Remembers the stage of this process and the values of its parameters, for the tags of its run."""
    _told.clear()
    named = {name: words[name] for name in ("task", "dataset", "recipe", "model") if name in words}
    _told.update({"stage": stage, **{name: str(value) for name, value in named.items() if value and value != "auto"}})


def name_own_run(name: str, *, error: str = "", once: bool = False) -> None:
    """Names the run of this process's entry point, which MLflow has given a random name; nothing is raised.

    A run that a stage has opened already keeps its name, and outside of `mlflow run` there is none.

    Args:
        name: Its name.
        error: Why the command could not begin; its tag ``error``.
        once: Whether a name that this process gave it stays.
    """
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id or (once and run_id in _named):
        return
    _named.add(run_id)
    with contextlib.suppress(Exception):  # what the user should read has been said
        from mlflow.tracking import MlflowClient

        from nanonuclei.config.recipes import recipe_name

        tags = {"mlflow.runName": name, **_told, **({"error": error[:500]} if error else {})}
        if recipe := _told.get("recipe"):
            tags["recipe"] = recipe_name(recipe)
        for key, value in tags.items():
            MlflowClient().set_tag(run_id, key, without_password(value))
