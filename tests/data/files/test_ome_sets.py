"""An OME-TIFF in several files is one image, whichever file is named; no other file is read for what stands in one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tests.data.files.ome_sets import LEADS, NAMES, STACK, WAYS, full, in_a_companion, in_each, in_the_first, only, put
from tests.data.files.synthetic import NUCLEI

from nanonuclei.data.contents import contents
from nanonuclei.data.files.axes import Choice
from nanonuclei.data.files.limits import ImageLimits
from nanonuclei.data.files.listing import list_images
from nanonuclei.data.files.reading import iter_image_file, read_plane
from nanonuclei.data.lists.manifest import read_manifest
from nanonuclei.data.lists.remote import state_of
from nanonuclei.errors import DataError
from nanonuclei.stages.predict.large.windows import large_images

TOLD = "channel 1 (DAPI) of 2, maximum over 2 focal planes, planes of 2 files"


@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "tile": (32, 32)}])
@pytest.mark.parametrize("by", [0, 1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_all_planes_are_read_whichever_file_is_named(tmp_path: Path, way: str, by: int, options: dict) -> None:
    WAYS[way](tmp_path, by=by, **options)
    for name in {*NAMES, LEADS[way]}:
        planes = list(iter_image_file(tmp_path / name))
        assert [(plane.time, plane.choice, plane.num_images) for plane in planes] == [(0, TOLD, 2), (1, TOLD, 2)]
        for time, plane in enumerate(planes):
            np.testing.assert_array_equal(plane.channels, STACK[time].max(axis=0))
            np.testing.assert_array_equal(plane.image, NUCLEI + 5 * time)
            assert (plane.channel_names, plane.pixel_size) == (("GFP", "DAPI"), 0.5)


@pytest.mark.parametrize("way", WAYS)
def test_a_set_is_listed_once(tmp_path: Path, way: str) -> None:
    WAYS[way](tmp_path / "in" / "a")
    WAYS[way](tmp_path / "in" / "b")
    tifffile.imwrite(tmp_path / "in" / "single.ome.tif", NUCLEI)
    stem = "img" if way == "companion" else "img_MMStack_Pos0"
    found = {
        f"a/{stem}": tmp_path / "in" / "a" / LEADS[way],
        f"b/{stem}": tmp_path / "in" / "b" / LEADS[way],
        "single": tmp_path / "in" / "single.ome.tif",
    }
    assert list_images(tmp_path / "in") == found
    assert list(list_images(tmp_path / "in" / "a" / NAMES[1])) == ["img_MMStack_Pos0_1"]
    assert list(list_images(str(tmp_path / "in" / "*" / "*_1.ome.tif"))) == [
        f"{one}/img_MMStack_Pos0_1" for one in "ab"
    ]
    listed = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.ome*"))
    (tmp_path / "all.csv").write_text("\n".join(["path", *map(str, listed)]))
    assert read_manifest(str(tmp_path / "all.csv")) == found


def test_files_without_ome_in_their_names_are_a_set_too(tmp_path: Path) -> None:
    names, planes = ("f0.tif", "f1.tif"), STACK.reshape(2, -1, 128, 128)
    for number, name in enumerate(names):
        put(tmp_path / name, planes[number], only(f"urn:uuid:{number}", "w.companion.ome"))
    (tmp_path / "w.companion.ome").write_text(full("urn:uuid:9", names))
    put(tmp_path / "alone.tif", planes[0], "no metadata of OME")
    assert list_images(tmp_path) == {"alone": tmp_path / "alone.tif", "w": tmp_path / "w.companion.ome"}
    assert [plane.choice for plane in iter_image_file(tmp_path / "f1.tif")] == [TOLD, TOLD]


@pytest.mark.parametrize("way", WAYS)
def test_a_missing_file_is_told_by_its_name_in_one_row(tmp_path: Path, way: str) -> None:
    WAYS[way](tmp_path)
    (tmp_path / NAMES[1]).unlink()
    ((_, path),) = list_images(tmp_path).items()
    with pytest.raises(DataError, match=r"it is an image in 2 files, of which img_MMStack_Pos0_1\.ome\.tif is missing"):
        list(iter_image_file(path))


def test_metadata_that_are_missing_are_told_in_one_row(tmp_path: Path) -> None:
    in_a_companion(tmp_path)
    (tmp_path / "img.companion.ome").unlink()
    ((_, path),) = list_images(tmp_path).items()
    with pytest.raises(DataError, match=r"its metadata are in img\.companion\.ome, which is missing\. Put all files"):
        list(iter_image_file(path))


@pytest.mark.parametrize(
    "name", ["../secret.ome.tif", "/etc/passwd", "sub/secret.ome.tif", "..", "a\\b.ome.tif", "link.ome.tif"]
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("secret.ome.tif", "in/sub/secret.ome.tif"):
        put(tmp_path / place, STACK[1].reshape(-1, 128, 128), only("urn:uuid:1", "x"))
    (tmp_path / "in" / "link.ome.tif").symlink_to(tmp_path / "secret.ome.tif")
    first = STACK[0].reshape(-1, 128, 128)
    put(tmp_path / "in" / "a.ome.tif", first, full("urn:uuid:0", ("a.ome.tif", name)))
    put(tmp_path / "in" / "b.ome.tif", first, only("urn:uuid:0", name))
    (tmp_path / "in" / "c.companion.ome").write_text(full("urn:uuid:9", ("a.ome.tif", name)))
    opened = []
    real = tifffile.FileHandle.open
    monkeypatch.setattr(tifffile.FileHandle, "open", lambda self: (opened.append(self._file), real(self)))
    assert {"a", "b", "c"} <= set(list_images(tmp_path / "in"))
    assert all(Path(place).resolve().is_relative_to(tmp_path / "in") for place in opened)
    opened.clear()
    for file in ("a.ome.tif", "b.ome.tif", "c.companion.ome"):
        with pytest.raises(DataError, match=r"which is no name of a file beside it|is a link that leads out of"):
            list(iter_image_file(tmp_path / "in" / file))
    assert {Path(place).name for place in opened} <= {"a.ome.tif", "b.ome.tif"}


def test_names_within_a_second_file_are_not_followed(tmp_path: Path) -> None:
    in_each(tmp_path)
    tail = STACK[1].reshape(-1, 128, 128)
    put(tmp_path / NAMES[1], tail, full("urn:uuid:1", (NAMES[0], "../secret.ome.tif")))
    assert len(list(iter_image_file(tmp_path / NAMES[0]))) == 2


def test_a_file_of_another_image_under_the_name_is_not_taken(tmp_path: Path) -> None:
    in_the_first(tmp_path)
    put(tmp_path / NAMES[1], STACK[1].reshape(-1, 128, 128), only("urn:uuid:7", NAMES[0]))
    with pytest.raises(DataError, match=r"Pos0_1\.ome\.tif is another one of this name\. Copy it again"):
        list(iter_image_file(tmp_path / NAMES[0]))


def test_an_image_that_another_names_as_its_part_stays_an_image(tmp_path: Path) -> None:
    whole = STACK.reshape(-1, 128, 128)
    put(tmp_path / "own.ome.tif", whole, full("urn:uuid:5", ("own.ome.tif", "own.ome.tif")))
    put(tmp_path / "a.ome.tif", whole[:4], full("urn:uuid:0", ("a.ome.tif", "own.ome.tif")))
    put(tmp_path / "b.ome.tif", whole[:4], full("urn:uuid:1", ("own.ome.tif", "b.ome.tif")))
    assert set(list_images(tmp_path)) == {"own", "a", "b"}


def test_a_copy_that_holds_all_planes_is_whole_whatever_it_names(tmp_path: Path) -> None:
    put(tmp_path / "copy.ome.tif", STACK.reshape(-1, 128, 128), full("urn:uuid:0"))
    with tifffile.TiffWriter(tmp_path / "rgb.ome.tif") as writer:
        text = full("urn:uuid:3", ("gone.ome.tif",) * 2, STACK[:1, :1])
        text = text.replace('Name="GFP"', 'SamplesPerPixel="3"').replace('<Channel ID="Channel:0:1" Name="DAPI"/>', "")
        text = text.replace('SizeC="2"', 'SizeC="3"')
        writer.write(np.dstack([NUCLEI] * 3), photometric="rgb", description=text, metadata=None)
    assert set(list_images(tmp_path)) == {"copy", "rgb"}
    assert len(list(iter_image_file(tmp_path / "rgb.ome.tif"))) == 1
    assert contents(tmp_path / "copy.ome.tif", name="copy")[0].height == 128


def test_positions_of_one_recording_are_images_of_one_set(tmp_path: Path) -> None:
    names = ("p0.ome.tif", "p1.ome.tif")
    one = full("urn:uuid:0", (names[0],) * 2)
    start, end = one.index("<Image"), one.index("</OME>")
    other = one[start:end].replace(names[0], names[1]).replace("urn:uuid:1", "urn:uuid:0").replace("Image:0", "Image:1")
    text = one[:end].replace("urn:uuid:1", "urn:uuid:0") + other.replace("urn:uuid:0", "urn:uuid:1") + "</OME>"
    for number, name in enumerate(names):
        planes = (STACK + np.uint8(20 * number)).reshape(-1, 128, 128)
        # A file holds both times: the pages of the second follow those of the first.
        put(tmp_path / name, planes, only("urn:uuid:1", names[0]) if number else _paged(text))
    ((_, path),) = list_images(tmp_path).items()
    planes = list(iter_image_file(path))
    assert [(plane.scene, plane.time, plane.num_images) for plane in planes] == [
        (scene, time, 4) for scene in range(2) for time in range(2)
    ]
    np.testing.assert_array_equal(planes[3].image, NUCLEI + 25)


def _paged(text: str) -> str:
    """Numbers the pages of times after each other, where both are in one file."""
    for page in range(4):
        text = text.replace(f'IFD="{page}" PlaneCount="1" FirstT="1"', f'IFD="{page + 4}" PlaneCount="1" FirstT="1"')
    return text


def test_files_of_other_sizes_do_not_make_one_image(tmp_path: Path) -> None:
    in_the_first(tmp_path)
    put(tmp_path / NAMES[1], STACK[1].reshape(-1, 128, 128)[:, :64], only("urn:uuid:1", NAMES[0]))
    with pytest.raises(DataError, match=r"planes of one size and kind, but img_MMStack_Pos0_1\.ome\.tif holds others"):
        list(iter_image_file(tmp_path / NAMES[0]))


def test_a_second_file_that_is_cut_short_is_told(tmp_path: Path) -> None:
    in_each(tmp_path)
    content = (tmp_path / NAMES[1]).read_bytes()
    put(tmp_path / NAMES[1], STACK[1].reshape(-1, 128, 128)[:2], only("urn:uuid:1", NAMES[0]))
    with pytest.raises(DataError, match="a page of the image is missing"):
        list(iter_image_file(tmp_path / NAMES[0]))
    (tmp_path / NAMES[1]).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut short|is missing"):
        list(iter_image_file(tmp_path / NAMES[0]))
    (tmp_path / NAMES[1]).write_bytes(b"no TIFF")
    with pytest.raises(DataError, match=r"of which img_MMStack_Pos0_1\.ome\.tif is no readable TIFF\. Copy it again"):
        list(iter_image_file(tmp_path / NAMES[0]))


def test_a_change_of_any_file_is_seen(tmp_path: Path) -> None:
    in_a_companion(tmp_path)
    files = [tmp_path / name for name in ("img.companion.ome", *NAMES)]
    states = {state_of(file) for file in files}
    assert len(states) == 1
    for file in files:
        before, stamp = state_of(files[0]), file.stat().st_mtime_ns
        content = bytearray(file.read_bytes())
        file.write_bytes(content)
        os.utime(file, ns=(stamp, stamp - 10**9))
        assert state_of(files[0]) != before


def test_bytes_of_one_file_are_read_alone_and_that_is_said(tmp_path: Path) -> None:
    in_the_first(tmp_path, by=2)
    for number, name in enumerate(NAMES):
        planes = list(iter_image_file((tmp_path / name).read_bytes(), Choice(axes="TYX")))
        assert len(planes) == 4
        assert planes[0].choice.endswith("one file of an image in several, read alone")
        np.testing.assert_array_equal(planes[1].image, STACK[0, 1, number])


def test_one_plane_and_windows_are_read_of_a_set(tmp_path: Path) -> None:
    in_a_companion(tmp_path, compression="zlib", tile=(32, 32))
    path = tmp_path / "img.companion.ome"
    (told,) = contents(path, name="img")
    assert (told.channel_names, told.num_planes, told.num_times) == (("GFP", "DAPI"), 2, 2)
    plane = read_plane(path, Choice(z=0), at=(0, 1), name="img")
    np.testing.assert_array_equal(plane.image, STACK[1, 0, 1])
    large = large_images(path, Choice(), most=100)
    assert [one.suffix for one in large] == ["_t000", "_t001"]
    with large[1].opened() as windows:
        np.testing.assert_array_equal(windows.image((10, 20, 90, 100)), (NUCLEI + 5)[10:90, 20:100])


def test_limits_count_the_files_of_a_set(tmp_path: Path) -> None:
    in_each(tmp_path)
    with pytest.raises(DataError, match="more than the 4 that are looked at"):
        list(iter_image_file(tmp_path / NAMES[0], limits=ImageLimits(num_pages=4)))
