"""A tracking server that does not answer, and an address that is none, are told before a run is looked up."""

from __future__ import annotations

import http.server
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanonuclei.errors import TrackingError
from nanonuclei.tracking.database import URI_VARIABLE
from nanonuclei.tracking.early import server
from nanonuclei.tracking.early.server import check_server

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
        {"rollback": True},
    ],
)
def test_a_server_that_cannot_be_reached_is_told_where_something_is_looked_up(
    at: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    at.setenv(URI_VARIABLE, "http://127.0.0.1:9")
    with pytest.raises(TrackingError, match=r"http://127\.0\.0\.1:9 must answer.*cannot be reached.*refused"):
        check_server(options)


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


@pytest.mark.parametrize("uri", ["{}", "file://{}", "sqlite:///x.db", "postgresql+psycopg2://h/x", "databricks"])
def test_other_places_are_left_to_mlflow(at: pytest.MonkeyPatch, tmp_path: Path, uri: str) -> None:
    at.setenv(URI_VARIABLE, uri.format(tmp_path))
    check_server(RUN)
