"""Fields of view: tiles cut from one picture find each other, and nothing else does."""

from __future__ import annotations

import csv
import os
import time
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanonuclei.data.fields import find_fields
from nanonuclei.errors import DataError

SHARED = Path(os.environ.get("NANONUCLEI_SHARED", Path(__file__).parents[2] / ".." / "shared"))


def picture(seed, *, height=256, width=256, channels=None, depth=np.uint8, gain=1.0):
    """Bright blobs of about 6 px on a dark background, with photon noise."""
    rng = np.random.default_rng(seed)
    shape = (height, width) if channels is None else (height, width, channels)
    rough = cv2.GaussianBlur(rng.standard_normal(shape), (0, 0), 6.0)
    light = 8.0 + 90.0 * np.clip(rough / rough.std() - 0.5, 0.0, None)
    return np.clip(gain * rng.poisson(light), 0, np.iinfo(depth).max).astype(depth)


def cut(image, rows, columns):
    """Tiles of an image, row by row."""
    return [tile for row in np.split(image, rows) for tile in np.split(row, columns, axis=1)]


def groups(fields):
    """Which places share a field, whatever the fields' numbers."""
    return {frozenset(np.flatnonzero(fields == field).tolist()) for field in set(fields.tolist())}


@pytest.mark.parametrize(
    ("case", "options", "rows", "columns"),
    [
        ("grey", {}, 2, 2),
        ("oblong", {"height": 200, "width": 320}, 2, 2),
        ("colour", {"channels": 3}, 2, 2),
        ("12 bits in uint16", {"depth": np.uint16, "gain": 16.0}, 2, 2),
        ("a row of three", {"width": 384}, 1, 3),
        ("a pair, one above the other", {}, 2, 1),
        ("twelve tiles", {"height": 384, "width": 512}, 3, 4),
    ],
)
def test_tiles_of_one_field_share_a_number_among_tiles_of_others(case, options, rows, columns):
    images, expected = [], []
    for seed in range(5):
        images += cut(picture(seed, **options), rows, columns)
        expected += [seed] * (rows * columns)

    assert find_fields(images).tolist() == expected, case


def test_three_tiles_of_a_square_are_found_without_the_fourth():
    first, second = (cut(picture(seed, height=512, width=512), 2, 2) for seed in (1, 2))
    images = first[:3] + second[1:]

    assert find_fields(images).tolist() == [0, 0, 0, 1, 1, 1]


def test_two_tiles_are_found_without_any_rival():
    assert find_fields(cut(picture(3), 1, 2)).tolist() == [0, 0]


@pytest.mark.parametrize("seed", [4, 5, 6])
def test_a_weak_seam_joins_in_a_square_but_not_by_itself(seed):
    image = picture(seed, height=512, width=512)
    faint = 8.0 + 0.06 * image[:, 240:272]  # where left and right meet, almost nothing but noise
    image[:, 240:272] = np.random.default_rng(seed).poisson(faint)
    tiles = cut(image, 2, 2)

    assert find_fields(tiles[:2]).tolist() == [0, 1]
    assert find_fields(tiles[2:]).tolist() == [0, 1]
    assert find_fields(tiles).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("size", [32, 64, 128])
def test_pictures_of_different_places_are_all_distinct(size):
    images = [picture(seed, height=size, width=size) for seed in range(80)]

    assert find_fields(images).tolist() == list(range(80))


def test_white_noise_is_all_distinct():
    rng = np.random.default_rng(1)

    assert find_fields([rng.integers(0, 40, (64, 64)).astype(np.uint8) for _ in range(60)]).tolist() == list(range(60))


def test_smooth_dark_borders_prove_nothing():
    """Vignettes without noise correlate perfectly along their borders; each image has blobs of its own inside."""
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    vignette = 30.0 - 12.0 * (x**2 + y**2)
    images = []
    for seed in range(30):
        image = vignette + seed % 3
        image[24:104, 24:104] += picture(seed, height=80, width=80)
        images.append(image.astype(np.uint8))

    assert find_fields(images).tolist() == list(range(30))


def test_black_borders_prove_nothing():
    images = [np.pad(picture(seed, height=64, width=64), 32) for seed in range(20)]

    assert find_fields(images).tolist() == list(range(20))


def test_equal_images_share_a_number_even_when_flat():
    image, flat = picture(6), np.full((64, 64), 7, np.uint8)

    assert find_fields([image, flat, picture(7), image.copy(), flat.copy(), flat + 1]).tolist() == [0, 1, 2, 0, 1, 3]


def test_a_second_exposure_of_a_place_shares_its_number():
    light = cv2.GaussianBlur(picture(8).astype(np.float32), (0, 0), 1.0)
    first, second = (np.random.default_rng(seed).poisson(light).astype(np.uint8) for seed in (1, 2))

    assert find_fields([first, picture(9), second]).tolist() == [0, 1, 0]


def test_a_tile_that_comes_twice_still_finds_its_neighbours():
    tiles = cut(picture(10), 2, 2)

    assert find_fields([*tiles, tiles[2].copy(), picture(11)[:128, :128]]).tolist() == [0, 0, 0, 0, 0, 1]


def test_images_of_other_size_or_type_are_never_joined():
    image = picture(12)
    images = [image, image[:, :128], image.astype(np.uint16), np.repeat(image[..., np.newaxis], 3, axis=2)]

    assert find_fields(images).tolist() == [0, 1, 2, 3]


@settings(deadline=None, max_examples=15)
@given(st.permutations(range(22)))
def test_the_grouping_does_not_depend_on_the_order(order):
    images = [tile for seed in range(4) for tile in cut(picture(seed), 2, 2)]
    images += [picture(seed, height=128, width=128) for seed in range(20, 25)]
    images += [images[3].copy()]

    shuffled = find_fields([images[place] for place in order])
    back = np.empty(len(order), np.int64)
    back[list(order)] = shuffled

    assert groups(back) == groups(find_fields(images))
    assert list(dict.fromkeys(shuffled.tolist())) == list(range(shuffled.max() + 1))


def test_no_images_have_no_fields():
    fields = find_fields([])

    assert fields.shape == (0,)
    assert fields.dtype == np.int64


@pytest.mark.parametrize(
    ("image", "named"),
    [
        (np.zeros((64, 64, 4), np.uint8), "(64, 64, 4) uint8"),
        (np.zeros((64, 64), np.float32), "(64, 64) float32"),
        (np.zeros((0, 64), np.uint8), "(0, 64) uint8"),
        (np.zeros(64, np.uint8), "(64,) uint8"),
    ],
)
def test_what_is_not_an_image_is_named(image, named):
    with pytest.raises(DataError) as caught:
        find_fields([picture(0), image])

    assert named in str(caught.value)
    assert "number 1" in str(caught.value)


def test_images_of_a_few_pixels_are_all_distinct():
    assert find_fields([np.full((1, 1), value, np.uint8) for value in (1, 2, 3)]).tolist() == [0, 1, 2]


@pytest.mark.slow
def test_the_four_tile_fields_of_dsb_2018_end_whole_and_groups_stay_small():
    images, known = _dsb2018()
    started = time.process_time()
    fields = find_fields(images)
    seconds = time.process_time() - started
    sizes = Counter(known)
    whole = [
        name for name, size in sizes.items() if size == 4 and len(set(fields[[k == name for k in known]].tolist())) == 1
    ]
    backwards = find_fields(images[::-1])[::-1]

    assert sum(size == 4 for size in sizes.values()) == 76
    assert len(whole) == 76
    assert max(Counter(fields.tolist()).values()) <= 0.05 * len(images)
    assert len(set(fields.tolist())) >= 220
    assert groups(backwards) == groups(fields)
    assert seconds < 15.0


def _dsb2018():
    table, archive = SHARED / "data" / "stage1_train_fields.csv", SHARED / "data" / "stage1_train.zip"
    if not (table.is_file() and archive.is_file()):
        pytest.skip(f"needs the real data: {archive.name} and {table.name} below NANONUCLEI_SHARED")
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    images = []
    with zipfile.ZipFile(archive) as files:
        for row in rows:
            name = row["image_id"]
            pixels = cv2.imdecode(
                np.frombuffer(files.read(f"{name}/images/{name}.png"), np.uint8), cv2.IMREAD_UNCHANGED
            )[..., 2::-1]
            grey = (pixels == pixels[..., :1]).all()
            images.append(np.ascontiguousarray(pixels[..., 0] if grey else pixels))
    return images, [row["field_id"] for row in rows]
