"""One look at the registry: missing models, versions and champions are told without MLflow, and nothing is made."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from nanonuclei.errors import TrackingError
from nanonuclei.tracking.early.registered import Registered, champion_of, check_champion, check_registered


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database with two models, one of which has two versions, one of them deleted, and a challenger."""
    file = tmp_path / "mlflow.db"
    database = sqlite3.connect(file)
    database.executescript(
        """
        create table registered_models (name text);
        create table registered_model_aliases (name text, alias text, version int);
        create table model_versions (name text, version int, current_stage text, run_id text);
        create table model_version_tags (name text, version int, key text, value text);
        insert into registered_models values ('cells'), ('lines');
        insert into registered_model_aliases values ('cells', 'challenger', 2), ('lines', 'champion', 1);
        insert into model_versions values
            ('cells', 1, 'Deleted_Internal', ''), ('cells', 2, 'None', ''), ('lines', 1, 'None', 'one'),
            ('lines', 2, 'None', 'two');
        """
    )
    database.close()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    return file


def test_what_is_registered_passes(registry: Path) -> None:
    for reference in ("models:/cells@challenger", "models:/cells/2", "models:/lines@champion", "models:/m-0123"):
        check_registered(reference)


def test_the_champion_is_found_with_the_one_before_it(registry: Path) -> None:
    with pytest.raises(TrackingError, match="version 1 of lines is the first champion, there is none before it"):
        check_champion("lines")
    with contextlib.closing(sqlite3.connect(registry)) as database, database:
        database.execute("update registered_model_aliases set version = 2 where name = 'lines'")
        database.execute("insert into model_version_tags values ('lines', 2, 'champion.previous', '1')")
    check_champion("lines")
    assert champion_of("lines") == Registered("2", "two", {"champion.previous": "1"})
    assert champion_of("cells") == Registered("")


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("models:/cels@champion", "Did you mean cells?"),
        ("models:/cells@champion", "There is models:/cells/2, models:/cells@challenger"),
        ("models:/cells/1", "There is models:/cells/2, models:/cells@challenger"),
    ],
)
def test_missing_model_alias_or_version_is_told(registry: Path, reference: str, sentence: str) -> None:
    with pytest.raises(TrackingError, match=sentence):
        check_registered(reference)


def test_model_without_champion_cannot_be_rolled_back(registry: Path) -> None:
    with pytest.raises(TrackingError, match="cells has no champion that could be rolled back"):
        check_champion("cells")


def test_tables_that_cannot_be_read_are_left_to_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite3.connect(tmp_path / "mlflow.db").close()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    check_registered("models:/cells@champion")
    check_champion("cells")


def test_missing_database_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    with pytest.raises(TrackingError, match="there are no runs here"):
        check_registered("models:/cells@champion")
    assert not (tmp_path / "mlflow.db").exists()
