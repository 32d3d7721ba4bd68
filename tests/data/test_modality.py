"""How an image was taken: told from the background and the colour, whatever the exposure, the offset and the depth."""

from __future__ import annotations

import csv
import os
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanonuclei.data.modality import MODALITIES, guess_modality

SHARED = Path(os.environ.get("NANONUCLEI_SHARED", Path(__file__).parents[2] / ".." / "shared"))


def discs(background, objects, *, share=0.2, depth=np.uint8):
    """Discs of one grey value or colour on another, with a little noise; discs cover about `share` of 96 x 96 px."""
    image = np.empty((96, 96, *np.shape(background)), np.float64)
    image[...] = background
    radius = np.sqrt(share / np.pi) * 24.0
    y, x = np.mgrid[:96, :96] % 24 - 11.5
    image[x**2 + y**2 <= radius**2] = objects
    image += np.random.default_rng(0).normal(0.0, 0.5, image.shape)
    return np.clip(np.rint(image), 0, np.iinfo(depth).max).astype(depth)


@pytest.mark.parametrize(
    ("case", "image", "expected"),
    [
        ("bright nuclei on black", discs(3, 200), "fluorescence"),
        ("dim nuclei on black", discs(4, 20), "fluorescence"),
        ("nuclei over a camera offset", discs(100, 140), "fluorescence"),
        ("few nuclei", discs(10, 90, share=0.01), "fluorescence"),
        ("crowded nuclei", discs(10, 90, share=0.45), "fluorescence"),
        ("blue nuclei on black", discs((2, 2, 10), (5, 5, 220)), "fluorescence"),
        ("12 bits", discs(180, 2400, depth=np.uint16), "fluorescence"),
        ("purple nuclei on glass", discs((230, 228, 230), (110, 40, 140)), "stained"),
        ("purple nuclei on a purple ground", discs((180, 160, 210), (80, 50, 170)), "stained"),
        ("few purple nuclei on glass", discs((230, 228, 230), (110, 40, 140), share=0.06), "stained"),
        ("16 bits, stained", discs((50000, 46000, 52000), (20000, 9000, 30000), depth=np.uint16), "stained"),
        ("dark nuclei on white, grey", discs(230, 90), "brightfield"),
        ("dark nuclei on white, colour camera", discs((232, 230, 227), (92, 91, 89)), "brightfield"),
        ("pale contrast", discs(140, 110), "brightfield"),
        ("black", np.zeros((32, 32), np.uint8), "fluorescence"),
        ("evenly dark", np.full((32, 32), 12, np.uint8), "fluorescence"),
        ("evenly white", np.full((32, 32), 240, np.uint8), "brightfield"),
        ("evenly purple", np.full((32, 32, 3), (180, 150, 220), np.uint8), "stained"),
    ],
)
def test_light_and_colour_tell_the_modality(case, image, expected):
    assert guess_modality(image) == expected, case


def test_hot_and_dead_pixels_do_not_matter():
    dark, bright = discs(60, 100), discs(200, 150)
    dark[::12, ::12], bright[::12, ::12] = 0, 255
    dark[6, 6], bright[6, 6] = 255, 0

    assert guess_modality(dark) == "fluorescence"
    assert guess_modality(bright) == "brightfield"


@settings(deadline=None, max_examples=50)
@given(
    gain=st.integers(20, 200),
    offset=st.integers(0, 55),
    share=st.floats(0.02, 0.45),
    turns=st.integers(0, 3),
)
def test_gain_offset_and_orientation_do_not_matter(gain, offset, share, turns):
    image = np.rot90(discs(offset, offset + gain, share=share), turns)
    image = np.ascontiguousarray(image)

    assert guess_modality(image) == "fluorescence"
    assert guess_modality(255 - image) == "brightfield"
    assert guess_modality(np.repeat(image[..., np.newaxis], 3, axis=2)) == "fluorescence"


@pytest.mark.slow
def test_every_image_of_dsb_2018_is_told():
    table, archive = SHARED / "data" / "stage1_train_fields.csv", SHARED / "data" / "stage1_train.zip"
    if not (table.is_file() and archive.is_file()):
        pytest.skip(f"needs the real data: {archive.name} and {table.name} below NANONUCLEI_SHARED")
    with table.open(encoding="utf-8", newline="") as lines:
        known = {row["image_id"]: row["modality"] for row in csv.DictReader(lines)}
    confusion = Counter()
    with zipfile.ZipFile(archive) as files:
        for name, modality in known.items():
            data = np.frombuffer(files.read(f"{name}/images/{name}.png"), np.uint8)
            pixels = np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED)[..., 2::-1])
            image = pixels[..., 0].copy() if (pixels == pixels[..., :1]).all() else pixels
            confusion[modality, guess_modality(image)] += 1

    assert confusion == {(name, name): count for name, count in zip(MODALITIES, (541, 107, 16), strict=True)}
