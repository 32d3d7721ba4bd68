"""A tracking server that does not answer, and an address that is none, are told before a run is looked up."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanonuclei.cli import _parser
from nanonuclei.errors import TrackingError
from nanonuclei.tracking.database import URI_VARIABLE
from nanonuclei.tracking.early import server
from nanonuclei.tracking.early.server import RECORDING, check_server

RUN = {"run_id": "0" * 32}


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(server, "tracking_uri", lambda: os.environ[URI_VARIABLE])
    monkeypatch.setattr(server, "shown_uri", lambda: os.environ[URI_VARIABLE])
    return monkeypatch


@pytest.fixture
def address() -> Iterator[str]:
    """A socket that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize(
    "options",
    [
        RUN,
        {"reference": "0123"},
        {"model": "models:/nuclei@champion"},
        {"resume": "0" * 32},
        {"runs": f"a={'0' * 32},{'1' * 32}"},
    ],
)
def test_a_server_that_cannot_be_reached_is_told_where_something_is_looked_up(
    at: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    at.setenv(URI_VARIABLE, "http://127.0.0.1:9")
    with pytest.raises(TrackingError, match=r"http://127\.0\.0\.1:9 must answer.*cannot be reached.*refused"):
        check_server(options)


@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg"])
def test_a_place_that_is_away_is_told_at_once_where_a_run_would_be_recorded(
    at: pytest.MonkeyPatch, scheme: str
) -> None:
    at.setenv(URI_VARIABLE, f"{scheme}://me@127.0.0.1:9/runs")
    with pytest.raises(TrackingError, match=r"127\.0\.0\.1:9/runs must answer.*cannot be reached.*refused"):
        check_server({}, "train")
    check_server({}, "predict")


def test_a_database_that_takes_connections_and_is_silent_is_told_after_seconds(
    at: pytest.MonkeyPatch, address: str
) -> None:
    at.setenv(URI_VARIABLE, address.replace("http", "postgresql+psycopg"))
    at.setattr(server, "PATIENCE_SECONDS", 2.0)
    with pytest.raises(TrackingError, match=r"must answer, but does not: it cannot be reached .*timeout"):
        check_server(RUN)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("notes.db", r"notes\.db is none that can be read \(file is not a database\)\. Put a copy"),
        ("cut.db", r"cut\.db is none that can be read \(database disk image is malformed\)"),
        ("folder", r"folder is a folder\. Put"),
    ],
)
def test_a_file_that_cannot_be_the_database_is_told_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, told: str
) -> None:
    (tmp_path / "notes.db").write_text("not a database, but somebody's notes" * 100)
    with contextlib.closing(sqlite3.connect(tmp_path / "cut.db")) as database:
        database.executescript("".join(f"create table t{number} (name text);" for number in range(200)))
    content = (tmp_path / "cut.db").read_bytes()
    (tmp_path / "cut.db").write_bytes(content[: len(content) // 2])
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(server, "tracking_uri", lambda: os.environ[URI_VARIABLE])
    monkeypatch.setattr("nanonuclei.tracking.database.tracking_uri", lambda: os.environ[URI_VARIABLE])
    monkeypatch.setenv(URI_VARIABLE, f"sqlite:///{tmp_path / place}")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(TrackingError, match=told):
        check_server({}, "train")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("content", [None, b""])
def test_a_database_that_is_to_be_made_or_is_locked_is_left_to_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    file = tmp_path / "runs.db"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(server, "tracking_uri", lambda: os.environ[URI_VARIABLE])
    monkeypatch.setattr("nanonuclei.tracking.database.tracking_uri", lambda: os.environ[URI_VARIABLE])
    monkeypatch.setattr("nanonuclei.tracking.database.PATIENCE_SECONDS", 0.1)
    monkeypatch.setenv(URI_VARIABLE, f"sqlite:///{file}")
    check_server({}, "train")
    assert file.is_file() == (content is not None)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("create table t (name text)")
        database.execute("begin exclusive")
        check_server({}, "train")


def test_every_stage_that_records_a_run_is_known() -> None:
    stages = next(action.choices for action in _parser()._actions if isinstance(action.choices, dict))
    others = {"label", "correct", "predict", "page", "serve", "export", "plots", "lineage", "clean"}
    assert set(stages) - others == RECORDING


@pytest.mark.parametrize("options", [{}, {"model": "nuclei"}, {"model": "models:/nuclei@champion", "wait": True}])
def test_nothing_is_asked_where_nothing_is_looked_up_or_the_command_waits(
    at: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    at.setenv(URI_VARIABLE, "nope://x")
    check_server(options)


def test_a_slow_server_is_waited_for_with_a_line(
    at: pytest.MonkeyPatch, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    at.setenv(URI_VARIABLE, address)
    at.setattr(server, "PATIENCE_SECONDS", 0.2)
    check_server(RUN)
    assert capsys.readouterr().err == f"Waiting for the tracking server at {address} ...\n"


def test_any_answer_is_one(at: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        at.setenv(URI_VARIABLE, f"http://me:secret@127.0.0.1:{serving.server_port}/prefix/")
        check_server(RUN)
        serving.shutdown()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("nope://x", "is nope://x, which is of no kind"),
        ("{}/file", "file, which is no folder"),
        ("file:///nowhere", "which is no folder"),
    ],
)
def test_an_address_that_is_none_is_told(at: pytest.MonkeyPatch, tmp_path: Path, uri: str, said: str) -> None:
    (tmp_path / "file").touch()
    at.setenv(URI_VARIABLE, uri.format(tmp_path))
    with pytest.raises(TrackingError, match=f"{URI_VARIABLE} must be the address.*{said}"):
        check_server(RUN)


@pytest.mark.parametrize("uri", ["{}", "file://{}", "sqlite:///x.db", "mssql+pyodbc://h/x", "databricks"])
def test_other_places_are_left_to_mlflow(at: pytest.MonkeyPatch, tmp_path: Path, uri: str) -> None:
    at.setenv(URI_VARIABLE, uri.format(tmp_path))
    check_server(RUN)
