"""One look at the registry: missing models, versions and champions are told without MLflow, and nothing is made."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from nanonuclei.errors import TrackingError
from nanonuclei.tracking.early.registered import check_champion, check_registered


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database with two models, one of which has two versions, one of them deleted, and a challenger."""
    file = tmp_path / "mlflow.db"
    database = sqlite3.connect(file)
    database.executescript(
        """
        create table registered_models (name text);
        create table registered_model_aliases (name text, alias text, version int);
        create table model_versions (name text, version int, current_stage text);
        insert into registered_models values ('cells'), ('lines');
        insert into registered_model_aliases values ('cells', 'challenger', 2), ('lines', 'champion', 1);
        insert into model_versions values
            ('cells', 1, 'Deleted_Internal'), ('cells', 2, 'None'), ('lines', 1, 'None');
        """
    )
    database.close()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    return file


def test_what_is_registered_passes(registry: Path) -> None:
    for reference in ("models:/cells@challenger", "models:/cells/2", "models:/lines@champion", "models:/m-0123"):
        check_registered(reference)
    check_champion("lines")


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
