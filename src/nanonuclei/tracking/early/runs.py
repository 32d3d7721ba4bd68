"""One look at the tags of a run in a database in a file: a run of another stage or task is told at once."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Mapping
from typing import Literal

from nanonuclei.errors import TrackingError
from nanonuclei.invocation import command, in_experiment
from nanonuclei.tracking.database import database_file, read_only, ui_command

TRAIN = "train"
"""Stage of the runs that train."""
FINISHED = "finished"
"""Tag of a training that is done with everything."""
MODEL = "model.uri"
"""Tag of a run that logged a model."""
OF_TRAINING = ("evaluates", "promotes", "resumes")
"""Tags of runs of other stages that hold the id of a training."""


def tags_of(run_id: str) -> dict[str, str] | None:
    """Returns the tags of a run; None where only MLflow can tell, as of a server.

    Args:
        run_id: A whole id of a run that is there.
    """
    return _logged("tags", run_id)


def settings_of(run_id: str) -> dict[str, str] | None:
    """Returns the parameters that a run logged; None where only MLflow can tell, as of a server."""
    return _logged("params", run_id)


def test_metrics_of(run_id: str) -> set[str] | None:
    """Returns the metrics of the test images that a run logged; None where only MLflow can tell, as of a server."""
    found = _logged("latest_metrics", run_id)
    return None if found is None else {name.removeprefix("test/") for name in found if name.startswith("test/")}


def _logged(table: Literal["tags", "params", "latest_metrics"], run_id: str) -> dict[str, str] | None:
    file = database_file()
    if file is None or not file.is_file():
        return None
    try:
        with read_only(file) as database:
            return dict(database.execute(f"select key, value from {table} where run_uuid = ?", (run_id,)).fetchall())
    except sqlite3.Error:  # locked, or made by another version: MLflow tells
        return None


def status_of(run_id: str) -> str | None:
    """Returns MLflow's word for the status of a run; empty where it is not there any more, None as in `tags_of`."""
    file = database_file()
    if file is None:
        return None
    if not file.is_file():
        return ""
    try:
        with read_only(file) as database:
            query = "select status from runs where run_uuid = ? and lifecycle_stage = 'active'"
            row = database.execute(query, (run_id,)).fetchone()
    except sqlite3.Error:  # locked, or made by another version: MLflow tells
        return None
    return str(row[0]) if row else ""


def beside(text: str, run_id: str) -> str:
    """Returns a command of `invocation.command` about a run, which makes its own run in the experiment of that one."""
    return in_experiment(text, experiment_of(run_id))


def experiment_of(run_id: str) -> str:
    """Returns the name of a run's experiment; empty where only MLflow can tell, as of a server, and is not imported."""
    file = database_file()
    if file is None or not file.is_file():
        if "mlflow" not in sys.modules:
            return ""
        from mlflow.tracking import MlflowClient

        client = MlflowClient()
        return str(client.get_experiment(client.get_run(run_id).info.experiment_id).name)
    try:
        with read_only(file) as database:
            query = "select e.name from experiments e join runs r using (experiment_id) where r.run_uuid = ?"
            row = database.execute(query, (run_id,)).fetchone()
    except sqlite3.Error:  # locked, or made by another version
        return ""
    return str(row[0]) if row else ""


def check_holds_model(run_id: str, *, task: str = "") -> None:
    """Makes sure that a run logged a model, of a task where one is given.

    Raises:
        TrackingError: It did not, or the model is of another task.
    """
    tags = tags_of(run_id)
    if tags is None:
        return
    if MODEL not in tags:
        raise no_model(run_id, tags)
    if task and (made := tags.get("task", task)) != task:
        raise TrackingError(f"run {run_id} holds a model for {made}, not for {task}. Promote it as {made}")


def no_model(run_id: str, tags: Mapping[str, str]) -> TrackingError:
    """Returns the error that tells that a run with these tags holds no model."""
    stage = tags.get("stage", TRAIN)
    if stage != TRAIN:
        return TrackingError(f"run {run_id} holds no model: it is one of {stage}. {_instead(tags)}")
    return TrackingError(
        f"run {run_id} holds no model: its training did not end, or is one of the pipeline, whose evaluation holds "
        f"it. Name that run, or go on with `{beside(command(TRAIN, resume=run_id), run_id)}`"
    )


def check_compared(run_id: str, *, task: str, tags: Mapping[str, str] | None = None) -> None:
    """Makes sure that a run is a finished training of a task.

    Args:
        run_id: The run.
        task: The task.
        tags: Of the run, where they are known; else it is looked at.

    Raises:
        TrackingError: It is not.
    """
    known = tags_of(run_id) if tags is None else tags
    if known is None:
        return
    begin = f"a comparison takes finished trainings of {task}, but run {run_id} is"
    if (stage := known.get("stage", "no stage")) != TRAIN:
        raise TrackingError(f"{begin} one of {stage}. {_instead(known)}")
    if (made := known.get("task", "no task")) != task:
        raise TrackingError(f"{begin} one of {made}. Compare trainings of one task")
    if known.get(FINISHED) != "true":
        raise TrackingError(
            f"{begin} not finished. Wait for its end where it is at work, or go on with "
            f"`{beside(command(TRAIN, task=task, resume=run_id), run_id)}`"
        )


def finished_training(run_id: str, *, task: str = "") -> str:
    """Returns what is told where a training that shall be gone on with is finished; empty where it is not.

    Args:
        run_id: Of the training.
        task: That it must be of; empty: any.

    Raises:
        TrackingError: The run is no training, or one of another task.
    """
    tags = tags_of(run_id)
    if not tags:
        return ""
    stage, made = tags.get("stage", TRAIN), tags.get("task", task)
    if stage != TRAIN:
        raise TrackingError(f"a training can be gone on with, but run {run_id} is one of {stage}. {_instead(tags)}")
    if task and made != task:
        raise TrackingError(f"run {run_id} is a training of {made}, not of {task}. Name it as {made}")
    return told_finished(run_id) if tags.get(FINISHED) == "true" else ""


def _instead(tags: Mapping[str, str]) -> str:
    """Returns which run to name where one of another stage was: its training, where its tags tell it."""
    training = next((tags[name] for name in OF_TRAINING if tags.get(name)), "")
    return f"Name the run of {TRAIN} that it is about, {training}" if training else f"Name a run of {TRAIN}"


def told_finished(run_id: str) -> str:
    """Returns what is told of a finished training."""
    return (
        f"Run {run_id} is finished: nothing was changed. Start a new run for another training.\n"
        f"See it:      {ui_command()}\n"
        f"Score again: {beside(command('evaluate', run=run_id), run_id)}"
    )
