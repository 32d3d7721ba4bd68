"""Focal planes, times and recordings of a file, and pages of which it does not say what they are."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tests.data.files.synthetic import LABELS, NUCLEI, OTHER, STACK, found_nuclei, pillow, tiff

from nanonuclei.data.contents import readings
from nanonuclei.data.files.axes import Choice
from nanonuclei.data.files.reading import iter_image_file
from nanonuclei.errors import DataError


@pytest.mark.parametrize(
    ("z", "wanted", "said"),
    [
        ("max", NUCLEI, "maximum over 3 focal planes"),
        ("mean", np.rint(STACK.mean(axis=0)), "mean over 3 focal planes"),
        (2, NUCLEI // 4, "focal plane 2 of 3"),
    ],
)
def test_focal_planes_are_projected_or_chosen(z: int | str, wanted: np.ndarray, said: str) -> None:
    content = tiff(STACK, imagej=True, metadata={"axes": "ZYX", "unit": "um"}, resolution=(2.0, 2.0))
    (plane,) = iter_image_file(content, Choice(z=z))
    np.testing.assert_array_equal(plane.image, wanted)
    assert (plane.choice, plane.pixel_size, plane.axes) == (said, 0.5, "ZYX")


def test_times_of_a_hyperstack_are_one_result_each() -> None:
    values = np.zeros((3, 2, 2, 128, 128), np.uint16)  # T, Z, C, Y, X
    for time in range(3):
        values[time, :, 1] = np.stack([NUCLEI, NUCLEI // 2]).astype(np.uint16) * (time + 1)
        values[time, :, 0] = OTHER
    content = tiff(values, imagej=True)
    found = list(iter_image_file(content, Choice(channel=1)))
    assert [plane.suffix for plane in found] == ["_t000", "_t001", "_t002"]
    for time, plane in enumerate(found):
        np.testing.assert_array_equal(plane.image, NUCLEI.astype(np.uint16) * (time + 1))
        np.testing.assert_array_equal(plane.channels[0], OTHER)
        assert plane.choice == "channel 1 of 2, maximum over 2 focal planes"
        assert (plane.time, plane.axes) == (time, "TZCYX")


def test_frames_of_an_animation_are_times() -> None:
    from PIL import Image as Pillow

    frames = [Pillow.fromarray(NUCLEI), Pillow.fromarray(NUCLEI[::-1])]
    content = pillow(NUCLEI, "GIF", save_all=True, append_images=frames[1:])
    found = list(iter_image_file(content))
    assert [plane.time for plane in found] == [0, 1]
    assert found_nuclei(found[0].image) == 14
    assert found_nuclei(found[1].image, LABELS[::-1]) == 14


def test_each_frame_of_an_animation_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import GifImagePlugin
    from PIL import Image as Pillow

    content = pillow(NUCLEI, "GIF", save_all=True, append_images=[Pillow.fromarray(NUCLEI[::-1])] * 2 * 9)
    num = Pillow.open(io.BytesIO(content)).n_frames
    decoded: list[int] = []
    real = GifImagePlugin.GifImageFile.load_prepare
    monkeypatch.setattr(
        GifImagePlugin.GifImageFile, "load_prepare", lambda self: (decoded.append(self.tell()), real(self))[1]
    )
    assert len(list(iter_image_file(content))) == num
    assert len(decoded) <= 2 * num


def test_scenes_are_one_result_each(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for size, image in ((0.5, NUCLEI), (0.25, NUCLEI[:100])):
            metadata = {"axes": "YX", "PhysicalSizeX": size, "PhysicalSizeY": size}
            writer.write(image, photometric="minisblack", metadata=metadata)
    found = list(iter_image_file(tmp_path / "a.ome.tif"))
    assert [(plane.suffix, plane.image.shape, plane.pixel_size) for plane in found] == [
        ("_s0", (128, 128), 0.5),
        ("_s1", (100, 128), 0.25),
    ]


def test_thumbnails_and_smaller_copies_are_passed_over(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(NUCLEI, photometric="minisblack", subifds=1)
        writer.write(NUCLEI[::2, ::2], photometric="minisblack", subfiletype=1)
        writer.write(NUCLEI[::4, ::4], photometric="minisblack", subfiletype=1)
    (plane,) = iter_image_file(tmp_path / "a.tif")
    np.testing.assert_array_equal(plane.image, NUCLEI)


def test_many_planes_without_a_meaning_are_refused_until_the_axes_are_told() -> None:
    content = tiff(np.stack([NUCLEI] * 9), metadata=None)
    with pytest.raises(DataError, match=r"holds 9 planes, and nothing in it says .* `-P axes=ZYX`.* Stack to Hyper"):
        list(iter_image_file(content))
    (plane,) = iter_image_file(content, Choice(axes="ZYX"))
    np.testing.assert_array_equal(plane.image, NUCLEI)
    assert len(list(iter_image_file(content, Choice(axes="tyx")))) == 9


def test_colour_pages_without_a_meaning_are_refused_with_axes_that_can_be_told() -> None:
    content = tiff(np.stack([np.dstack([NUCLEI, NUCLEI // 2, NUCLEI])] * 3), photometric="rgb", metadata=None)
    with pytest.raises(DataError, match="Say it to predict, as `-P axes=ZYXS`"):
        list(iter_image_file(content))
    (plane,) = iter_image_file(content, Choice(axes="ZYXS"))
    assert plane.choice == "maximum over 3 focal planes"


@pytest.mark.parametrize("num", [2, 8])
def test_few_pages_without_a_meaning_are_channels_and_said_to_be(num: int) -> None:
    content = tiff(np.stack([NUCLEI] * num), metadata=None)
    said = (
        f"{num} pages, of which the file does not say what they are, taken for channels (`-P axes=ZYX` for focal planes"
    )
    (plane,) = iter_image_file(content, Choice(channel=1))
    assert plane.choice.startswith(f"channel 1 of {num}, {said}")
    for wrong in (Choice(), Choice(channel="DAPI"), Choice(channel=0, z=1)):
        with pytest.raises(DataError, match=re.escape(said)):
            list(iter_image_file(content, wrong))
    (plane,) = iter_image_file(content, Choice(axes="ZYX"))
    assert plane.choice == f"maximum over {num} focal planes"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (tiff(np.stack([NUCLEI] * 3), metadata=None), {"CYX": (3, 1, 1), "ZYX": (1, 3, 1), "TYX": (1, 1, 3)}),
        (tiff(np.stack([NUCLEI] * 9), metadata=None), {"ZYX": (1, 9, 1), "TYX": (1, 1, 9), "CYX": (9, 1, 1)}),
        (tiff(np.stack([NUCLEI] * 3), imagej=True, metadata={"axes": "ZYX"}), {None: (1, 3, 1)}),
        (tiff(NUCLEI), {None: (1, 1, 1)}),
    ],
)
def test_what_a_file_holds_is_told_for_all_axes_that_it_may_have(
    content: bytes, expected: dict[str | None, tuple[int, int, int]]
) -> None:
    held = readings(content, name="a.tif")
    assert {axes: (len(one.channel_names), one.num_planes, one.num_times) for axes, (one,) in held.items()} == expected
    assert list(held) == list(expected)


def test_planes_that_share_one_page_are_found(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack", metadata={"axes": "ZYX"}, truncate=True)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert len(file.pages) == 1
    for content in (tmp_path / "a.tif", (tmp_path / "a.tif").read_bytes()):
        np.testing.assert_array_equal(next(iter_image_file(content)).image, NUCLEI)
