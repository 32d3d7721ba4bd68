"""Sources whose places, names or archives are odd: each is read, or refused in one line that names what is wrong."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import ROOT
from tests.data.files.synthetic import LABELS, NUCLEI, opencv, tiff
from tests.hostile.archives import MASKED, packed, parts

from nanonuclei.config.params import load_experiment
from nanonuclei.data.catalog import BadSample
from nanonuclei.data.files.content import is_sound
from nanonuclei.data.files.listing import Refused, list_images
from nanonuclei.errors import DataError
from nanonuclei.tasks.nanotubes.sources.fetch import fetch_tnt
from nanonuclei.tasks.nuclei.sources.dsb2018 import read_dsb2018
from nanonuclei.tasks.nuclei.sources.fetch import fetch_dsb2018
from nanonuclei.tasks.nuclei.sources.fetch_mine import fetch_mine

Fetch = Callable[[str, Path], Path]


def fetch_tubes(source: str, data: Path) -> Path:
    config = load_experiment("nanotubes", path=ROOT / "params.yaml")
    return fetch_tnt(source, data, simulated=config.data.simulated, seed=1, report=lambda _: None).path  # type: ignore


FETCHES: dict[str, Fetch] = {
    "nuclei": lambda source, data: fetch_dsb2018(source, data, report=lambda _: None).path,
    "nanotubes": fetch_tubes,
    "mine": lambda source, data: fetch_mine(source, data, report=lambda _: None).path,
}


def write(top: Path, found: dict[str, bytes]) -> Path:
    for name, content in found.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    return top


def check_refused(fetch: Fetch, source: str, data: Path, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        fetch(source, data)
    assert "\n" not in str(caught.value)
    assert "partial-" not in str(caught.value)
    assert not list(data.rglob("partial-*"))


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "a" / "images" / "z.png")


def circle(folder: Path) -> None:
    (folder / "a" / "masks" / "x.png").symlink_to("y.png")
    (folder / "a" / "masks" / "y.png").symlink_to("x.png")


def nothing(folder: Path) -> None:
    (folder / "a" / "masks" / "x.png").symlink_to("none.png")


def two_lines(folder: Path) -> None:
    (folder / "a").rename(folder / "a\nb")


def no_utf8(folder: Path) -> None:
    (folder / "a").rename(folder / os.fsdecode(b"\xff\xfe"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (pipe, r"z\.png must be a file, but is a pipe"),
        (circle, r"[xy]\.png is a link that leads back to itself"),
        (nothing, r"cannot read .*x\.png: No such file"),
        (two_lines, r"holds 'a\\nb/images/a\.png', a name with control characters"),
        (no_utf8, r"holds '\\udcff\\udcfe/images/a\.png', a name with .* not in UTF-8"),
    ],
)
def test_what_is_no_plain_file_in_a_source_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    folder = write(tmp_path / "new", parts())
    spoil(folder)
    check_refused(FETCHES["nuclei"], str(folder), tmp_path / "data", message)


@pytest.mark.parametrize("spoil", [pipe, circle, two_lines, no_utf8])
def test_images_to_work_on_are_listed_by_the_same_rules(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    folder = write(tmp_path / "new", parts())
    spoil(folder)
    write(folder, {"good.png": opencv(NUCLEI, ".png")})
    found = list_images(folder)
    assert found.pop("good") == folder / "good.png"
    refused = [place for place in found.values() if isinstance(place, Refused)]
    assert len(refused) >= 1
    assert all(re.search("must be a file|leads back to itself|control characters", place.why) for place in refused)
    assert all(map(is_sound, found))


def test_names_of_all_scripts_are_sound_and_those_that_break_lines_or_zips_are_not() -> None:
    assert all(map(is_sound, ["é ü/画像　1.png", "Bildschirmfoto 3.14\u202fPM.png", "🧬,;'\".png", "-rf", "a b"]))
    assert not any(map(is_sound, ["a\nb", "a\rb", "a\tb", "a\x00", "\x7f", "a\u2028b", "\udcff"]))


@pytest.mark.parametrize("name", list(FETCHES))
def test_a_source_that_is_no_place_is_told(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "loop").symlink_to("loop")
    for source in ("x" * 5000, "~nobody-of-this-name/x", str(tmp_path / "loop"), "a\0b"):
        check_refused(FETCHES[name], source, tmp_path / "data", "which does not exist")
    for source in (str(tmp_path / "pipe.zip"), "/dev/zero"):
        check_refused(FETCHES[name], source, tmp_path / "data", "must be a zip or a folder, but is a pipe")


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_a_damaged_entry_of_any_compression_is_named(compression: int, tmp_path: Path) -> None:
    content = bytearray(packed(parts(), compression=compression))
    first = content.find(b"PNG") if compression == zipfile.ZIP_STORED else 60
    for place in range(first, first + 40):
        content[place] ^= 0x5A
    (tmp_path / "new.zip").write_bytes(content)
    check_refused(
        FETCHES["nuclei"], str(tmp_path / "new.zip"), tmp_path / "data", r"cannot read a/images/a\.png in .*new\.zip"
    )


def test_a_name_that_differs_within_a_zip_is_refused(tmp_path: Path) -> None:
    renamed = {name.replace("a/", "é/", 1) if name.startswith("a/") else name: c for name, c in parts().items()}
    content = packed(renamed)
    place = content.find("é/".encode())
    (tmp_path / "new.zip").write_bytes(content[:place] + b"\xff\xff" + content[place + 2 :])
    check_refused(FETCHES["nuclei"], str(tmp_path / "new.zip"), tmp_path / "data", r"cannot read é/images/a\.png")


@pytest.mark.parametrize("name", ["nanotubes", "mine"])
def test_json_that_is_nested_without_end_is_no_annotation(name: str, tmp_path: Path) -> None:
    image = opencv(NUCLEI, ".png")
    folder = write(tmp_path / "new", {"images/a.png": image, "a.json": b"[" * 200_000, "a.geojson": b"[" * 200_000})
    with pytest.raises(DataError, match=r"must (say where nanotubes are|hold a corrected image)"):
        FETCHES[name](str(folder), tmp_path / "data")


ONE, TWO = (np.where(label == LABELS, 255, 0).astype(np.uint8) for label in MASKED[:2])
EMPTY = np.where(MASKED[0] == LABELS, 1, np.nan).astype(np.float32)


@pytest.mark.parametrize(
    ("masks", "problem"),
    [
        ({"x.jpg": opencv(ONE, ".jpg")}, "compressed with loss"),
        ({"x.jpg": opencv(ONE, ".jpg"), "y.jpg": opencv(TWO, ".jpg")}, "compressed with loss"),
        ({"x.tif": tiff(np.dstack([ONE] * 3), photometric="rgb", compression="jpeg")}, "compressed with loss"),
        ({"x.tif": tiff(EMPTY), "y.png": opencv(TWO, ".png")}, "must hold whole numbers from 0"),
        ({"x.tif": tiff(-ONE.astype(np.int16)), "y.png": opencv(TWO, ".png")}, "must hold whole numbers from 0"),
        (
            {"x.png": opencv(np.where(LABELS > 0, 255, 0).astype(np.uint8), ".png"), "y.png": opencv(TWO, ".png")},
            "14 separate parts",
        ),
        (
            {"x.png": opencv((LABELS * (LABELS < 5)).astype(np.uint8), ".png"), "y.png": opencv(TWO * 0 + 1, ".png")},
            "4 separate parts",
        ),
        ({"x.png": opencv(np.ascontiguousarray(ONE[:, :100].T), ".png")}, "mask has 128x100 px, its image 128x128"),
        ({"x.tif": tiff(LABELS.astype(np.complex64))}, "must hold whole numbers from 0"),
    ],
)
def test_masks_that_cannot_be_right_are_told(masks: dict[str, bytes], problem: str, tmp_path: Path) -> None:
    found = {name: content for name, content in parts().items() if not name.startswith("a/masks")}
    found |= {f"a/masks/{name}": content for name, content in masks.items()}
    (tmp_path / "new.zip").write_bytes(packed(found))
    rows = [row for row in read_dsb2018(tmp_path / "new.zip") if row.sample_id == "a"]
    assert rows
    for row in rows:
        assert isinstance(row, BadSample)
    assert any(problem in row.problem for row in rows), rows  # type: ignore[union-attr]


def test_a_name_too_long_for_a_file_is_told_before_anything_is_prepared(tmp_path: Path) -> None:
    found = {re.sub("^a/", f"{'ä' * 120}/", name): content for name, content in parts().items()}
    (tmp_path / "new.zip").write_bytes(packed(found))
    (bad,) = (row for row in read_dsb2018(tmp_path / "new.zip") if isinstance(row, BadSample))
    assert bad.problem == "a name of 240 bytes, more than 200. Shorten it"
