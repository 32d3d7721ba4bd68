"""One look at the tracking database: whole ids of runs, and errors that blame the right thing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from tests.conftest import ROOT

from nanonuclei.errors import TrackingError
from nanonuclei.tracking import database
from nanonuclei.tracking.database import full_run_id, one_run, shown_uri, ui_command
from nanonuclei.tracking.runs import existing_run


def test_id_may_be_shortened_where_it_is_unique(project: Path) -> None:
    run_id = MlflowClient().create_run("0").info.run_id
    assert full_run_id(run_id[:6]) == full_run_id(run_id) == run_id
    assert existing_run(run_id[:6]).info.run_id == run_id


def test_beginning_of_several_ids_is_told_with_them() -> None:
    with pytest.raises(TrackingError, match=r"2 runs begin with 'abcd': abcd0000, abcd1111\. Give more digits"):
        one_run("abcd", ["abcd0000" + "0" * 24, "abcd1111" + "0" * 24, "b" * 32])


@pytest.mark.parametrize("text", ["nonsense", "f" * 32, "abcd%", "abc"])
def test_unknown_id_is_told(project: Path, text: str) -> None:
    MlflowClient().create_run("0")
    with pytest.raises(TrackingError, match=f"no run '{text}' at sqlite"):
        existing_run(text)


def test_reading_makes_no_database(project: Path) -> None:
    with pytest.raises(TrackingError, match=r"there is no database mlflow\.db in .*Change to the folder"):
        existing_run("abcd")
    assert not (project / "mlflow.db").exists()


def test_locked_database_is_said_to_be_locked(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = MlflowClient().create_run("0").info.run_id
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0.1)
    other = sqlite3.connect(project / "mlflow.db", isolation_level=None)
    other.execute("begin exclusive")
    try:
        with pytest.raises(TrackingError, match="must answer, but does not: database is locked"):
            full_run_id(run_id)
    finally:
        other.close()


def test_server_that_is_away_is_said_to_be_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri("http://user:secret@127.0.0.1:9")
    try:
        with pytest.raises(TrackingError, match=r"server http://user:\*\*\*@127\.0\.0\.1:9 must answer") as caught:
            existing_run("0" * 32)
        assert "secret" not in str(caught.value)
        assert "secret" not in shown_uri() + ui_command()
    finally:
        mlflow.set_tracking_uri(None)


def test_a_look_imports_no_mlflow(project: Path) -> None:
    code = (
        "import sys\nfrom nanonuclei.errors import TrackingError\n"
        "from nanonuclei.tracking.database import full_run_id\n"
        "try:\n    full_run_id('abcd')\nexcept TrackingError as error:\n    print(error)\n"
        "assert not {'mlflow', 'numpy', 'sqlalchemy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "src")},
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "no run 'abcd'" in done.stdout
