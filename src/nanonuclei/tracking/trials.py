"""The runs of a search's trials: one below the parent for each attempt, opened, closed, and closed for the dead."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping

from mlflow.entities import Metric, Run, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from nanonuclei.config.params import Scalar
from nanonuclei.errors import TrackingError
from nanonuclei.tracking.runs import PARENT, existing_run, first_line, log_settings

TRIAL = "trial"
STATE = "state"
STATUS = {"complete": RunStatus.FINISHED, "pruned": RunStatus.KILLED, "died": RunStatus.KILLED}
"""MLflow's word for how a trial ended; FAILED for the others."""


def open_trial(parent: str, *, number: int, settings: Mapping[str, Scalar], tags: Mapping[str, str]) -> str:
    """Makes the run of a trial.

    Args:
        parent: Id of the search's run.
        number: Of the trial.
        settings: Logged as parameters.
        tags: More tags, such as the worker.

    Returns:
        The run's id.

    Raises:
        TrackingError: The tracking server refuses.
    """
    given = {PARENT: parent, "parent": parent, "stage": "trial", TRIAL: str(number), STATE: "running", **tags}
    try:
        experiment = existing_run(parent).info.experiment_id
        run: Run = MlflowClient().create_run(experiment, run_name=f"trial {number}", tags=given)
        log_settings(run.info.run_id, settings)
    except MlflowException as error:
        raise TrackingError(f"cannot make the run of trial {number}: {first_line(error)}") from error
    run_id: str = run.info.run_id
    return run_id


def close_trial(run_id: str, *, state: str, metrics: Mapping[str, float], error: str = "") -> None:
    """Ends the run of a trial with its state and last numbers.

    Raises:
        TrackingError: The tracking server refuses.
    """
    client, now = MlflowClient(), int(time.time() * 1000)
    try:
        if metrics:
            client.log_batch(run_id, metrics=[Metric(name, value, now, 0) for name, value in metrics.items()])
        client.set_tag(run_id, STATE, state)
        if error:
            client.set_tag(run_id, "error", error)
        client.set_terminated(run_id, RunStatus.to_string(STATUS.get(state, RunStatus.FAILED)))
    except MlflowException as caught:
        raise TrackingError(f"cannot end the run of a trial: {first_line(caught)}") from caught


def close_dead_trials(parent: str, *, running: Callable[[], Collection[int]]) -> int:
    """Ends the runs that workers left behind when they were killed.

    A worker takes a trial before it makes its run, and ends the run before it gives up the trial. So the runs are
    looked at first, then the trials, then the runs that seem to be nobody's once more.

    Args:
        parent: Id of the search's run.
        running: Asked for the numbers of the trials that do run.

    Returns:
        How many there were.
    """
    experiment = existing_run(parent).info.experiment_id
    below = f"tags.`{PARENT}` = '{parent}' and attributes.status = 'RUNNING'"
    found = [run for run in MlflowClient().search_runs([experiment], filter_string=below) if TRIAL in run.data.tags]
    alive = running() if found else ()
    nobodys = [run.info.run_id for run in found if int(run.data.tags[TRIAL]) not in alive]
    dead = [run_id for run_id in nobodys if existing_run(run_id).info.status == "RUNNING"]
    for run_id in dead:
        with contextlib.suppress(TrackingError):  # another worker does the same
            close_trial(run_id, state="died", metrics={})
    return len(dead)
