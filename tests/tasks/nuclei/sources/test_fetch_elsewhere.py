"""From a path or from Kaggle the same bytes end up in place as from the public archive, or nothing does."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import kagglehub
import numpy as np
import pytest
import requests
from kagglehub.exceptions import KaggleApiHTTPError, UnauthenticatedError
from tests.tasks.nuclei.sources.conftest import FILES, github_zip, left_in, packed_sha256
from tests.tasks.nuclei.sources.samples import png

from nanonuclei.data.archives import file_sha256, write_zip
from nanonuclei.errors import DataError
from nanonuclei.tasks.nuclei.sources.dsb2018 import DSB2018_ARCHIVE
from nanonuclei.tasks.nuclei.sources.fetch import fetch_dsb2018


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
    path = fetch_dsb2018(str(source(tmp_path)), tmp_path / "data", report=said.append).path
    assert file_sha256(path) == packed_sha256(tmp_path, FILES)
    assert left_in(tmp_path / "data") == ["stage1_train.zip"]
    assert said[-1].endswith(f"sha256 {file_sha256(path)[:12]}, not the corrected public set")


def test_a_source_that_is_in_place_already_stays_untouched(tmp_path: Path) -> None:
    path = fetch_dsb2018(str(zip_source(tmp_path)), tmp_path / "data").path
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    said: list[str] = []
    assert fetch_dsb2018(
        str(tmp_path / "data" / ".." / "data" / DSB2018_ARCHIVE), tmp_path / "data", report=said.append
    )
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert said[0] == f"{path} is the source itself: nothing to do"
    assert said[1].startswith(f"{path}: 3 images, 3 masks")


def test_the_folder_it_lies_in_is_a_source_too(tmp_path: Path) -> None:
    path = fetch_dsb2018(str(zip_source(tmp_path)), tmp_path / "data").path
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
    path = fetch_dsb2018("kaggle", tmp_path / "data").path
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


def test_a_source_without_a_good_sample_leaves_what_was_there(tmp_path: Path) -> None:
    path = fetch_dsb2018(str(zip_source(tmp_path)), tmp_path / "data").path
    before = path.read_bytes()
    write_zip(tmp_path / "texts.zip", [("s/images/s.jpg", b"no image"), ("s/masks/s.jpg", b"no mask")])
    with pytest.raises(DataError, match=r"texts\.zip must hold a sample .*What was there is kept") as caught:
        fetch_dsb2018(str(tmp_path / "texts.zip"), tmp_path / "data")
    assert "s/images/s.jpg | not a readable image" in str(caught.value)
    assert path.read_bytes() == before
    assert left_in(tmp_path / "data") == ["stage1_train.zip"]


def test_a_source_with_a_bad_sample_is_taken_and_told(tmp_path: Path) -> None:
    files = {**FILES, "d/images/d.png": b"no image", "d/masks/d.png": b"no mask"}
    said: list[str] = []
    fetch_dsb2018(str(github_zip(tmp_path / "mine.zip", files)), tmp_path / "data", report=said.append)
    assert "2 problems in 1 sample" in said[1]
    assert said[2] == "Mend them and fetch again; data.on_bad_sample=skip goes on without them"


def test_one_mask_for_all_nuclei_needs_the_setting(tmp_path: Path) -> None:
    mask = np.zeros((48, 48), np.uint8)
    mask[2:10, 2:10] = mask[30:40, 30:40] = 255
    write_zip(tmp_path / "a.zip", [("images/a.png", FILES["a/images/a.png"]), ("masks/a.png", png(mask))])
    with pytest.raises(DataError, match=r"Set data\.masks=connected"):
        fetch_dsb2018(str(tmp_path / "a.zip"), tmp_path / "data")
    path = fetch_dsb2018(str(tmp_path / "a.zip"), tmp_path / "data", masks="connected").path
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["a/images/a.png", "a/masks/a.png"]
