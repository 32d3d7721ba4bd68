"""The file or folder that a user names as a source."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanonuclei.data.files.source import existing_source
from nanonuclei.errors import DataError


@pytest.mark.parametrize(
    ("source", "ending"),
    [
        ("my_imges", "which does not exist. Did you mean my_images?"),
        ("lab/plate_1.zip", "which does not exist. Did you mean lab/plate_01.zip?"),
        ("pubic", "which does not exist. Did you mean public?"),
        ("somewhere/else", "which does not exist. Ask the lab"),
        ("~nobody-of-this-name/images", "which does not exist. Ask the lab"),
    ],
)
def test_missing_source_is_told_with_the_nearest_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, ending: str
) -> None:
    (tmp_path / "my_images").mkdir()
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/plate_01.zip").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        existing_source(source, "public or the path of a folder", words=("public",), hint="Ask the lab")
    assert str(caught.value).startswith(f"source must be public or the path of a folder, got {source!r}")
    assert str(caught.value).endswith(ending)


@pytest.mark.parametrize(
    ("source", "ending"),
    [
        ("https://lab:secret@host/a.zip", "https://lab:***@host/a.zip is an address. Download it first, and name what"),
        ("s3://bucket/a", "s3://bucket/a is an address. Download it first, and name what you got"),
        ("file:///home/me/a", "file:///home/me/a is an address. Leave out file://"),
    ],
)
def test_source_that_is_an_address_is_told_what_to_do(source: str, ending: str) -> None:
    with pytest.raises(DataError, match=r"^source must lie on this machine, but ") as caught:
        existing_source(source, "a folder")
    assert ending in str(caught.value)


def test_source_that_is_there_is_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "images").mkdir()
    assert existing_source("~/images", "a folder") == tmp_path / "images"
