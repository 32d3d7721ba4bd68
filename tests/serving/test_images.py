from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from nanonuclei.serving.images import decode, examine
from nanonuclei.serving.refusal import Refused

GREY = np.arange(20 * 30, dtype=np.uint8).reshape(20, 30)
DEEP = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30) * 100
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)


def encoded(suffix: str, image: np.ndarray = GREY) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def png_that_claims(height: int, width: int) -> bytes:
    """A valid PNG of few bytes whose header tells a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def read(item: object) -> np.ndarray:
    return decode(examine([item], max_pixels=10_000)[0])


@pytest.mark.parametrize("image", [GREY, DEEP, COLOUR], ids=["grey", "16 bit", "colour"])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_file_is_decoded_to_its_pixels(image: np.ndarray, suffix: str) -> None:
    stored = image[..., ::-1] if image.ndim == 3 else image
    np.testing.assert_array_equal(read(encoded(suffix, stored)), image)


def test_bytes_base64_text_path_and_array_are_the_same_image(tmp_path: Path) -> None:
    content = encoded(".png")
    (tmp_path / "cells.png").write_bytes(content)
    for item in (content, bytearray(content), base64.b64encode(content).decode(), tmp_path / "cells.png", GREY):
        np.testing.assert_array_equal(read(item), GREY)


def test_jpeg_is_decoded() -> None:
    flat = np.full((40, 24), 100, np.uint8)
    np.testing.assert_allclose(read(encoded(".jpg", flat)), flat, atol=2)


def test_alpha_is_dropped() -> None:
    with_alpha = np.concatenate([COLOUR[..., ::-1], np.full((20, 30, 1), 7, np.uint8)], axis=-1)
    np.testing.assert_array_equal(read(encoded(".png", with_alpha)), COLOUR)


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        (b"", "not a PNG, JPEG or TIFF"),
        (b"hello", "not a PNG, JPEG or TIFF"),
        (encoded(".bmp"), "not a PNG, JPEG or TIFF"),
        ("%%%", "not base64"),
        ("/etc/passwd", "not base64|not a PNG"),
        ("naïve", "not base64"),
        (3, "got int"),
        (None, "got NoneType"),
        (encoded(".png")[:-20], "truncated"),
        (encoded(".png")[:20], "truncated"),
        (encoded(".jpg", np.tile(GREY, (4, 4)))[:-2], "truncated"),
        (encoded(".jpg")[:12], "truncated|broken"),
        (encoded(".tiff", np.tile(GREY, (4, 4)))[:300], "truncated|broken"),
        (b"II*\0\x08\0\0\0", "broken"),
        (png_that_claims(60_000, 60_000), "at most 10000 px"),
        (png_that_claims(100_000, 1), "1 to 65535 px"),
        (png_that_claims(0, 5), "1 to 65535 px"),
        (encoded(".tiff", GREY.astype(np.float32)), "8 or 16 bits"),
        (np.zeros((4, 4)), "8 or 16 bits"),
        (np.zeros((4, 4, 2), np.uint8), "height, width"),
        (np.zeros((0, 4), np.uint8), "height, width"),
        (Path("nowhere.png"), "cannot be read from its path: No such file"),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(item: object, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence) as refused:
        read(item)
    assert refused.value.get_http_status_code() == 400
    assert "\n" not in refused.value.message
    assert "nowhere.png" not in refused.value.message


def test_size_of_an_image_is_read_without_decoding_it() -> None:
    (image,) = examine([png_that_claims(5000, 4000)], max_pixels=5000 * 4000)
    assert image.num_pixels == 5000 * 4000


def test_pixels_are_counted_over_the_whole_request() -> None:
    assert len(examine([GREY] * 5, max_pixels=3000)) == 5
    with pytest.raises(Refused, match="at most 3000 px together, got 3600"):
        examine([GREY] * 6, max_pixels=3000)


def test_request_without_images_is_refused() -> None:
    with pytest.raises(Refused, match="at least one image"):
        examine([], max_pixels=1)


def test_stack_of_planes_is_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "stack.tif") as writer:
        writer.write(np.zeros((16, 16, 16), np.uint8), tile=(16, 16, 16), metadata=None, volumetric=True)
    with pytest.raises(Refused, match="planes"):
        read(tmp_path / "stack.tif")


def tiff(image: np.ndarray, **options: object) -> bytes:
    with io.BytesIO() as stream:
        tifffile.imwrite(stream, image, **options)
        return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (tiff(np.stack([GREY] * 3), imagej=True, metadata={"axes": "ZYX"}), "holds 3 focal planes where one plane"),
        (tiff(np.stack([GREY] * 3), imagej=True, metadata={"axes": "TYX"}), "holds 3 times where one plane"),
        (tiff(np.stack([GREY] * 9), metadata=None), "holds 9 planes, and nothing in it says"),
        (tiff(np.stack([GREY] * 2), imagej=True, metadata={"axes": "CYX"}), "must be grey or RGB, got 2 channels"),
        (tiff(np.zeros((400, 2), np.uint8), rowsperstrip=1)[:500], "broken|truncated"),
    ],
)
def test_more_than_one_plane_is_refused_and_never_the_first_taken(content: bytes, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        read(content)


def test_a_damaged_strip_is_refused_and_never_black() -> None:
    content = bytearray(tiff(GREY, compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        place = file.pages.first.dataoffsets[0] + 20
    content[place : place + 20] = bytes(20)
    with pytest.raises(Refused, match="image 0 is broken: not a readable TIFF"):
        read(bytes(content))


def test_message_stays_what_it_was() -> None:
    refused = Refused("one sentence")
    refused.message = "Failed to predict data '...'"
    assert refused.message == "one sentence"
    assert "Failed" not in refused.serialize_as_json()
