"""Odd but legitimate files: layouts that microscopes and programs write, and formats that are told of and not read."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from tests.data.files.synthetic import NUCLEI, OTHER, opencv, pillow, tiff

from nanonuclei.data.files.axes import Choice
from nanonuclei.data.files.headers import FOREIGN_SUFFIXES
from nanonuclei.data.files.listing import list_images
from nanonuclei.data.files.omezarr.layout import zarr_images
from nanonuclei.data.files.reading import iter_image_file
from nanonuclei.errors import DataError

BOTH = np.stack([OTHER, NUCLEI])
LABELS = [f"c:{c}/2 z:{z}/3 - {name}" for z in (1, 2, 3) for c, name in ((1, "FITC"), (2, "DAPI"))]
STACKED = {"axes": "ZCYX", "Labels": LABELS}

SAME = {
    "axes of length 1 without a name": tiff(NUCLEI[None, None, None]),
    "big endian, tiles, BigTIFF": tiff(NUCLEI, byteorder=">", tile=(32, 32), bigtiff=True, compression="lzw"),
    "strips of one row": tiff(NUCLEI, rowsperstrip=1),
    "premultiplied alpha": tiff(np.dstack([NUCLEI] * 3 + [255 + 0 * NUCLEI]), photometric="rgb", extrasamples=(1,)),
    "interlaced GIF with a transparent colour": pillow(NUCLEI, "GIF", "P", transparency=0),
    "PNG of all transparent pixels": pillow(np.dstack([NUCLEI] * 3 + [0 * NUCLEI]), "PNG"),
    "16 bit JPEG 2000": imagecodecs.jpeg2k_encode(NUCLEI.astype(np.uint16), codecformat="jp2", level=0),
    "lossless WebP with alpha": pillow(np.dstack([NUCLEI] * 3 + [0 * NUCLEI + 9]), "WEBP", lossless=True, exact=True),
    "JPEG XL in TIFF": tiff(NUCLEI, compression="jpegxl"),
    "LERC in TIFF": tiff(NUCLEI, compression="lerc"),
}


@pytest.mark.parametrize("kind", SAME)
def test_the_pixels_are_those_that_were_written(kind: str) -> None:
    (plane,) = iter_image_file(SAME[kind])
    np.testing.assert_array_equal(plane.image, NUCLEI)


NAMED = {
    "ImageJ, a label per plane": tiff(np.stack([BOTH] * 3), imagej=True, metadata=STACKED),
    "ImageJ, a label per channel": tiff(BOTH, imagej=True, metadata={"axes": "CYX", "Labels": ["FITC", "DAPI"]}),
    "OME, the dye": tiff(BOTH, ome=True, metadata={"axes": "CYX", "Channel": {"Fluor": ["FITC", "DAPI"]}}),
}


@pytest.mark.parametrize("kind", NAMED)
def test_channels_are_named_where_programs_name_them(kind: str) -> None:
    (plane,) = iter_image_file(NAMED[kind])
    np.testing.assert_array_equal(plane.image, NUCLEI)
    assert plane.channel_names == ("FITC", "DAPI")
    assert plane.choice.startswith("channel 1 (DAPI) of 2")


@pytest.mark.parametrize("suffix", [".lsm", ".stk", ".svs", ".btf", ".QPTIFF"])
def test_files_that_build_on_tiff_are_images(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(tiff(BOTH, planarconfig="separate"))
    (path,) = list_images(tmp_path).values()
    np.testing.assert_array_equal(next(iter_image_file(path, Choice(channel=1))).image, NUCLEI)


@pytest.mark.parametrize("suffix", FOREIGN_SUFFIXES)
def test_formats_that_are_not_read_are_listed_and_say_what_to_do(tmp_path: Path, suffix: str) -> None:
    content = tiff(NUCLEI) if suffix == ".vsi" else b"\1\2\3 bytes of a camera"
    (tmp_path / f"a{suffix}").write_bytes(content)
    (path,) = list_images(tmp_path).values()
    with pytest.raises(DataError, match=rf"a\{suffix}: {FOREIGN_SUFFIXES[suffix]}, which is not read\. Export it as"):
        list(iter_image_file(path))


def test_a_wrong_name_does_not_hide_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.czi").write_bytes(opencv(NUCLEI, ".png"))
    np.testing.assert_array_equal(next(iter_image_file(tmp_path / "a.czi")).image, NUCLEI)
    (tmp_path / "b.jpg").write_bytes(imagecodecs.jpegls_encode(NUCLEI))
    with pytest.raises(DataError, match="a JPEG-LS image, which is not read"):
        list(iter_image_file(tmp_path / "b.jpg"))


def put(folder: Path, attributes: dict[str, object], *, new: bool) -> None:
    """Writes the metadata of a Zarr group."""
    folder.mkdir(parents=True, exist_ok=True)
    if new:
        tree = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": attributes}}
        (folder / "zarr.json").write_text(json.dumps(tree))
    else:
        (folder / ".zattrs").write_text(json.dumps(attributes))


@pytest.mark.parametrize("new", [False, True])
def test_a_plate_of_ome_zarr_gives_its_fields(tmp_path: Path, new: bool) -> None:
    plate = tmp_path / "in" / "p.ome.zarr"
    put(plate, {"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}, {"path": "C/3"}, {"path": "../out"}]}}, new=new)
    for well in ("A/1", "B/2"):
        put(plate / well, {"well": {"images": [{"path": "0"}, {"path": "1"}, {"path": "gone"}]}}, new=new)
        for field in "01":
            put(plate / well / field, {"multiscales": []}, new=new)
    wanted = {f"p.ome/{well}/{field}": plate / well / field for well in ("A/1", "B/2") for field in "01"}
    assert list_images(tmp_path / "in") == wanted
    assert list_images(plate) == {name.replace("p.ome", "p"): path for name, path in wanted.items()}


@pytest.mark.parametrize("new", [False, True])
def test_recordings_of_a_converter_are_one_image_each(tmp_path: Path, new: bool) -> None:
    folder = tmp_path / "a.zarr"
    put(folder, {"bioformats2raw.layout": 3}, new=new)
    for name in ("0", "1", "10", "2"):
        put(folder / name, {"multiscales": []}, new=new)
    assert list(zarr_images(folder, "a")) == ["a/0", "a/1", "a/2", "a/10"]
    put(folder / "OME", {"series": ["1", "0"]}, new=new)
    assert list(zarr_images(folder, "a")) == ["a/0", "a/1"]


def test_a_zarr_of_one_image_and_what_is_no_image_stay_one_path(tmp_path: Path) -> None:
    put(tmp_path / "a.zarr", {"multiscales": [{}], "bioformats2raw.layout": 3}, new=True)
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / ".zattrs").write_text("{")
    assert list_images(tmp_path) == {"a": tmp_path / "a.zarr", "b": tmp_path / "b.zarr"}


def test_a_plain_array_is_refused_with_a_remedy(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    zarr.save_array(str(tmp_path / "a.zarr"), NUCLEI)
    with pytest.raises(DataError, match=r"holds an array without multiscales.*Save it as OME-Zarr or TIFF"):
        list(iter_image_file(tmp_path / "a.zarr"))


def test_pyramids_in_sub_ifds_are_one_image(tmp_path: Path) -> None:
    options = {"photometric": "minisblack", "tile": (32, 32), "compression": "zlib"}
    metadata = {"axes": "CYX", "Channel": {"Name": ["GFP", "DAPI"]}, "PhysicalSizeX": 0.3, "PhysicalSizeY": 0.3}
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", bigtiff=True) as writer:
        writer.write(BOTH, subifds=2, metadata=metadata, **options)
        for step in (2, 4):
            writer.write(BOTH[:, ::step, ::step], subfiletype=1, **options)
    (plane,) = iter_image_file(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(plane.image, NUCLEI)
    assert (plane.choice, plane.pixel_size) == ("channel 1 (DAPI) of 2", 0.3)


@pytest.mark.parametrize("encode", [imagecodecs.ljpeg_encode, imagecodecs.jpeg8_encode])
def test_jpeg_of_more_than_8_bit_is_read(encode: Callable[..., bytes]) -> None:
    deep = NUCLEI.astype(np.uint16) * 16
    options = {"bitspersample": 12, "level": 100} if encode is imagecodecs.jpeg8_encode else {}
    (plane,) = iter_image_file(encode(deep, **options))
    assert np.abs(plane.image.astype(int) - deep).max() <= (20 if options else 0)


@pytest.mark.parametrize("bits", [2, 4, 10, 12, 14, 16])
def test_white_is_the_largest_value_of_the_bits_that_are_used(bits: int) -> None:
    values = (NUCLEI.astype(np.uint16) * 257 >> (16 - bits)).astype(np.uint8 if bits < 8 else np.uint16)
    content = tiff(2**bits - 1 - values, photometric="miniswhite", bitspersample=bits)
    np.testing.assert_array_equal(next(iter_image_file(content)).image, values)


COLOURED = np.dstack([NUCLEI, OTHER, NUCLEI])
TURNED = {
    "CIELab": (8, COLOURED),
    "ICCLab": (9, COLOURED),
    "LogLuv": (32845, COLOURED),
    "a colour filter": (32803, NUCLEI),
}


@pytest.mark.parametrize("kind", TURNED)
def test_numbers_that_are_no_light_are_not_taken_for_it(kind: str) -> None:
    code, values = TURNED[kind]
    content = bytearray(tiff(values, photometric="rgb" if values.ndim == 3 else "minisblack"))
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        place = file.pages.first.tags["PhotometricInterpretation"].valueoffset
    content[place : place + 2] = code.to_bytes(2, "little")
    with pytest.raises(
        DataError, match=f"x: holds its colours as {kind}, which is not read. Save it in grey or as RGB"
    ):
        list(iter_image_file(bytes(content), name="x"))


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_ycbcr_that_no_decoder_converts_is_not_taken_for_rgb(compression: str | None) -> None:
    content = pillow(COLOURED, "TIFF", "YCbCr", compression=compression)
    with pytest.raises(DataError, match="holds its colours as YCbCr without JPEG"):
        list(iter_image_file(content))
    jpeg = pillow(COLOURED, "TIFF", compression="jpeg", quality=100)
    assert np.abs(next(iter_image_file(jpeg)).image.astype(int) - COLOURED).mean() < 20


def test_an_animated_png_is_not_read_as_its_first_image() -> None:
    with io.BytesIO() as stream:
        more = [Pillow.fromarray(OTHER)]
        Pillow.fromarray(NUCLEI).save(stream, "PNG", save_all=True, append_images=more)
        content = stream.getvalue()
    with pytest.raises(DataError, match=r"holds 2 images as an animation, .* Save them as TIFF"):
        list(iter_image_file(content))
