"""Wherever the dataset comes from, the same bytes end up in place, or nothing does."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kagglehub
import pytest
import requests
from kagglehub.exceptions import KaggleApiHTTPError, UnauthenticatedError

from nanonuclei.data import fetch
from nanonuclei.data.archives import file_sha256, write_zip
from nanonuclei.data.fetch import PUBLIC_COMMIT, PUBLIC_SHA256, fetch_dsb2018
from nanonuclei.data.sources import DSB2018_ARCHIVE
from nanonuclei.errors import DataError

SHARED = Path(os.environ.get("NANONUCLEI_SHARED", Path(__file__).parents[2] / ".." / "shared"))
TOP = f"kaggle-dsbowl-2018-dataset-fixes-{PUBLIC_COMMIT}"
FILES = {
    f"{number}/{kind}/{number}.png": f"{kind} {number}".encode() * 300
    for number in "abc"
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
        return fetch_dsb2018("public", self.data, url=server.url, report=self.said.append, wait=self.waited.append)


@pytest.fixture
def public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Public:
    monkeypatch.setattr(fetch, "PUBLIC_SHA256", packed_sha256(tmp_path, FILES))
    monkeypatch.setattr(fetch, "_CHUNK", 100)  # of a broken answer, what fills a chunk is kept
    content = github_zip(tmp_path / "github.zip", FILES).read_bytes()
    return Public(content, tmp_path / "data", waited=[], said=[])


def part_file(public: Public) -> Path:
    path = public.data / "dsb2018" / f"{PUBLIC_COMMIT}.zip.part"
    path.parent.mkdir(parents=True)
    return path


def test_the_public_archive_is_repacked_into_sorted_samples(public: Public, serve: Callable[..., Server]) -> None:
    path = public.fetch(serve(public.content))
    assert path == public.data / DSB2018_ARCHIVE
    with zipfile.ZipFile(path) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
        assert archive.namelist() == sorted(FILES)
    assert left_in(public.data) == ["stage1_train.zip"]
    assert public.said[-1].startswith(f"{path}: 3 images, 3 masks, 0.0 MB, sha256 ")
    assert public.said[-1].endswith(", the corrected public set")
    assert "\n" not in "".join(public.said)


HALF = 400
DOWNLOADS = [
    ("whole", {}, [None]),
    ("no length", {"lengths": False}, [None]),
    ("dropped, ranges", {"stops": [HALF]}, [None, f"bytes={HALF}-"]),
    ("dropped twice, ranges", {"stops": [HALF, 100]}, [None, f"bytes={HALF}-", f"bytes={HALF + 100}-"]),
    ("dropped, no ranges", {"stops": [HALF], "ranges": False}, [None, f"bytes={HALF}-"]),
    ("dropped, no length, ranges", {"stops": [HALF], "lengths": False}, [None, f"bytes={HALF}-"]),
    ("dropped, neither", {"stops": [HALF], "lengths": False, "ranges": False}, [None, f"bytes={HALF}-"]),
    ("busy", {"statuses": [503, 429]}, [None, None, None]),
]


@pytest.mark.parametrize(("behaviour", "asked"), [case[1:] for case in DOWNLOADS], ids=[case[0] for case in DOWNLOADS])
def test_a_download_comes_through(
    public: Public, serve: Callable[..., Server], behaviour: dict[str, Any], asked: list[str | None]
) -> None:
    server = serve(public.content, **behaviour)
    assert file_sha256(public.fetch(server)) == fetch.PUBLIC_SHA256
    assert server.asked == asked
    assert public.waited == [1.0, 2.0][: len(asked) - 1]
    assert left_in(public.data) == ["stage1_train.zip"]


def test_a_download_begun_earlier_goes_on(public: Public, serve: Callable[..., Server]) -> None:
    part_file(public).write_bytes(public.content[:HALF])
    server = serve(public.content)
    public.fetch(server)
    assert server.asked == [f"bytes={HALF}-"]


def test_a_download_completed_earlier_is_not_repeated(public: Public, serve: Callable[..., Server]) -> None:
    part_file(public).write_bytes(public.content)
    server = serve(b"")
    public.fetch(server)
    assert server.asked == []
    assert left_in(public.data) == ["stage1_train.zip"]


def test_a_begun_download_longer_than_the_file_starts_over(public: Public, serve: Callable[..., Server]) -> None:
    part_file(public).write_bytes(bytes(len(public.content) + 5))
    server = serve(public.content)
    public.fetch(server)
    assert server.asked == [f"bytes={len(public.content) + 5}-", None]


def test_a_server_that_always_drops_is_given_up_and_the_beginning_kept(
    public: Public, serve: Callable[..., Server]
) -> None:
    server = serve(public.content, stops=[150] * 9)
    with pytest.raises(DataError, match=r"broke off 5 times.*Run the command again to go on"):
        public.fetch(server)
    assert len(server.asked) == 5
    assert left_in(public.data) == [f"{PUBLIC_COMMIT}.zip.part"]
    server.stops.clear()
    public.fetch(server)
    assert server.asked[-1] == "bytes=500-"


REFUSALS = [
    ("404", {"statuses": [404]}, r"answers 404 Not Found\. Check the address, or download the zip on another machine"),
    ("403", {"statuses": [403]}, r"answers 403 Forbidden"),
]


@pytest.mark.parametrize(("behaviour", "says"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS])
def test_a_refusal_is_said_at_once(
    public: Public, serve: Callable[..., Server], behaviour: dict[str, Any], says: str
) -> None:
    server = serve(public.content, **behaviour)
    with pytest.raises(DataError, match=says):
        public.fetch(server)
    assert (len(server.asked), public.waited, left_in(public.data)) == (1, [], [])


def test_without_a_network_one_line_says_what_to_do(public: Public, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = Server(b"", url=f"http://127.0.0.1:{taken.getsockname()[1]}/a.zip")  # bound, but nobody listens
        with pytest.raises(DataError) as caught:
            public.fetch(server)
    assert str(caught.value).startswith(f"{server.url} cannot be reached (")
    assert str(caught.value).count("a.zip") == 1
    assert str(caught.value).endswith("download the zip on another machine and give it as source=<path>")
    assert "\n" not in str(caught.value)
    assert (public.waited, left_in(public.data)) == ([], [])


def test_a_download_with_another_checksum_is_removed(
    public: Public, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "PUBLIC_SHA256", PUBLIC_SHA256)
    with pytest.raises(DataError) as caught:
        public.fetch(serve(public.content))
    assert f"must have SHA-256 {PUBLIC_SHA256}, but what was downloaded has " in str(caught.value)
    assert left_in(public.data) == []


def damaged(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entry = archive.getinfo(f"{TOP}/stage1_train/b/masks/b.png")
    start = entry.header_offset + 30 + len(entry.filename)  # the local header, then the compressed content
    return content[:start] + b"\xff\xff\xff\xff" + content[start + 4 :]


BAD_DOWNLOADS = [
    ("no zip", lambda content: b"<html>sign in</html>", "no complete zip"),
    ("cut short", lambda content: content[:-40], "no complete zip"),
    ("damaged within", damaged, "cannot read"),
]


@pytest.mark.parametrize(
    ("spoil", "says"), [case[1:] for case in BAD_DOWNLOADS], ids=[case[0] for case in BAD_DOWNLOADS]
)
def test_a_spoilt_download_is_refused_and_removed(
    public: Public, serve: Callable[..., Server], spoil: Callable[[bytes], bytes], says: str
) -> None:
    with pytest.raises(DataError, match=says):
        public.fetch(serve(spoil(public.content)))
    assert left_in(public.data) == []


def test_a_download_without_end_is_cut_off(
    public: Public, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_MAX_DOWNLOAD", 300)
    with pytest.raises(DataError, match="sends more than 300 bytes"):
        public.fetch(serve(public.content))
    assert left_in(public.data) == []


def test_a_disk_that_fills_up_keeps_the_download(
    public: Public, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch, "write_zip", full)
    with pytest.raises(DataError, match=r"cannot write .*stage1_train\.zip: No space left on device"):
        public.fetch(serve(public.content))
    assert left_in(public.data) == [f"{PUBLIC_COMMIT}.zip.part"]


def test_the_public_set_already_in_place_is_not_fetched_again(public: Public, serve: Callable[..., Server]) -> None:
    public.fetch(serve(public.content))
    server = serve(public.content)
    public.fetch(server)
    assert server.asked == []
    assert "nothing to do" in public.said[-2]


def test_a_failed_fetch_leaves_what_was_in_place(public: Public, serve: Callable[..., Server], tmp_path: Path) -> None:
    path = fetch_dsb2018(str(github_zip(tmp_path / "own.zip", dict(list(FILES.items())[:2]))), public.data)
    before = path.read_bytes()
    with pytest.raises(DataError):
        public.fetch(serve(b"no zip"))
    assert path.read_bytes() == before


def zip_source(folder: Path) -> Path:
    return github_zip(folder / "mine.zip", FILES)


def folder_source(folder: Path) -> Path:
    for name, content in FILES.items():
        path = folder / "mine" / "stage1_train" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    return folder / "mine"


def nested_source(folder: Path) -> Path:
    write_zip(folder / "stage1_train.zip", sorted(FILES.items()))
    write_zip(
        folder / "data-science-bowl-2018.zip",
        [("stage1_train.zip", (folder / "stage1_train.zip").read_bytes()), ("stage1_test.zip", b"")],
    )
    return folder / "data-science-bowl-2018.zip"


@pytest.mark.parametrize("source", [zip_source, folder_source, nested_source])
def test_a_path_is_packed_into_the_same_bytes(tmp_path: Path, source: Callable[[Path], Path]) -> None:
    said: list[str] = []
    path = fetch_dsb2018(str(source(tmp_path)), tmp_path / "data", report=said.append)
    assert file_sha256(path) == packed_sha256(tmp_path, FILES)
    assert left_in(tmp_path / "data") == ["stage1_train.zip"]
    assert said[-1].endswith(f"sha256 {file_sha256(path)[:12]}, not the corrected public set")


def test_a_source_that_is_in_place_already_stays_untouched(tmp_path: Path) -> None:
    path = fetch_dsb2018(str(zip_source(tmp_path)), tmp_path / "data")
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    said: list[str] = []
    assert fetch_dsb2018(
        str(tmp_path / "data" / ".." / "data" / DSB2018_ARCHIVE), tmp_path / "data", report=said.append
    )
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert said[0] == f"{path} is the source itself: nothing to do"
    assert said[1].startswith(f"{path}: 3 images, 3 masks")


def test_the_folder_it_lies_in_is_a_source_too(tmp_path: Path) -> None:
    path = fetch_dsb2018(str(zip_source(tmp_path)), tmp_path / "data")
    before = path.read_bytes()
    fetch_dsb2018(str(tmp_path / "data"), tmp_path / "data")
    assert path.read_bytes() == before
    assert left_in(tmp_path / "data") == ["stage1_train.zip"]


BAD_SOURCES = [
    ("path traversal", {"../up/images/a.png": b"1"}, "leads out of the archive"),
    ("bomb", {"a/images/a.png": bytes(2**22)}, "which unpacks from"),
    ("no sample", {"readme.txt": b"1"}, "no sample"),
    (
        "one file from two places",
        {"x/a/images/a.png": b"1", "y/a/images/a.png": b"2"},
        r"holds a/images/a\.png twice, as x/",
    ),
]


@pytest.mark.parametrize(("files", "says"), [case[1:] for case in BAD_SOURCES], ids=[case[0] for case in BAD_SOURCES])
def test_a_source_that_cannot_be_used_is_refused(tmp_path: Path, files: Mapping[str, bytes], says: str) -> None:
    with zipfile.ZipFile(tmp_path / "mine.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(DataError, match=says):
        fetch_dsb2018(str(tmp_path / "mine.zip"), tmp_path / "data")
    assert left_in(tmp_path / "data") == []


@pytest.mark.parametrize(
    ("word", "says"), [("pulbic", r"got 'pulbic'.*Did you mean public\?"), ("kagle", r"Did you mean kaggle\?")]
)
def test_an_unknown_source_is_refused_with_the_nearest_word(tmp_path: Path, word: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        fetch_dsb2018(word, tmp_path)


def test_kaggle_is_asked_for_the_training_zip_and_that_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []
    local = zip_source(tmp_path)

    def download(handle: str, path: str) -> str:
        asked.append((handle, path))
        return str(local)

    monkeypatch.setattr(kagglehub, "competition_download", download)
    path = fetch_dsb2018("kaggle", tmp_path / "data")
    assert asked == [("data-science-bowl-2018", "stage1_train.zip")]
    assert file_sha256(path) == packed_sha256(tmp_path, FILES)


REMEDY = r"~/\.kaggle/kaggle\.json.*KAGGLE_USERNAME and KAGGLE_KEY.*accept the rules at https://www\.kaggle\.com/comp"
KAGGLE_FAILURES = [
    ("no credentials", UnauthenticatedError(), r"needs valid credentials.*" + REMEDY),
    ("broken credentials", ValueError("Invalid Kaggle credentials file"), r"needs valid credentials.*" + REMEDY),
    (
        "rules not accepted",
        KaggleApiHTTPError("403 Client Error.\n\nYou have no permission"),
        r"refuses.*403.*" + REMEDY,
    ),
    ("offline", requests.ConnectionError("refused"), r"cannot be read: refused\. Try again, or download the zip"),
]


@pytest.mark.parametrize(("failure", "says"), [c[1:] for c in KAGGLE_FAILURES], ids=[c[0] for c in KAGGLE_FAILURES])
def test_what_kaggle_refuses_comes_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, says: str
) -> None:
    def download(handle: str, path: str) -> str:
        raise failure

    monkeypatch.setattr(kagglehub, "competition_download", download)
    with pytest.raises(DataError, match=says) as caught:
        fetch_dsb2018("kaggle", tmp_path)
    assert "\n" not in str(caught.value)
    assert left_in(tmp_path) == []


def test_the_kaggle_client_without_credentials_fails_as_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "USERPROFILE", "KAGGLE_CONFIG_DIR", "KAGGLEHUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(DataError, match="needs valid credentials"):
        fetch_dsb2018("kaggle", tmp_path / "data")


@pytest.mark.slow
def test_the_real_set_from_an_archive_like_github_s_has_the_pinned_checksum(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    real = SHARED / "data" / "stage1_train.zip"
    if not real.is_file():
        pytest.skip("needs the corrected training set of the Data Science Bowl 2018: set NANONUCLEI_SHARED")
    with zipfile.ZipFile(real) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    content = github_zip(tmp_path / "github.zip", files).read_bytes()
    said: list[str] = []
    path = fetch_dsb2018("public", tmp_path / "data", url=serve(content, lengths=False).url, report=said.append)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == PUBLIC_SHA256
    assert said[-1] == (f"{path}: 664 images, 28,986 masks, 88.2 MB, sha256 cced30b606a1, the corrected public set")
