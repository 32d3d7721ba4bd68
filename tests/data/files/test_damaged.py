"""Damaged, cut short and huge files are refused with a reason: never black, never a traceback, never much memory."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile
from tests.data.files.synthetic import NUCLEI, opencv, pillow, tiff

from nanonuclei.data.files import tiff_metadata
from nanonuclei.data.files.axes import Choice
from nanonuclei.data.files.limits import ImageLimits
from nanonuclei.data.files.reading import describe, iter_image_file, read_single
from nanonuclei.errors import DataError

COLOURS = np.dstack([NUCLEI, NUCLEI[::-1], NUCLEI[:, ::-1]])
FILES = {
    "png": opencv(NUCLEI, ".png"),
    "jpeg": opencv(COLOURS, ".jpg"),
    "bmp": opencv(COLOURS, ".bmp"),
    "gif": pillow(NUCLEI, "GIF"),
    "webp": pillow(COLOURS, "WEBP"),
    "jp2": pillow(NUCLEI, "JPEG2000"),
    "tiff": tiff(NUCLEI),
    "strips": tiff(NUCLEI, rowsperstrip=16, compression="lzw"),
    "tiles": tiff(NUCLEI, tile=(32, 32), compression="deflate"),
    "zstd": tiff(NUCLEI, compression="zstd"),
    "jpeg in tiff": tiff(COLOURS, photometric="rgb", compression="jpeg"),
    "jpeg 2000 in tiff": tiff(NUCLEI, compression="jpeg2000"),
    "ome": tiff(np.stack([NUCLEI] * 2), ome=True, metadata={"axes": "CYX", "Channel": {"Name": ["a", "DAPI"]}}),
    "imagej": tiff(np.stack([NUCLEI] * 3), imagej=True, metadata={"axes": "TYX"}),
}


def outcome(content: bytes) -> list[np.ndarray] | str:
    """Returns the images of a file, or why it is refused; anything but a DataError fails the test."""
    try:
        return [plane.image for plane in iter_image_file(content, name="x")]
    except DataError as error:
        said = str(error)
    assert said.startswith("x: ")
    assert "\n" not in said
    return said


@pytest.mark.parametrize("kind", FILES)
def test_files_cut_short_at_every_tenth_are_refused(kind: str) -> None:
    content = FILES[kind]
    whole = outcome(content)
    assert isinstance(whole, list)
    for tenth in range(10):
        cut = outcome(content[: len(content) * tenth // 10])
        if not isinstance(cut, str):  # nothing but metadata was cut off
            assert kind in ("ome", "imagej", "tiff", "jpeg in tiff")
            assert all(np.array_equal(mine, theirs) for mine, theirs in zip(cut, whole, strict=True))


@pytest.mark.parametrize("kind", FILES)
def test_flipped_bits_are_answered_or_refused(kind: str) -> None:
    random = np.random.default_rng(len(kind))
    for _ in range(60):
        content = bytearray(FILES[kind])
        for place in random.integers(0, min(len(content), 4000), int(random.integers(1, 6))):
            content[place] ^= 1 << int(random.integers(0, 8))
        found = outcome(bytes(content))
        if isinstance(found, list):
            assert all(image.size <= 2**28 for image in found)


def patched(content: bytes, tag: str, value: int) -> bytes:
    """Writes another value into a tag of the first page of a TIFF, also where it is longer than its field."""
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        found = file.pages.first.tags[tag]
        size = {3: 2, 4: 4}[found.dtype] * found.count
    changed = bytearray(content)
    changed[found.valueoffset : found.valueoffset + size] = value.to_bytes(size, "little")
    return bytes(changed)


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "zstd", "packbits", "jpeg", "jpeg2000"])
def test_half_a_strip_is_no_black_image(compression: str | None) -> None:
    content = tiff(NUCLEI, compression=compression)
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        num = file.pages.first.databytecounts[0]
    for value in (num // 2, num - 30, 0):
        found = outcome(patched(content, "StripByteCounts", value))
        if compression is None and value:  # the pixels are all there, whatever the tag says
            np.testing.assert_array_equal(found[0], NUCLEI)
        else:
            assert "not a readable" in str(found)


def test_an_unknown_compression_gives_no_zeros() -> None:
    said = str(outcome(patched(tiff(NUCLEI), "Compression", 61_234)))
    assert "compression" in said
    assert "cannot be read. Save it uncompressed, or with LZW or Deflate" in said


def png_bomb(height: int, width: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def tiff_bomb(height: int, width: int) -> bytes:
    """A TIFF of a few kilobytes that says it holds zeros, in one strip per row."""
    return patched(patched(tiff(np.zeros((64, 64), np.uint8)), "ImageLength", height), "ImageWidth", width)


def with_size(content: bytes, place: int, size: bytes) -> bytes:
    return content[:place] + size + content[place + len(size) :]


JP2 = FILES["jp2"]
BOMBS = {
    "png": png_bomb(65_535, 65_535),
    "tiff": tiff_bomb(30_000, 30_000),
    "gif": with_size(FILES["gif"], 6, b"\xff\xff\xff\xff"),
    "webp": with_size(FILES["webp"], 26, b"\xff\x3f\xff\x3f"),
    "jp2": with_size(JP2, JP2.find(b"\xff\x4f\xff\x51") + 8, struct.pack(">2I", 60_000, 60_000)),
    "bmp": with_size(FILES["bmp"], 18, struct.pack("<2i", 60_000, 60_000)),
    "jpeg": with_size(FILES["jpeg"], FILES["jpeg"].find(b"\xff\xc0") + 5, b"\xff\xff\xff\xff"),
    "tile": patched(patched(FILES["tiles"], "TileWidth", 65_520), "TileLength", 65_520),
    "jpeg in tiff": FILES["jpeg in tiff"].replace(
        FILES["jpeg in tiff"][FILES["jpeg in tiff"].find(b"\xff\xc0") + 5 :][:4], b"\xff\xff\xff\xff"
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_are_refused_before_they_are_decoded(kind: str) -> None:
    tracemalloc.start()
    said = outcome(BOMBS[kind])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(said, str)
    assert "px, more than the" in said or "bytes of pixels in" in said
    assert peak < 2**25


def test_limits_hold_for_all_channels_together() -> None:
    limits = ImageLimits(num_bytes=3 * NUCLEI.size)
    stack = np.stack([NUCLEI] * 4)
    with pytest.raises(DataError, match="bytes when decoded, more than the"):
        list(iter_image_file(tiff(stack, imagej=True, metadata={"axes": "CYX"}), Choice(channel=0), limits=limits))
    with pytest.raises(DataError, match="px, more than the 100 px"):
        read_single(FILES["png"], limits=ImageLimits(num_pixels=100))


def test_a_page_that_is_missing_is_refused() -> None:
    content = FILES["ome"].replace(b'SizeC="2"', b'SizeC="3"')
    said = outcome(content)
    assert isinstance(said, str)


def test_metadata_of_recursive_entities_are_no_bomb() -> None:
    bomb = "<!DOCTYPE OME [" + "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12)) + "]>"
    content = tiff(NUCLEI, description=f"<?xml version='1.0'?>{bomb}<OME>&e11;</OME>", metadata=None)
    assert isinstance(outcome(content), list | str)


def test_a_small_file_that_becomes_huge_is_refused() -> None:
    content = tiff(np.zeros((12_000, 6_000), np.uint8), compression="zstd", rowsperstrip=12_000)
    assert len(content) < 10_000
    assert "72,000,000 bytes of pixels in" in str(outcome(content))


def test_a_file_of_more_pages_than_can_be_looked_at_is_refused() -> None:
    stack = tiff(np.stack([NUCLEI] * 3), metadata=None)
    with pytest.raises(DataError, match="holds 3 pages, more than the 2 that are looked at"):
        read_single(stack, limits=ImageLimits(num_pages=2))


OME = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{}</OME>'
RECORDING = (
    '<Image><Pixels DimensionOrder="XYZCT" Type="uint8" SizeX="128" SizeY="128" SizeZ="{}" SizeC="1" SizeT="{}">'
    '<TiffData IFD="0"/></Pixels></Image>'
)


def test_metadata_that_count_planes_without_end_are_refused_before_they_are_looked_for() -> None:
    for recordings in (RECORDING.format(10**6, 10**6), RECORDING.format(1, 1) * 1001):
        content = tiff(NUCLEI, description=OME.format(recordings), metadata=None)
        with pytest.raises(DataError, match=r"holds 1,[0-9,]*00[01] pages, more than the 1,000"):
            describe(content, limits=ImageLimits(num_pages=1000))


def test_metadata_are_parsed_once_for_all_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    real = tiff_metadata.ElementTree.fromstring
    monkeypatch.setattr(tiff_metadata.ElementTree, "fromstring", lambda text: (parsed.append(text), real(text))[1])
    content = tiff(NUCLEI, description=OME.format(RECORDING.format(1, 1) * 37), metadata=None)
    assert len(list(iter_image_file(content, name="x.tif"))) == 37
    assert sum(text.count("<Image>") == 37 for text in parsed) <= 3  # tifffile parses it itself, too


def test_one_sample_called_colour_is_grey() -> None:
    content = bytearray(tiff(NUCLEI))
    place = content.find(struct.pack("<HHIH", 262, 3, 1, 1))
    content[place + 8] = 2  # RGB
    np.testing.assert_array_equal(read_single(bytes(content)), NUCLEI)
    (image,) = outcome(bytes(content))
    np.testing.assert_array_equal(image, NUCLEI)
