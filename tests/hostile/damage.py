"""Image files of every format that is read, and ways in which files are damaged, each with what a reader can know.

**What counts as silently wrong**: a damaged file that is answered, without a word, with other pixels than the whole
file. A reader can know of a damage where

* bytes are missing (a file cut short), in every format;
* the format carries a checksum of what was changed: all of a PNG, the pixels of a TIFF compressed by Deflate.

Changed bits elsewhere cannot be known: a raw TIFF, a BMP, GIF, WebP, JPEG or JPEG 2000 with other bits is a good file
of another image, and so is a TIFF whose tags changed. Of these it counts only that they are answered or refused,
without a crash, within the limits of time and memory.
"""

from __future__ import annotations

import functools
import io
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tifffile
from tests.data.files.synthetic import NUCLEI, opencv, pillow, tiff

COLOURS = np.dstack([NUCLEI, NUCLEI[::-1], NUCLEI[:, ::-1]])
DEEP = NUCLEI.astype(np.uint16) * 200


@functools.cache
def files() -> dict[str, bytes]:
    """Returns whole files by ``KIND.SUFFIX``."""
    return {
        "grey.png": opencv(NUCLEI, ".png"),
        "colour.png": opencv(COLOURS, ".png"),
        "deep.png": opencv(DEEP, ".png"),
        "palette.png": pillow(NUCLEI, "PNG", "P"),
        "colour.jpg": opencv(COLOURS, ".jpg"),
        "grey.jpg": pillow(NUCLEI, "JPEG"),
        "colour.bmp": opencv(COLOURS, ".bmp"),
        "grey.gif": pillow(NUCLEI, "GIF"),
        "colour.webp": pillow(COLOURS, "WEBP"),
        "lossless.webp": pillow(COLOURS, "WEBP", lossless=True),
        "grey.jp2": pillow(NUCLEI, "JPEG2000"),
        "raw.tif": tiff(NUCLEI),
        "big.tif": tiff(DEEP, byteorder=">"),
        "bigtiff.tif": tiff(NUCLEI, bigtiff=True, rowsperstrip=32),
        "planar.tif": tiff(np.moveaxis(COLOURS, -1, 0), photometric="rgb", planarconfig="separate"),
        "strips.tif": tiff(NUCLEI, rowsperstrip=16, compression="lzw"),
        "packbits.tif": tiff(NUCLEI, compression="packbits"),
        "deflate.tif": tiff(NUCLEI, tile=(32, 32), compression="deflate"),
        "predictor.tif": tiff(DEEP, compression="deflate", predictor=True),
        "zstd.tif": tiff(NUCLEI, compression="zstd"),
        "jpeg.tif": tiff(COLOURS, photometric="rgb", compression="jpeg"),
        "jpeg2000.tif": tiff(NUCLEI, compression="jpeg2000"),
        "channels.ome.tif": tiff(
            np.stack([NUCLEI] * 2), ome=True, metadata={"axes": "CYX", "Channel": {"Name": ["a", "DAPI"]}}
        ),
        "film.tif": tiff(np.stack([NUCLEI] * 3), imagej=True, metadata={"axes": "TYX"}),
    }


@functools.cache
def odd_files() -> dict[str, bytes]:
    """Returns files with unusual numbers in them, and such as are no images at all."""
    from tests.data.files.test_damaged import BOMBS  # takes a moment to be made

    types = ("int8", "int16", "int32", "uint32", "uint64", "float16", "float32", "float64", "complex64", "bool")
    numbers = {f"{name}.tif": tiff(NUCLEI.astype(name)) for name in types}
    empty = np.full(NUCLEI.shape, np.nan, np.float32)
    half = np.where(NUCLEI > 100, np.inf, NUCLEI).astype(np.float32)
    return {
        **numbers,
        "nan.tif": tiff(empty),
        "infinite.tif": tiff(half),
        "huge.tif": tiff((NUCLEI * 1e300).astype(np.float64)),
        "chain.tif": page_chain(2_000),
        "text.png": b"id,area\n1,20\n" * 50,
        "page.jpg": b"<!DOCTYPE html><html><body>Not found</body></html>",
        "empty.png": b"",
        "one.tif": b"I",
        "archive.tif": b"PK\x03\x04" + bytes(200),
        "zeros.png": bytes(5000),
        **{f"bomb-{name.replace(' ', '-')}.{_suffix(name)}": content for name, content in BOMBS.items()},
    }


def _suffix(name: str) -> str:
    return name if name in ("png", "gif", "webp", "jp2", "bmp") else {"jpeg": "jpg"}.get(name, "tif")


def page_chain(num_pages: int) -> bytes:
    """A TIFF of many tiny pages, each of another size, so that they are no stack."""
    entry = "<HHII"
    content = bytearray(b"II*\0" + struct.pack("<I", 8))
    for number in range(num_pages):
        tags = [(256, 3, 1, 1 + number % 7), (257, 3, 1, 1 + number % 5), (258, 3, 1, 8), (259, 3, 1, 1)]
        tags += [(262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 5), (279, 4, 1, 1)]
        place = len(content)
        content += struct.pack("<H", len(tags)) + b"".join(struct.pack(entry, *tag) for tag in tags)
        last = number == num_pages - 1
        content += struct.pack("<I", 0 if last else place + 2 + 12 * len(tags) + 4)
    return bytes(content)


@dataclass(frozen=True)
class Damaged:
    """A file after an accident.

    Attributes:
        name: File name.
        content: The bytes.
        original: Name of the whole file in `files`; empty where there is none.
        knowable: Whether a reader can know that pixels are not what they were.
    """

    name: str
    content: bytes
    original: str
    knowable: bool


def damaged(rng: random.Random) -> Damaged:
    """Draws a file and an accident."""
    name = rng.choice(list(files()))
    return rng.choice(list(ACCIDENTS.values()))(name, files()[name], rng)


def _cut(name: str, content: bytes, rng: random.Random) -> Damaged:
    return Damaged(name, content[: len(content) * rng.randrange(10) // 10], name, True)


def _cut_anywhere(name: str, content: bytes, rng: random.Random) -> Damaged:
    return Damaged(name, content[: rng.randrange(len(content))], name, True)


def _flipped(name: str, content: bytes, rng: random.Random) -> Damaged:
    changed = bytearray(content)
    checked = _checked(name, content)
    places = checked if checked and rng.random() < 0.7 else range(len(content))
    for _ in range(rng.randint(1, 6)):
        changed[rng.choice(places)] ^= 1 << rng.randrange(8)
    return Damaged(name, bytes(changed), name, places is checked or name.endswith(".png"))


def _zeroed(name: str, content: bytes, rng: random.Random) -> Damaged:
    """The rest of the file is zeros, as after a download into a file of its final size."""
    kept = rng.randrange(len(content))
    changed = content[:kept] + bytes(len(content) - kept)
    return Damaged(name, changed, name, name.endswith(".png"))


def _grown(name: str, content: bytes, rng: random.Random) -> Damaged:
    return Damaged(name, content + rng.randbytes(rng.randrange(1, 500)), name, True)


def _spliced(name: str, content: bytes, rng: random.Random) -> Damaged:
    """The first part of one file, the rest of another."""
    other = files()[rng.choice(list(files()))]
    place = rng.randrange(len(content))
    return Damaged(name, content[:place] + other[place:], "", False)


def _noise(name: str, content: bytes, rng: random.Random) -> Damaged:
    """Random bytes after the first ones, which tell the format."""
    return Damaged(name, content[: rng.choice([4, 8, 16, 40])] + rng.randbytes(rng.randrange(2000)), "", False)


def _renamed(name: str, content: bytes, rng: random.Random) -> Damaged:
    """A file under a name of another format: its content tells what it is."""
    return Damaged(f"{name.split('.')[0]}.{rng.choice(['png', 'jpg', 'tif', 'bmp', 'gif'])}", content, name, True)


def _odd(_: str, __: bytes, rng: random.Random) -> Damaged:
    name = rng.choice(list(odd_files()))
    return Damaged(name, odd_files()[name], "", False)


def _whole(name: str, content: bytes, _: random.Random) -> Damaged:
    return Damaged(name, content, name, True)


ACCIDENTS: dict[str, Callable[[str, bytes, random.Random], Damaged]] = {
    "cut": _cut,
    "cut anywhere": _cut_anywhere,
    "flipped": _flipped,
    "flipped again": _flipped,
    "zeroed": _zeroed,
    "grown": _grown,
    "spliced": _spliced,
    "noise": _noise,
    "renamed": _renamed,
    "odd": _odd,
    "whole": _whole,
}


def _checked(name: str, content: bytes) -> list[int]:
    """Returns the places of bytes that a checksum covers."""
    if name.endswith(".png"):
        return list(range(len(content)))
    if name not in ("deflate.tif", "predictor.tif"):
        return []
    with tifffile.TiffFile(io.BytesIO(content)) as tiff_file:
        page = tiff_file.pages.first
        return [
            place
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
            for place in range(offset, offset + count)
        ]
