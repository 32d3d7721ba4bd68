"""Planes of image files as microscopes and programs write them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from nanonuclei.data.archives import content_of, open_files, write_zip
from nanonuclei.data.files.listing import is_image
from nanonuclei.data.files.planes.channels import NUCLEAR_STAINS, UnchosenChannelError, channel_index
from nanonuclei.data.files.planes.unsaid import MAX_UNNAMED
from nanonuclei.data.files.reading import Channels, read_channels, read_values, stem
from nanonuclei.errors import DataError

SHAPE = (37, 53)


def noise(*shape: int, dtype: type = np.uint16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape).astype(dtype)


TWO = noise(2, *SHAPE)
COLOUR = noise(*SHAPE, 3, dtype=np.uint8)


def planes(folder: Path, name: str, *channels: int | str) -> Channels:
    with open_files(folder) as files:
        return read_channels(content_of(files, name), channels)


def write_ome(path: Path, image: np.ndarray = TWO, **metadata: object) -> None:
    names = {"axes": "CYX", "Channel": {"Name": ["membrane", "nuclei"]}, **metadata}
    tifffile.imwrite(path, image, ome=True, metadata=names, photometric="minisblack")


def test_channels_of_ome_are_found_by_name_and_index(tmp_path):
    write_ome(tmp_path / "a.ome.tif", PhysicalSizeX=0.65, PhysicalSizeY=0.65)
    found = planes(tmp_path, "a.ome.tif", "nuclei", 0, "Membrane")
    np.testing.assert_array_equal(found.images[0], TWO[1])
    np.testing.assert_array_equal(found.images[1], TWO[0])
    np.testing.assert_array_equal(found.images[2], TWO[0])
    assert found.pixel_size == 0.65


@pytest.mark.parametrize(
    ("height", "width", "unit", "expected"),
    [
        (0.5, 0.5, "um", 0.5),
        (500.0, 500.0, "nm", 0.5),
        (0.0005, 0.0005, "mm", 0.5),
        (0.5, 0.7, "um", None),  # not square
        (5000.0, 5000.0, "um", None),  # not plausible
        (1.0, 1.0, "pixel", None),
    ],
)
def test_sizes_of_pixels_by_ome(tmp_path, height, width, unit, expected):
    sizes = {"PhysicalSizeY": height, "PhysicalSizeX": width, "PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    write_ome(tmp_path / "a.tif", **sizes)
    assert planes(tmp_path, "a.tif", 0).pixel_size == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
def test_channels_and_pixel_size_of_imagej(tmp_path, unit):
    metadata = {"axes": "CYX", "unit": unit, "Labels": ["actin", "dapi"]}
    tifffile.imwrite(tmp_path / "a.tif", TWO, imagej=True, resolution=(4.0, 4.0), metadata=metadata)
    found = planes(tmp_path, "a.tif", "dapi")
    np.testing.assert_array_equal(found.images[0], TWO[1])
    assert found.pixel_size == 0.25


@pytest.mark.parametrize(("unit", "expected"), [("CENTIMETER", 0.5), ("INCH", None), ("NONE", None)])
def test_only_resolutions_in_centimetres_are_believed(tmp_path, unit, expected):
    tifffile.imwrite(tmp_path / "a.tif", TWO[0], resolution=(20_000, 20_000), resolutionunit=unit)
    assert planes(tmp_path, "a.tif", 0).pixel_size == expected


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tile": (16, 16)},
        {"rowsperstrip": 5},
        {"compression": "zlib"},
        {"compression": "zlib", "tile": (16, 16), "predictor": True},
        {"bigtiff": True},
        {"byteorder": ">"},
    ],
)
def test_layouts_of_tiff_are_read_from_folders_and_zips(tmp_path, options):
    folder = tmp_path / "folder"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", TWO[0], **options)
    tifffile.imwrite(folder / "b.tif", COLOUR, photometric="rgb", **options)
    with open_files(folder) as files:
        write_zip(tmp_path / "a.zip", [(name, files.read(name)) for name in files.names])
    for place in (folder, tmp_path / "a.zip"):
        np.testing.assert_array_equal(planes(place, "a.tif", 0).images[0], TWO[0])
        np.testing.assert_array_equal(planes(place, "b.tif", "green").images[0], COLOUR[..., 1])


@pytest.mark.parametrize(
    "name",
    [
        *("DAPI", "dapi-405", "Hoechst 33342", "H33342", "H2B-GFP", "Histone H3", "DRAQ5", "SYTOX Green", "DNA"),
        *("nucleus", "Nuclei", "NUCLEI", "Nuclear", "cell nuclei", "CellNuclei", "nuclei2", "nuclei_405", "1:nuclei"),
        *(
            "nuc",
            "Nuc",
            "NUC",
            "nuc1",
            "nuc_405",
            "nuc 405",
            "nucs",
            "cell_nuc",
            "nucl",
            "nucleo",
            "nucleos",
            "405/nuc",
        ),
        *("NucBlue", "nucblue", "NUCRED", "NucGreen", "NucSpot 470", "NucMarker", "nuclear envelope", "anti-nuclear"),
    ],
)
def test_channels_named_after_nuclei_or_their_stains_are_taken(name: str) -> None:
    assert channel_index(["actin", name, "other"], None, stains=NUCLEAR_STAINS) == 1


@pytest.mark.parametrize(
    "name",
    [
        *(
            "non-nuclear actin",
            "nonnuclear",
            "non nuclear",
            "not_nuclear",
            "no nuclei",
            "extranuclear",
            "extra-nuclear",
        ),
        *("perinuclear ER", "peri-nuclear", "cytonuclear", "mononuclear cells", "multinuclear", "binuclear"),
        *("NucleoSpin RNA", "nucleolin", "Nucleoli", "nucleolus", "NUCLEOPHOSMIN", "nucleoplasm", "nucleocapsid"),
        *("nucleotide", "nucleic acid", "nuclease", "enucleated", "NucView 488", "nucleostemin", "actin", "eunuch", ""),
    ],
)
def test_other_channels_are_not_taken_for_nuclei(name: str) -> None:
    with pytest.raises(UnchosenChannelError):
        channel_index([name, "405"], None, stains=NUCLEAR_STAINS)


def test_colours_kept_plane_by_plane_are_found(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(COLOUR, -1, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(planes(tmp_path, "a.tif", "blue").images[0], COLOUR[..., 2])


def test_lzw_of_one_or_several_pages_is_read(tmp_path):
    pages = [PillowImage.fromarray(page) for page in TWO]
    pages[0].save(tmp_path / "a.tif", compression="tiff_lzw", save_all=True, append_images=pages[1:])
    PillowImage.fromarray(COLOUR).save(tmp_path / "b.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(planes(tmp_path, "a.tif", 1).images[0], TWO[1])
    np.testing.assert_array_equal(planes(tmp_path, "b.tif", "red", "blue").images[1], COLOUR[..., 2])


def test_png_and_jpeg_have_grey_or_colours(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), TWO[0])
    cv2.imwrite(str(tmp_path / "b.png"), COLOUR[..., ::-1])
    cv2.imwrite(str(tmp_path / "c.jpg"), np.full((*SHAPE, 3), (10, 100, 200), np.uint8) * (np.arange(53) > 20)[:, None])
    np.testing.assert_array_equal(planes(tmp_path, "a.png", 0).images[0], TWO[0])
    np.testing.assert_array_equal(planes(tmp_path, "a.png", "grey").images[0], TWO[0])
    np.testing.assert_array_equal(planes(tmp_path, "b.png", "red").images[0], COLOUR[..., 0])
    grey = COLOUR.astype(np.float64) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(planes(tmp_path, "b.png", "grey").images[0], grey, atol=1.0)
    np.testing.assert_array_equal(planes(tmp_path, "b.png", "brightest").images[0], COLOUR.max(axis=-1))
    np.testing.assert_array_equal(planes(tmp_path, "a.png", "brightest").images[0], TWO[0])
    assert abs(int(planes(tmp_path, "c.jpg", "red").images[0][5, 40]) - 200) < 6


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.float32([[0.0, 0.5], [0.25, 1.0]]), [[0, 32768], [16384, 65535]]),
        (np.float32([[0.0, 300.0], [2.0, 40_000.0]]), [[0, 300], [2, 40_000]]),
        (np.float32([[-1.0, 1.0], [0.0, 0.0]]), [[0, 65535], [32768, 32768]]),
        (np.int16([[-5, 5], [0, 0]]), [[0, 65535], [32768, 32768]]),
        (np.uint32([[0, 70_000], [35_000, 0]]), [[0, 65535], [32768, 0]]),
        (np.uint32([[0, 7000], [3500, 0]]), [[0, 7000], [3500, 0]]),
        (np.float32([[np.nan, 300.0], [2.0, np.inf]]), [[2, 300], [2, 300]]),
    ],
)
def test_numbers_of_other_types_become_16_bit(tmp_path, values, expected):
    tifffile.imwrite(tmp_path / "a.tif", values)
    image = planes(tmp_path, "a.tif", 0).images[0]
    assert image.dtype == np.uint16
    assert image.tolist() == expected


def nan() -> np.ndarray:
    values = np.ones(SHAPE, np.float32)
    values[3, 4:6] = np.nan
    return values


@pytest.mark.parametrize(
    ("image", "channel", "message"),
    [
        (np.zeros(SHAPE, np.uint8), 0, r"shows nothing: all black\. Leave it out, or choose another channel"),
        (np.full(SHAPE, 7, np.uint16), 0, "shows nothing: every pixel is 7"),
        (nan() * np.nan, 0, r"no pixel holds a number, all are NaN or infinite\. Save it again"),
        (TWO[0], 1, r"no channel 1; there are: 0 grey\. Change data\.channels"),
        (TWO[0], "actin", r"no channel 'actin'; there are: 0 grey"),
        (noise(MAX_UNNAMED + 1, *SHAPE), 0, r"holds 9 planes, and nothing in it says that they are channels"),
        (TWO.astype(np.complex64)[0], 0, "pixels of type complex64"),
    ],
)
def test_tiffs_that_cannot_be_used_are_refused_with_a_remedy(tmp_path, image, channel, message):
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack")
    with pytest.raises(DataError, match=message):
        planes(tmp_path, "a.tif", channel)


@pytest.mark.parametrize(("axes", "word"), [("ZYX", "focal planes"), ("TYX", "times")])
def test_stacks_and_films_are_refused(tmp_path, axes, word):
    tifffile.imwrite(tmp_path / "a.tif", TWO, ome=True, metadata={"axes": axes}, photometric="minisblack")
    with pytest.raises(DataError, match=f"holds 2 {word} where one plane is expected"):
        planes(tmp_path, "a.tif", 0)


def test_an_unreadable_compression_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", TWO[0], compression="zlib")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        offset = tiff.pages.first.tags["Compression"].valueoffset
    content[offset : offset + 2] = (34661).to_bytes(2, "little")  # JBIG
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(DataError, match=r"compression JBIG of the TIFF cannot be read\. Save it"):
        planes(tmp_path, "a.tif", 0)


@pytest.mark.parametrize("length", [0, 3, 8, 100, 500])
@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg"])
def test_files_that_are_cut_short_are_refused(tmp_path, name, length):
    cv2.imwrite(str(tmp_path / name), TWO[0] if name != "a.jpg" else COLOUR)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:length])
    with pytest.raises(DataError, match=r"not a readable|Save it again|shows nothing"):
        planes(tmp_path, name, 0)


def test_values_of_masks_are_left_as_they_are(tmp_path):
    labels = (np.arange(37 * 53).reshape(SHAPE) % 5).astype(np.int32)
    tifffile.imwrite(tmp_path / "a.tif", labels)
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros(SHAPE, np.uint8))
    cv2.imwrite(str(tmp_path / "c.png"), COLOUR)
    with open_files(tmp_path) as files:
        np.testing.assert_array_equal(read_values(content_of(files, "a.tif")), labels)
        assert not read_values(content_of(files, "b.png")).any()
        assert read_values(content_of(files, "c.png")).shape == (*SHAPE, 3)


@pytest.mark.parametrize("interleaved", [True, False])
def test_one_channel_of_a_stitched_image_is_read_without_the_others(tmp_path, interleaved):
    side = 1200
    image = np.broadcast_to(np.arange(side, dtype=np.uint16), (3, side, side))
    if interleaved:
        tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(image, 0, -1), photometric="rgb")
    else:
        tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", metadata={"axes": "CYX"}, ome=True)
    tracemalloc.start()
    planes(tmp_path, "a.tif", 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * side * side * 2


@pytest.mark.parametrize(("name", "expected"), [("x/a.ome.tif", "a"), ("b.TIFF", "b"), ("c.1.png", "c.1")])
def test_names_lose_folder_and_suffix(name, expected):
    assert stem(name) == expected
    assert is_image(name)
    assert not is_image("notes.txt")
