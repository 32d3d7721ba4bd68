from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import mlflow
import pytest
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow.tracking import MlflowClient
from tests.conftest import ROOT

from nanonuclei.errors import TrackingError
from nanonuclei.tracking.registry import (
    CHALLENGER,
    CHAMPION,
    at_alias,
    describe_version,
    exclusive,
    move_champion,
    register_once,
    roll_back,
    set_challenger,
)

pytestmark = pytest.mark.usefixtures("project")

RACER = """
import sys
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow.tracking import MlflowClient
from nanonuclei.errors import TrackingError
from nanonuclei.tracking.registry import move_champion
version = MlflowClient().get_model_version("nuclei", sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    move_champion(version, expected=sys.argv[2])
    print("won")
except TrackingError as error:
    print("lost", error)
"""
"""Waits for a word, then makes a version champion."""


def registered(folder: Path, number: int) -> ModelVersion:
    """Registers a file as if it were a model."""
    run_id = MlflowClient().create_run("0").info.run_id
    source = folder / f"model{number}"
    source.mkdir()
    (source / "MLmodel").write_text("flavors: {}\n")
    return register_once("nuclei", source.as_uri(), run_id=run_id)


def test_model_is_registered_once(tmp_path: Path) -> None:
    first = registered(tmp_path, 1)
    assert register_once("nuclei", first.source, run_id=first.run_id).version == first.version
    assert registered(tmp_path, 2).version != first.version


def test_champion_follows_promotions_and_goes_back(tmp_path: Path) -> None:
    one, two = registered(tmp_path, 1), registered(tmp_path, 2)
    assert at_alias("nuclei", CHAMPION) is None
    move_champion(one, expected="")
    set_challenger(two)
    move_champion(two, expected=str(one.version))
    assert at_alias("nuclei", CHAMPION).version == two.version
    assert at_alias("nuclei", CHALLENGER).version == two.version
    assert roll_back("nuclei") == (str(two.version), str(one.version))
    assert at_alias("nuclei", CHAMPION).version == one.version
    with pytest.raises(TrackingError, match="is the first champion"):
        roll_back("nuclei")


def test_nothing_can_be_rolled_back_where_nothing_was_promoted() -> None:
    with pytest.raises(TrackingError, match="has no champion"):
        roll_back("nuclei")


def test_promotion_that_was_compared_with_an_older_champion_is_refused(tmp_path: Path) -> None:
    one, two, three = (registered(tmp_path, number) for number in (1, 2, 3))
    move_champion(one, expected="")
    move_champion(two, expected=str(one.version))
    with pytest.raises(TrackingError, match=f"meanwhile the champion is version {two.version}"):
        move_champion(three, expected=str(one.version))
    assert at_alias("nuclei", CHAMPION).version == two.version


def test_of_two_processes_that_promote_at_once_one_wins(tmp_path: Path) -> None:
    one, *others = (registered(tmp_path, number) for number in (1, 2, 3))
    move_champion(one, expected="")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()}
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(version.version), str(one.version)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for version in others
    ]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = [racer.communicate()[0].split(maxsplit=1) for racer in racers]
    assert sorted(answer[0] for answer in answers) == ["lost", "won"]
    winner = others[[answer[0] for answer in answers].index("won")]
    assert at_alias("nuclei", CHAMPION).version == winner.version


def test_registered_model_that_another_process_holds_is_left_alone() -> None:
    with (
        exclusive("nuclei"),
        pytest.raises(TrackingError, match="being changed by another process"),
        exclusive("nuclei", patience=0.0),
    ):
        pass


def test_lock_leaves_no_file_behind_and_holds_one_at_a_time_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    inside, most = 0, 0

    def change() -> None:
        nonlocal inside, most
        for _ in range(20):
            with exclusive("nuclei"):
                inside += 1
                most = max(most, inside)
                time.sleep(0.001)
                inside -= 1

    threads = [threading.Thread(target=change) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list(tmp_path.glob("*.lock")) == []


def test_description_is_cut_to_what_the_database_keeps(tmp_path: Path) -> None:
    version = registered(tmp_path, 1)
    describe_version(version, description="x" * 6000, tags={"gate": "promoted"})
    stored = MlflowClient().get_model_version("nuclei", version.version)
    assert len(stored.description) == 5000
    assert stored.tags["gate"] == "promoted"


def test_losing_one_of_two_promotions_of_a_model_hears_that_it_is_champion(tmp_path: Path) -> None:
    version = registered(tmp_path, 1)
    move_champion(version, expected="")
    with pytest.raises(TrackingError, match=r"version 1 of nuclei is champion already.*Nothing is left to do"):
        move_champion(version, expected="")


def test_alias_that_cannot_be_looked_up_is_no_missing_alias(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> ModelVersion:
        raise MlflowException("database is locked", error_code=TEMPORARILY_UNAVAILABLE)

    monkeypatch.setattr(MlflowClient, "get_model_version_by_alias", away)
    with pytest.raises(TrackingError, match="must answer, but does not: database is locked"):
        at_alias("nuclei", CHAMPION)
