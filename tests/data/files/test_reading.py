"""Every kind of file that people bring shows the same fourteen nuclei; what cannot be told is refused with a remedy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.data.files.synthetic import LABELS, NUCLEI, OTHER, STACK, found_nuclei, opencv, pillow, tiff

from nanonuclei.config.experiment import NormalizeConfig
from nanonuclei.data.files.axes import Choice
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
