"""A made-up public archive and servers that misbehave, for what is fetched."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tasks.nuclei.sources.samples import png

from nanonuclei.data.archives import file_sha256, write_zip
from nanonuclei.tasks.nuclei.sources import fetch
from nanonuclei.tasks.nuclei.sources.fetch import PUBLIC_COMMIT, fetch_dsb2018

TOP = f"kaggle-dsbowl-2018-dataset-fixes-{PUBLIC_COMMIT}"


def _noise(seed: int) -> bytes:
    """Returns a PNG of 48 x 48 px that no compression makes small, none of them 0."""
    return png(np.random.default_rng(seed).integers(1, 256, (48, 48)).astype(np.uint8))


FILES = {
    f"{number}/{kind}/{number}.png": _noise(place) if kind == "images" else png(np.full((48, 48), 255, np.uint8))
    for place, number in enumerate("abc")
    for kind in ("images", "masks")
}


def github_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    """Packs samples as GitHub packs a repository: a top folder, folder entries, other files, deflated, in any order."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(f"{TOP}/", b"")
        archive.writestr(f"{TOP}/README.rst", b"Corrected labels")
        archive.writestr(f"{TOP}/stage1_train/", b"")
        for name, content in reversed(files.items()):
            entry = zipfile.ZipInfo(f"{TOP}/stage1_train/{name}", (2020, 1, 2, 3, 4, 6))
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED, 1)
        archive.writestr(f"{TOP}/stage1_train/a/masks/notes.txt", b"text")
    return path


def packed_sha256(folder: Path, files: Mapping[str, bytes]) -> str:
    write_zip(folder / "expected.zip", sorted(files.items()))
    sha256 = file_sha256(folder / "expected.zip")
    (folder / "expected.zip").unlink()
    return sha256


def left_in(data: Path) -> list[str]:
    return sorted(path.name for path in data.rglob("*") if path.is_file())


@dataclass
class Server:
    """Serves one file; can drop connections, forget lengths, ignore ranges, answer with errors.

    Attributes:
        content: What is served.
        ranges: Whether it goes on from where it is asked to.
        lengths: Whether it says how long its answer is.
        stops: Bytes of the answer to send per request before the connection is closed; whole answers after these.
        statuses: Status codes per request; 200 or 206 after these.
        asked: The Range header of every request, None where there was none.
    """

    content: bytes
    ranges: bool = True
    lengths: bool = True
    stops: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if self.statuses:
            handler.send_error(self.statuses.pop(0))
            return
        if start >= len(self.content):
            handler.send_error(416)
            return
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.lengths:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: self.stops.pop(0)] if self.stops else body)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """Starts servers on this machine and ends them with the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(content: bytes, **behaviour: Any) -> Server:
        server = Server(content, **behaviour)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((listener, thread))
        server.url = f"http://127.0.0.1:{listener.server_port}/archive/{PUBLIC_COMMIT}.zip"
        return server

    yield start
    for listener, thread in running:
        listener.shutdown()
        thread.join()
        listener.server_close()


@dataclass
class Public:
    """A made-up public archive whose checksum is the expected one."""

    content: bytes
    data: Path
    waited: list[float]
    said: list[str]

    def fetch(self, server: Server) -> Path:
        return fetch_dsb2018("public", self.data, url=server.url, report=self.said.append, wait=self.waited.append).path


@pytest.fixture
def public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Public:
    monkeypatch.setattr(fetch, "PUBLIC_SHA256", packed_sha256(tmp_path, FILES))
    monkeypatch.setattr(fetch, "_CHUNK", 100)  # of a broken answer, what fills a chunk is kept
    content = github_zip(tmp_path / "github.zip", FILES).read_bytes()
    return Public(content, tmp_path / "data", waited=[], said=[])
