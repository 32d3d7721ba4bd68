"""A tracking database is there whole or not at all, and never takes the place of another."""

from __future__ import annotations

import os
from pathlib import Path

import mlflow
import psutil
import pytest

from nanonuclei.errors import TrackingError
from nanonuclei.tracking import new_database
from nanonuclei.tracking.new_database import answering, make_database

WHOLE = b"a database with all its tables"


@pytest.fixture
def file(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(new_database, "_make_tables", lambda partial: partial.write_bytes(WHOLE))
    return project / "mlflow.db"


def test_it_appears_whole_and_is_told_once(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_database()
    make_database()
    assert file.read_bytes() == WHOLE
    assert capsys.readouterr().out == f"Runs are recorded in {file}, which is new.\n"
    assert list(file.parent.glob("partial-*")) == []


def test_one_that_cannot_be_made_leaves_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(partial: Path) -> None:
        partial.write_bytes(WHOLE[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(new_database, "_make_tables", fail)
    with pytest.raises(TrackingError, match=r"mlflow\.db must answer, but does not: .*No space left"):
        make_database()
    assert not file.exists()
    assert list(file.parent.glob("partial-*")) == []


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_one_of_another_process_stays(when: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(partial: Path) -> None:
        partial.write_bytes(WHOLE)
        file.write_bytes(b"of another process")

    monkeypatch.setattr(new_database, "_make_tables", make)
    if when == "before":
        file.write_bytes(b"of another process")
    make_database()
    assert file.read_bytes() == b"of another process"


def test_what_killed_processes_left_is_removed_and_what_others_make_is_not(file: Path) -> None:
    gone = next(pid for pid in range(4_000_000, 3_000_000, -1) if not psutil.pid_exists(pid))
    left, made = (file.with_name(f"partial-{pid}-mlflow.db") for pid in (gone, os.getppid()))
    for path in (left, made):
        path.write_bytes(WHOLE[:5])
    make_database()
    assert not left.exists()
    assert made.exists()


@pytest.mark.usefixtures("file")
def test_a_server_makes_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    make_database()
    assert not Path("mlflow.db").exists()


def test_other_errors_go_on_up() -> None:
    with pytest.raises(ZeroDivisionError), answering():
        raise ZeroDivisionError
