"""Folders are listed without junk, without following links out of them, and with names that outputs can mirror."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.data.files.synthetic import NUCLEI, opencv

from nanonuclei.data.files.content import is_sound
from nanonuclei.data.files.listing import Refused, is_image, is_junk, list_files, list_images, unique_names
from nanonuclei.errors import DataError

IMAGE = opencv(NUCLEI, ".png")


def put(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(IMAGE)
    return folder


JUNK = ["._a.png", ".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/a.png", "b/__MACOSX/._a.png", "b/._c.tif"]


@pytest.mark.parametrize("name", JUNK)
def test_leftovers_of_operating_systems_are_passed_over(tmp_path: Path, name: str) -> None:
    put(tmp_path, "a.png", name)
    assert is_junk(name)
    assert list(list_images(tmp_path)) == ["a"]
    assert list_files(tmp_path) == ("a.png",)


def test_folders_of_results_below_a_folder_are_no_files_of_it(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "a-nuclei/nanonuclei.json", "a-nuclei/labels/a.png", "a-nuclei2/b.png")
    assert list_files(tmp_path) == ("a-nuclei2/b.png", "a.png")
    assert list_files(tmp_path / "a-nuclei") == ("labels/a.png", "nanonuclei.json")


def test_names_that_begin_with_a_dot_are_no_junk(tmp_path: Path) -> None:
    put(tmp_path, ".s00/images/.s00.png")
    assert list(list_images(tmp_path)) == [".s00/images/.s00"]


def test_a_plate_keeps_its_wells(tmp_path: Path) -> None:
    put(tmp_path, "A01/site1.png", "A02/site1.ome.tif", "A02/notes.txt")
    assert list_images(tmp_path) == {
        "A01/site1": tmp_path / "A01/site1.png",
        "A02/site1": tmp_path / "A02/site1.ome.tif",
    }


def test_two_files_that_would_share_a_name_keep_their_suffixes(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "A.tif", "b.png")
    assert list(list_images(tmp_path)) == ["A.tif", "a.png", "b"]


def test_no_file_takes_the_name_that_another_keeps_or_gives_to_one_of_its_planes() -> None:
    files = ["a.tif", "a.png", "a.tif.png", "b.tif", "B_t000.png", "c.tif", "c_s1.tif", "c_s1_t003.tif", "d_t000.tif"]
    whole = {file: file for file in files if file != "d_t000.tif"}
    assert unique_names(dict(zip(files, files, strict=True))) == {**whole, "d_t000": "d_t000.tif"}


def test_a_file_and_a_pattern_are_places_too(tmp_path: Path) -> None:
    put(tmp_path, "plates/p1/A01/x.ome.tif", "plates/p1/A01/y.png", "plates/p2/x.ome.tif")
    assert list(list_images(tmp_path / "plates/p1/A01/y.png")) == ["y"]
    assert list(list_images(f"{tmp_path}/plates/**/*.ome.tif")) == ["p1/A01/x", "p2/x"]
    for wrong in (tmp_path / "nowhere", f"{tmp_path}/*.jpg"):
        with pytest.raises(DataError, match=r"does not exist|holds no image"):
            list_images(wrong)


def test_a_link_that_leads_out_of_the_folder_is_refused_and_one_within_is_not(tmp_path: Path) -> None:
    folder = put(tmp_path / "in", "a.png")
    (folder / "b.png").symlink_to(folder / "a.png")
    assert list(list_images(folder)) == ["a", "b"]
    (tmp_path / "secret.png").write_bytes(IMAGE)
    (folder / "c.png").symlink_to("../secret.png")
    with pytest.raises(DataError, match=r"c\.png is a link that leads out of .*in\. Put the file itself there"):
        list_files(folder)
    refused = list_images(folder)["c"]
    assert isinstance(refused, Refused)
    assert "c.png is a link that leads out of" in refused.why


def test_suffixes_of_images() -> None:
    assert all(is_image(f"a{suffix}") for suffix in (".PNG", ".ome.tif", ".JPEG", ".gif", ".webp", ".jp2", ".bmp"))
    assert not any(is_image(name) for name in ("a.txt", "a", "a.png.zip", "__MACOSX/a.png"))


@pytest.mark.parametrize("name", ["../a.png", "a/../../b.png", "/etc/a.png", "a\nb.png", "a\udcff.png"])
def test_a_key_of_a_store_that_leads_out_of_the_results_or_breaks_tables_is_refused(name: str) -> None:
    good, refused = unique_names({"good.png": 1, name: 2}).items()
    assert good == ("good", 1)
    assert isinstance(refused[1], Refused)
    assert re.search("that leads out of the input|with control characters", refused[1].why)
    assert is_sound(refused[0])
    assert ".." not in refused[0]
    assert not refused[0].startswith("/")
    assert unique_names({"a..b.png": 1, "..c/x.png": 2}) == {"a..b": 1, "..c/x": 2}


def test_file_that_is_named_by_itself_is_an_image_by_its_name_or_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Counted on Monday")
    (tmp_path / "cut.png").write_bytes(b"\x89PNG")
    put(tmp_path, "well")
    assert list(list_images(tmp_path / "well")) == ["well"]
    assert list(list_images(tmp_path / "cut.png")) == ["cut"], "told in its row, as in a folder"
    with pytest.raises(DataError, match=r"notes\.txt must be an image, a folder or a pattern of images, but is not a"):
        list_images(tmp_path / "notes.txt")
