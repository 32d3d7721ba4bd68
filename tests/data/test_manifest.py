"""Manifests list paths and URLs; their images are named by the paths below the folder that holds them all."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import fsspec
import numpy as np
import pandas as pd
import pytest

from nanonuclei.data.files.reading import read_single
from nanonuclei.data.lists.manifest import is_manifest, read_manifest
from nanonuclei.data.lists.remote import content_at, list_remote
from nanonuclei.errors import DataError


@pytest.fixture
def bucket() -> str:
    files = fsspec.filesystem("memory")
    _, encoded = cv2.imencode(".png", np.eye(8, dtype=np.uint8) * 200)
    for name in ("plates/p1/a.png", "plates/p1/._a.png", "plates/p2/a.png", "plates/p2/notes.txt"):
        files.pipe_file(f"/lab/{name}", encoded.tobytes())
    yield "memory://lab"
    files.rm("/lab", recursive=True)


def test_paths_are_relative_to_the_table_and_names_to_the_folder_of_all(tmp_path: Path) -> None:
    table = tmp_path / "lists" / "manifest.csv"
    table.parent.mkdir()
    table.write_text("well,Path\nA01,plates/p1/a.png\nA02,plates/p2/a.png\nA02,plates/p2/a.png\nA03,\n", "utf-8-sig")
    root = tmp_path / "lists" / "plates"
    assert read_manifest(str(table)) == {"p1/a": root / "p1" / "a.png", "p2/a": root / "p2" / "a.png"}
    pd.read_csv(table).rename(columns={"Path": "uri"}).to_parquet(table.with_suffix(".parquet"))
    assert read_manifest(str(table.with_suffix(".parquet"))) == read_manifest(str(table))
    assert is_manifest("s3://lab/LIST.CSV")


def test_one_image_is_named_by_its_file_and_equal_names_keep_their_suffix(tmp_path: Path) -> None:
    table = tmp_path / "one.csv"
    table.write_text("file\n/data/x/a.ome.tif\n")
    assert list(read_manifest(str(table))) == ["a"]
    table.write_text("file\n/data/x/a.tif\n/data/x/a.png\ns3://lab/a.tif\n")
    assert list(read_manifest(str(table))) == ["data/x/a.tif", "data/x/a.png", "s3/lab/a"]
    table.write_text("file\n/data/x/../../y/a.tif\ns3://lab/../../b.tif\n")
    assert list(read_manifest(str(table))) == ["y/a", "s3/lab/b"]


@pytest.mark.parametrize(
    ("content", "said"),
    [("well\nA01\n", "must have a column of paths"), ("path\n", "lists? one path|must list images")],
)
def test_tables_without_paths_are_refused_with_the_remedy(tmp_path: Path, content: str, said: str) -> None:
    table = tmp_path / "m.csv"
    table.write_text(content)
    with pytest.raises(DataError, match=said):
        read_manifest(str(table))
    with pytest.raises(DataError, match="not a readable manifest"):
        read_manifest(str(tmp_path / "none.csv"))
    (tmp_path / "m.parquet").write_bytes(b"no table")
    with pytest.raises(DataError, match="not a readable manifest"):
        read_manifest(str(tmp_path / "m.parquet"))


def test_a_store_is_listed_and_read(bucket: str) -> None:
    assert list_remote(f"{bucket}/plates") == {
        "p1/a": "memory:///lab/plates/p1/a.png",
        "p2/a": "memory:///lab/plates/p2/a.png",
    }
    assert list(list_remote(f"{bucket}/**/p2/*.png")) == ["plates/p2/a"]
    assert list(list_remote(f"{bucket}/plates/p1/a.png")) == ["a"]
    assert read_single(content_at("memory://lab/plates/p1/a.png")).shape == (8, 8)
    with pytest.raises(DataError, match=r"plates/none\.png: cannot be read"):
        content_at("memory://lab/plates/none.png")
    with pytest.raises(DataError, match="holds no image"):
        list_remote(f"{bucket}/nothing/*.png")
    with pytest.raises(DataError, match="Name a path, or a URL"):
        content_at("nowhere://a.png")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("zip://x.png::/nope.zip", "cannot be opened: FileNotFoundError.*Check the URL and your rights"),
        ("reference://x", "cannot be opened: TypeError.*Check the URL and your rights"),
        ("http://[::1", "IPv6 address.*host name"),
        ("http://user@[::1]:8080/a.png", "IPv6 address.*host name"),
    ],
)
def test_a_store_that_cannot_be_opened_is_told_with_its_url(url: str, said: str) -> None:
    for use in (list_remote, content_at):
        with pytest.raises(DataError, match=f"^{re.escape(url)}.*{said}"):
            use(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://127.0.0.1:1/x.png", "memory://nowhere"])
def test_a_place_that_is_not_there_is_told_with_the_remedy(url: str) -> None:
    with pytest.raises(DataError, match=f"^{url}: cannot be found: .*or download the images and name their folder$"):
        list_remote(url)


def test_a_path_that_is_listed_twice_is_read_once_and_told(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path\na.png\n./a.png\nb.png\n")
    told: list[str] = []
    assert set(read_manifest(str(tmp_path / "list.csv"), say=told.append)) == {"a", "b"}
    (line,) = told
    assert "lists 1 path more than once, such as " in line
    assert line.endswith("a.png. Each is read once.")
