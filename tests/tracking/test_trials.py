from __future__ import annotations

from pathlib import Path

import mlflow
import pytest

from nanonuclei.tracking.runs import PARENT
from nanonuclei.tracking.trials import close_dead_trials, close_trial, open_trial


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("complete", "FINISHED"),
        ("pruned", "KILLED"),
        ("failed", "FAILED"),
        ("out of memory", "FAILED"),
        ("died", "KILLED"),
    ],
)
def test_run_of_a_trial_tells_state_settings_and_numbers(project: Path, state: str, status: str) -> None:
    with mlflow.start_run() as parent:
        pass
    settings = {"train.learning_rate": 0.01, "network.depth": 2}
    run_id = open_trial(parent.info.run_id, number=4, settings=settings, tags={"worker": "node:1"})
    close_trial(run_id, state=state, metrics={"value": 0.5, "seconds": 3.0}, error="no memory")
    run = mlflow.get_run(run_id)
    assert run.info.status == status
    assert run.data.params == {"train.learning_rate": "0.01", "network.depth": "2"}
    assert run.data.metrics == {"value": 0.5, "seconds": 3.0}
    told = {name: run.data.tags[name] for name in (PARENT, "trial", "state", "worker", "error")}
    assert told == {
        PARENT: parent.info.run_id,
        "trial": "4",
        "state": state,
        "worker": "node:1",
        "error": "no memory",
    }


def test_runs_of_dead_workers_are_closed_and_those_of_the_living_are_not(project: Path) -> None:
    with mlflow.start_run() as parent:
        pass
    parent_id = parent.info.run_id
    runs = [open_trial(parent_id, number=number, settings={"train.epochs": 1}, tags={}) for number in range(3)]
    close_trial(runs[0], state="complete", metrics={})
    assert close_dead_trials(parent_id, running=lambda: [1]) == 1
    assert [mlflow.get_run(run).info.status for run in runs] == ["FINISHED", "RUNNING", "KILLED"]
    assert mlflow.get_run(runs[2]).data.tags["state"] == "died"
    assert close_dead_trials(parent_id, running=lambda: [1]) == 0
