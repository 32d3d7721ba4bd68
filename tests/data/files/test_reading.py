"""Every kind of file that people bring shows the same fourteen nuclei; what cannot be told is refused with a remedy."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tests.data.files.synthetic import LABELS, NUCLEI, OTHER, found_nuclei, opencv, pillow, tiff

from nanonuclei.config.experiment import NormalizeConfig
from nanonuclei.data.files.axes import Choice
from nanonuclei.data.files.planes.contents import readings
from nanonuclei.data.files.reading import describe, iter_image_file, read_single
from nanonuclei.errors import DataError
from nanonuclei.imaging.normalize import grey_limits, normalize

PERCENTILES = NormalizeConfig(kind="percentile", low=1.0, high=99.8)
NAN = NUCLEI.astype(np.float32) * 37.5
NAN[:6, :6] = np.nan
PALETTE = np.stack([np.arange(256), np.arange(256), np.arange(256)]).astype(np.uint16) * 257

SINGLE = {
    "png": opencv(NUCLEI, ".png"),
    "16 bit png": opencv(NUCLEI.astype(np.uint16) * 16, ".png"),
    "jpeg": opencv(NUCLEI, ".jpg"),
    "bmp": opencv(NUCLEI, ".bmp"),
    "gif": pillow(NUCLEI, "GIF"),
    "webp": pillow(NUCLEI, "WEBP", lossless=True),
    "jp2": pillow(NUCLEI, "JPEG2000"),
    "palette png": pillow(NUCLEI, "PNG", "P"),
    "grey and alpha": pillow(NUCLEI, "PNG", "LA"),
    "red, green, blue and alpha": pillow(np.dstack([NUCLEI] * 3), "PNG", "RGBA"),
    "cmyk jpeg": pillow(np.dstack([NUCLEI] * 3), "JPEG", "CMYK", quality=95),
    "12 bit in 16": tiff(NUCLEI.astype(np.uint16) * 16),
    "uint32": tiff(NUCLEI.astype(np.uint32) * 1000),
    "int16 with negative values": tiff(NUCLEI.astype(np.int16) * 20 - 300),
    "int8": tiff((NUCLEI.astype(np.int16) - 128).astype(np.int8)),
    "float32 in 0..1": tiff(NUCLEI.astype(np.float32) / 255),
    "float64": tiff(NUCLEI.astype(np.float64) * 1e6),
    "float16": tiff((NUCLEI / 255).astype(np.float16)),
    "float32 with nan": tiff(NAN),
    "big endian": tiff(NUCLEI.astype(np.uint16), byteorder=">"),
    "white is zero": tiff(255 - NUCLEI, photometric="miniswhite"),
    "palette tiff": tiff(NUCLEI, photometric="palette", colormap=PALETTE),
    "rgb tiff": tiff(np.dstack([NUCLEI] * 3), photometric="rgb"),
    "planar rgb tiff": tiff(np.stack([NUCLEI] * 3), photometric="rgb", planarconfig="separate"),
    "cmyk tiff": tiff(np.dstack([255 - NUCLEI] * 3 + [0 * NUCLEI]), photometric="separated"),
    "lzw with predictor": tiff(NUCLEI, compression="lzw", predictor=True),
    "deflate in tiles": tiff(NUCLEI.astype(np.uint16), compression="deflate", predictor=True, tile=(32, 48)),
    "zstd": tiff(NUCLEI, compression="zstd"),
    "packbits": tiff(NUCLEI, compression="packbits"),
    "jpeg in tiff": tiff(NUCLEI, compression="jpeg", compressionargs={"level": 95}),
    "jpeg 2000 in tiff": tiff(NUCLEI, compression="jpeg2000"),
    "bigtiff": tiff(NUCLEI, bigtiff=True),
    "page of a stack of one": tiff(NUCLEI[None, None], ome=True, metadata={"axes": "ZCYX"}),
}


@pytest.mark.parametrize("kind", SINGLE)
def test_one_image_of_any_kind_shows_the_same_nuclei(kind: str) -> None:
    (plane,) = iter_image_file(SINGLE[kind])
    assert plane.image.shape == LABELS.shape
    assert plane.channels.shape == (1, *LABELS.shape)
    assert plane.image.dtype in (np.uint8, np.uint16, np.float32)
    assert (plane.choice, plane.suffix) == ("", "")
    shown = normalize(plane.image, grey_limits(plane.image, PERCENTILES))
    wanted = normalize(NUCLEI, grey_limits(NUCLEI, PERCENTILES))
    assert np.corrcoef(shown[..., 0].ravel(), wanted[..., 0].ravel())[0, 1] > 0.97
    assert found_nuclei(shown[..., 0]) == 14


def test_files_may_be_named_wrongly(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(SINGLE["lzw with predictor"])
    (tmp_path / "b.tif").write_bytes(SINGLE["png"])
    for name in ("a.png", "b.tif"):
        np.testing.assert_array_equal(next(iter_image_file(tmp_path / name)).image, NUCLEI)


def test_true_and_false_become_black_and_white() -> None:
    (plane,) = iter_image_file(tiff(LABELS > 0, photometric="minisblack"))
    np.testing.assert_array_equal(plane.image, np.where(LABELS > 0, 255, 0))
    assert plane.image.dtype == np.uint8


def test_colours_stay_colours_and_three_bytes_per_pixel_are_colours() -> None:
    colours = np.dstack([NUCLEI, OTHER, NUCLEI])
    for content in (
        tiff(colours, photometric="rgb"),
        tiff(colours, photometric="minisblack", planarconfig="contig"),
        opencv(colours[..., ::-1], ".png"),
        pillow(colours, "WEBP", lossless=True),
    ):
        (plane,) = iter_image_file(content)
        np.testing.assert_array_equal(plane.image, colours)
        np.testing.assert_array_equal(plane.channels, np.moveaxis(colours, -1, 0))
        assert plane.channel_names == ("red", "green", "blue")
        np.testing.assert_array_equal(next(iter_image_file(content, Choice(channel="green"))).image, OTHER)


CHANNELS = np.stack([OTHER, NUCLEI])
NAMED = {"axes": "CYX", "Channel": {"Name": ["GFP", "DAPI"]}, "PhysicalSizeX": 0.65, "PhysicalSizeY": 0.65}


def test_the_channel_of_a_nuclear_stain_is_taken_and_said() -> None:
    (plane,) = iter_image_file(tiff(CHANNELS, ome=True, metadata=NAMED))
    np.testing.assert_array_equal(plane.image, NUCLEI)
    np.testing.assert_array_equal(plane.channels, CHANNELS)
    assert plane.channel_names == ("GFP", "DAPI")
    assert plane.choice == "channel 1 (DAPI) of 2"
    assert plane.pixel_size == 0.65
    assert plane.axes == "CYX"


@pytest.mark.parametrize(
    "name", ["DAPI", "dapi-405", "Hoechst 33342", "H33342", "nuclei", "Nucleus", "H2B-mCherry", "DRAQ5"]
)
def test_names_of_nuclear_stains(name: str) -> None:
    metadata = {"axes": "CYX", "Channel": {"Name": ["actin", name]}}
    (plane,) = iter_image_file(tiff(CHANNELS, ome=True, metadata=metadata))
    assert plane.choice == f"channel 1 ({name}) of 2"


UNNAMED = {
    "two samples per pixel": (tiff(np.moveaxis(CHANNELS, 0, -1), planarconfig="contig"), "0, 1"),
    "two pages": (tiff(CHANNELS), "0, 1"),
    "imagej": (tiff(CHANNELS, imagej=True, metadata={"axes": "CYX"}), "0, 1"),
    "names of no stain": (
        tiff(CHANNELS, ome=True, metadata={"axes": "CYX", "Channel": {"Name": ["actin", "nucleolin"]}}),
        "0 actin, 1 nucleolin",
    ),
}


@pytest.mark.parametrize("kind", UNNAMED)
def test_several_channels_without_a_choice_are_listed_and_can_be_chosen(kind: str) -> None:
    content, listed = UNNAMED[kind]
    with pytest.raises(DataError, match=rf"^x: holds 2 channels, and none is chosen: {listed}\. Name one"):
        list(iter_image_file(content, name="x"))
    for number in (0, 1):
        (plane,) = iter_image_file(content, Choice(channel=number))
        np.testing.assert_array_equal(plane.image, CHANNELS[number])
        assert plane.choice.startswith(f"channel {number}")
    with pytest.raises(DataError, match="no channel 2; there are: "):
        list(iter_image_file(content, Choice(channel=2)))


STACK = np.stack([NUCLEI // 2, NUCLEI, NUCLEI // 4])


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes"),
        (b"text, and more of it", "not a readable image"),
        (b"ZISRAWFILE" + bytes(50), "a CZI file of Zeiss, which is not read. Export it as OME-TIFF"),
        (b"PK\x03\x04" + bytes(50), "a zip, which is not read"),
        (b"\n<!DOCTYPE html><title>Log in", "a web page, not an image. Download"),
        (tiff(np.ones((4, 4), np.complex64)), "pixels of type complex64"),
        (tiff(np.full((4, 4), np.nan, np.float32)), "no pixel holds a number"),
    ],
)
def test_what_is_no_image_is_refused_with_its_name(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"^a/b\.tif: .*{message}"):
        list(iter_image_file(content, name="a/b.tif"))


def test_a_missing_file_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.tif: cannot be opened: No such file"):
        next(iter_image_file(tmp_path / "none.tif"))


@pytest.mark.parametrize(
    "content",
    [tiff(STACK, imagej=True, metadata={"axes": "ZYX"}), tiff(STACK, imagej=True, metadata={"axes": "TYX"})],
)
def test_where_one_image_is_expected_stacks_and_films_are_refused(content: bytes) -> None:
    with pytest.raises(DataError, match=r"holds 3 .* where one plane is expected"):
        read_single(content)
    with pytest.raises(DataError, match=r"holds 3 .* where one plane is expected"):
        describe(content)


def test_a_hot_pixel_does_not_drown_the_nuclei_of_floats() -> None:
    values = NUCLEI.astype(np.float32)
    values[0, 0] = 1e12
    (plane,) = iter_image_file(tiff(values))
    shown = normalize(plane.image, grey_limits(plane.image, PERCENTILES))
    assert found_nuclei(shown[..., 0]) == 14


def test_what_was_read_does_not_change_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(NUCLEI))
    (plane,) = iter_image_file(path)
    path.write_bytes(bytes(path.stat().st_size))
    np.testing.assert_array_equal(plane.image, NUCLEI)
