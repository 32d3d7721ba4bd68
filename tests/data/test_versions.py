"""DVC's names of files and folders, checked against DVC itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nanonuclei.data.versions import (
    cache_folder,
    cached,
    content_md5,
    dataset_in_cache,
    dataset_md5,
    file_md5,
    folder_md5,
    listed,
    lost_from_cache,
    pinned_md5,
)
from nanonuclei.errors import DataError

DVC = """
import sys
from dvc.cli import main
sys.exit(any(main(command.split()) for command in sys.argv[1:]))
"""
"""Runs its commands one after the other: loading DVC takes longest by far."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name, text in (("b/z.txt", "1"), ("b/a.txt", "22"), ("a.txt", "333"), ("b/ä.txt", "4")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def versioned(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(data.parent)
    commands = ("init --no-scm --quiet", "config core.analytics false", "add --quiet data")
    subprocess.run([sys.executable, "-c", DVC, *commands], check=True, timeout=300)
    return data


def test_md5_of_a_file_is_that_of_its_bytes(data: Path) -> None:
    assert file_md5(data / "b" / "z.txt") == "c4ca4238a0b923820dcc509a6f75849b"
    assert content_md5(data / "b" / "z.txt") == file_md5(data / "b" / "z.txt")


def test_md5_of_a_folder_changes_with_every_byte_and_name(data: Path) -> None:
    first = folder_md5(data)
    assert len(first) == 36
    (data / "a.txt").write_text("334")
    second = folder_md5(data)
    (data / "a.txt").rename(data / "c.txt")
    assert len({first, second, folder_md5(data)}) == 3


def test_remains_of_a_fetch_do_not_count(data: Path) -> None:
    before = folder_md5(data)
    (data / "stage1_train.zip.part").write_text("half")
    (data / ".stage1_train.zip.tmp").write_text("half")
    assert folder_md5(data) == before


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing"):
        content_md5(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty"):
        folder_md5(tmp_path / "empty")


def test_simulated_images_have_no_version(tmp_path: Path) -> None:
    assert dataset_md5(tmp_path, "simulated") == ""


def test_md5s_are_those_of_dvc_and_its_cache_is_read(versioned: Path) -> None:
    pointer = versioned.with_name("data.dvc")
    recorded = yaml.safe_load(pointer.read_text())["outs"][0]["md5"]
    cache = cache_folder()
    assert folder_md5(versioned) == recorded == pinned_md5(pointer)
    assert dataset_md5(versioned, "b") == folder_md5(versioned / "b")
    assert set(listed(recorded, cache=cache)) == {"a.txt", "b/a.txt", "b/z.txt", "b/ä.txt"}
    wanted = folder_md5(versioned / "b")
    assert dataset_in_cache("b", wanted, pinned=recorded, cache=cache)
    assert not dataset_in_cache("c", wanted, pinned=recorded, cache=cache)
    assert not dataset_in_cache("b", recorded, pinned=recorded, cache=cache)
    kept = cached(listed(recorded, cache=cache)["b/a.txt"], cache=cache)
    kept.chmod(0o644)
    kept.write_text("23")
    assert not dataset_in_cache("b", wanted, pinned=recorded, cache=cache)
    assert not dataset_in_cache("b", wanted, pinned="0" * 32 + ".dir", cache=cache)
    assert lost_from_cache(recorded, cache=cache) == []
    kept.unlink()
    assert lost_from_cache(recorded, cache=cache) == ["b/a.txt"]
    assert lost_from_cache("0" * 32, cache=cache) == ["."]


def test_a_cache_that_was_moved_is_found(versioned: Path) -> None:
    assert cache_folder() == Path(".dvc/cache")
    subprocess.run([sys.executable, "-m", "dvc", "cache", "dir", "--local", "big disk"], check=True, timeout=300)
    assert cache_folder().resolve() == versioned.with_name("big disk")


@pytest.mark.parametrize("text", [None, "", "outs: []", "outs: [{path: data}]", ": :"])
def test_pointer_that_pins_nothing_gives_nothing(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "data.dvc").write_text(text)
    assert pinned_md5(tmp_path / "data.dvc") is None
