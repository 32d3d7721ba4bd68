"""The random geometry of patches."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.augment.settings import STILL, changed

from nanonuclei.data.augment.geometry import random_patch
from nanonuclei.data.augment.sizes import object_sizes
from nanonuclei.errors import DataError

TUMBLE = changed(flip=True, turn=True)
WARP = changed(flip=True, turn=True, warp_probability=1.0, rotate=180.0, scale=0.4, elastic=6.0)


def numbered(height: int, width: int) -> np.ndarray:
    """A uint16 image in which every pixel has its own value."""
    return np.arange(height * width, dtype=np.uint16).reshape(height, width)


def discs(side: int, values: tuple[int, ...] = (60, 120, 180, 240)) -> np.ndarray:
    """Four discs in the quarters of a square; as an image its values are grey values, as labels they are labels."""
    image = np.zeros((side, side), np.uint8)
    for value, (x, y) in zip(values, ((1, 1), (3, 1), (1, 3), (3, 3)), strict=True):
        cv2.circle(image, (x * side // 4, y * side // 4), side // 6, value, -1)
    return image


@pytest.mark.parametrize("config", [None, STILL, TUMBLE], ids=["none", "still", "flips and turns"])
@given(height=st.integers(40, 90), width=st.integers(40, 90), size=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_a_patch_without_warp_is_a_reordered_part_of_the_image(config, height, width, size, seed):
    image = numbered(height, width)
    patch, labels, _ = random_patch(image, image, size=size, config=config, rng=np.random.default_rng(seed))
    corner = patch.min()
    y0, x0 = divmod(int(corner), width)
    expected = image[y0 : y0 + size, x0 : x0 + size]
    orders = [np.rot90(flipped, turns) for flipped in (expected, expected.T) for turns in range(4)]
    assert any(np.array_equal(patch, order) for order in orders)
    assert np.array_equal(patch, labels)
    if config is not TUMBLE:
        assert np.array_equal(patch, expected)


def test_flips_and_turns_reach_all_eight_orders():
    image = numbered(8, 8)
    rng = np.random.default_rng(0)
    found = {random_patch(image, image, size=8, config=TUMBLE, rng=rng)[0].tobytes() for _ in range(200)}
    assert len(found) == 8


def test_plain_crops_reach_every_position():
    image = numbered(6, 7)
    rng = np.random.default_rng(0)
    corners = {int(random_patch(image, image, size=4, config=None, rng=rng)[0][0, 0]) for _ in range(300)}
    assert corners == {y * 7 + x for y in range(3) for x in range(4)}


@pytest.mark.parametrize("shape", [(70, 90), (20, 90), (5, 3), (1, 1)])
def test_a_warp_of_strength_zero_is_the_plain_crop(shape):
    image = numbered(*shape)
    for seed in range(20):
        crop, warped = (
            random_patch(image, image, size=32, config=config, rng=np.random.default_rng(seed))
            for config in (STILL, changed(warp_probability=1.0))
        )
        assert np.array_equal(warped[0], crop[0])
        assert np.array_equal(warped[1], crop[1])


@given(side=st.sampled_from([60, 128, 300]), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_image_and_labels_move_together_in_a_warp(side, seed):
    image = discs(side)
    patch, labels, _ = random_patch(image, image, size=64, config=WARP, rng=np.random.default_rng(seed))
    around = np.ones((7, 7), np.uint8)
    core = (slice(3, -3), slice(3, -3))
    lowest, highest = (change(labels.astype(np.uint8), around)[core] for change in (cv2.erode, cv2.dilate))
    even = lowest == highest
    assert even.any()
    assert np.array_equal(patch[core][even], lowest[even])
    assert set(np.unique(labels)) <= {0, 60, 120, 180, 240}


def test_a_warp_of_a_part_of_the_image_equals_the_warp_of_the_whole():
    image = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (200, 200), np.uint8), (0, 0), 3)
    config = changed(warp_probability=1.0, rotate=180.0)
    for seed in range(10):
        patch, *_ = random_patch(image, image, size=48, config=config, rng=np.random.default_rng(seed))
        replay = np.random.default_rng(seed)
        y0, x0 = (int(replay.integers(0, 152, endpoint=True)) for _ in range(2))
        replay.random()
        turn = cv2.getRotationMatrix2D((x0 + 23.5, y0 + 23.5), replay.uniform(-180.0, 180.0), 1.0)
        turn[:, 2] -= (x0, y0)
        whole = cv2.warpAffine(image, turn, (48, 48), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        same, mirrored = (np.abs(patch.astype(int) - other).max() for other in (whole, np.zeros_like(whole)))
        assert same <= 2 < mirrored


def test_zoom_changes_areas_by_its_square_within_the_limits():
    image = np.zeros((128, 128), np.uint8)
    cv2.circle(image, (64, 64), 20, 1, -1)
    area = int(image.sum())
    config = changed(warp_probability=1.0, scale=0.5)
    rng = np.random.default_rng(0)
    zooms = [(random_patch(image, image, size=128, config=config, rng=rng)[1].sum() / area) ** 0.5 for _ in range(100)]
    assert 1 / 1.5 - 0.02 <= min(zooms) < 0.75
    assert 1.35 < max(zooms) <= 1.5 + 0.02


@pytest.mark.parametrize("elastic", [2.0, 10.0, 50.0])
def test_the_elastic_displacement_keeps_its_limit_and_never_folds(elastic):
    ramp = np.broadcast_to(np.arange(400, dtype=np.uint16) * 100, (400, 400))
    config = changed(warp_probability=1.0, elastic=elastic)
    farthest = []
    for seed in range(5):
        plain, *_ = random_patch(ramp, ramp, size=128, config=STILL, rng=np.random.default_rng(seed))
        moved, *_ = random_patch(ramp, ramp, size=128, config=config, rng=np.random.default_rng(seed))
        inside = (moved > 6000) & (moved < 33000)
        distance = (moved.astype(int) - plain) / 100.0
        farthest.append(np.abs(distance[inside]).max())
        slope = np.diff(moved.astype(int), axis=1) / 100.0
        both = inside[:, 1:] & inside[:, :-1]
        assert slope[both].min() >= 0.4
        assert slope[both].max() <= 1.6
    assert 0.5 * elastic < max(farthest) <= elastic + 0.1


@pytest.mark.parametrize("config", [None, TUMBLE, WARP], ids=["none", "flips and turns", "warp"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.int64])
def test_labels_survive_exactly_in_any_integer_type(config, dtype):
    top = np.iinfo(np.uint8).max if dtype == np.uint8 else 65_535
    labels = np.full((40, 40), top, dtype)
    labels[:20] = top - 1
    _, patch, _ = random_patch(
        np.zeros((40, 40), np.uint8), labels, size=64, config=config, rng=np.random.default_rng(0)
    )
    assert patch.dtype == np.int32
    assert set(np.unique(patch)) == {top - 1, top}


@pytest.mark.parametrize("config", [None, TUMBLE, WARP], ids=["none", "flips and turns", "warp"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(30, 200), (200, 30, 3), (3, 5), (1, 1, 3), (64, 64)])
def test_an_image_of_any_size_gives_a_full_patch_of_its_type(config, dtype, shape):
    top = np.iinfo(dtype).max
    image = np.full(shape, top, dtype)
    patch, labels, _ = random_patch(
        image, np.ones(shape[:2], np.uint16), size=64, config=config, rng=np.random.default_rng(0)
    )
    assert patch.shape == (64, 64, *shape[2:])
    assert patch.dtype == dtype
    assert labels.shape == (64, 64)
    assert patch.min() == top
    assert labels.min() == 1
    assert patch.flags.c_contiguous
    assert labels.flags.c_contiguous


def test_beyond_the_border_lies_the_mirror_image():
    image = numbered(1, 3)
    patch, labels, _ = random_patch(image, image, size=8, config=None, rng=np.random.default_rng(3))
    cycle = [0, 1, 2, 1]
    first = patch[0, 0] if patch[0, 1] > patch[0, 0] or patch[0, 0] == 2 else 3
    assert patch[0].tolist() == [cycle[(first + step) % 4] for step in range(8)]
    assert (patch == patch[0]).all()
    assert np.array_equal(labels, patch)


@pytest.mark.parametrize("config", [None, WARP], ids=["none", "warp"])
def test_a_patch_owns_its_pixels(config):
    image = discs(64)
    before = image.copy()
    patch, labels, _ = random_patch(image, image, size=64, config=config, rng=np.random.default_rng(0))
    patch[:] = 7
    labels[:] = 7
    assert np.array_equal(image, before)


def test_the_same_random_state_gives_the_same_patch() -> None:
    image = discs(100)
    first, second = (
        random_patch(image, image, size=64, config=WARP, rng=rng)
        for rng in (np.random.default_rng(5), np.random.default_rng(5))
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    other, *_ = random_patch(image, image, size=64, config=WARP, rng=np.random.default_rng(6))
    assert not np.array_equal(first[0], other)


@pytest.mark.parametrize(
    ("image", "labels", "size", "message"),
    [
        (np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint16), 2, r"\(4, 5\) and labels \(5, 4\)"),
        (np.zeros((4, 5, 4), np.uint8), np.zeros((4, 5), np.uint16), 2, "1 or 3 channels"),
        (np.zeros((0, 5), np.uint8), np.zeros((0, 5), np.uint16), 2, r"\(0, 5\)"),
        (np.zeros((4, 5), np.float32), np.zeros((4, 5), np.uint16), 2, "float32"),
        (np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.float32), 2, "labels integers"),
        (np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint16), 0, "size 0"),
    ],
)
def test_what_cannot_be_cut_is_named(image, labels, size, message):
    with pytest.raises(DataError, match=message):
        random_patch(image, labels, size=size, config=None, rng=np.random.default_rng(0))


def test_the_warp_keeps_its_chance():
    image = numbered(40, 40)
    config = changed(warp_probability=0.3, rotate=45.0)
    rng = np.random.default_rng(0)
    patches = [random_patch(image, image, size=16, config=config, rng=rng)[0].astype(int) for _ in range(200)]
    warped = sum(
        not np.array_equal(patch, patch[0, 0] + 40 * np.arange(16)[:, None] + np.arange(16)) for patch in patches
    )
    assert 40 <= warped <= 80


def nuclei_discs(*circles: tuple[int, int, int], side: int = 256) -> np.ndarray:
    """Labels of discs ``(y, x, radius)``, numbered in order."""
    labels = np.zeros((side, side), np.uint16)
    for number, (y, x, radius) in enumerate(circles, start=1):
        cv2.circle(labels, (x, y), radius, number, -1)
    return labels


SIZED = changed(size_probability=1.0, least_diameter=10.0, usual_diameter=30.0, largest_diameter=90.0)


@pytest.mark.parametrize("rotate", [0.0, 180.0])
def test_areas_of_a_patch_zoomed_by_z_grow_by_its_square(rotate: float) -> None:
    labels = nuclei_discs((128, 128, 15))
    area = int((labels > 0).sum())
    config = SIZED.model_copy(update={"warp_probability": 1.0, "rotate": rotate})
    rng, zooms = np.random.default_rng(0), []
    for _ in range(60):
        image = (200 * (labels > 0)).astype(np.uint8)
        patch = random_patch(image, labels, size=256, config=config, rng=rng, objects=object_sizes(labels))
        known = patch.labels == 1
        if known[[0, -1]].any() or known[:, [0, -1]].any() or cv2.connectedComponents(known.view(np.uint8))[0] != 2:
            continue  # cut, or mirrored at the border of the image
        assert known.sum() == pytest.approx(area * patch.zoom**2, rel=0.1)
        assert (patch.image > 100).sum() == pytest.approx(area * patch.zoom**2, rel=0.1)
        zooms.append(patch.zoom)
    assert len(zooms) > 20
    assert min(zooms) < 0.6
    assert max(zooms) > 1.7


def test_bare_crop_and_turned_crop_are_not_zoomed() -> None:
    for config in (None, TUMBLE):
        assert random_patch(discs(64), discs(64), size=32, config=config, rng=np.random.default_rng(0)).zoom == 1.0


@pytest.mark.parametrize("zoom", [0.5, 0.25])
def test_a_shrunk_checkerboard_becomes_its_mean(zoom: float) -> None:
    image = np.uint8(200 * (np.indices((256, 256)).sum(axis=0) % 2))
    labels = nuclei_discs((128, 128, 20))
    diameter = float(object_sizes(labels).diameters[0])
    wanted = dict.fromkeys(("least_diameter", "usual_diameter", "largest_diameter"), diameter * zoom)
    config = SIZED.model_copy(update=wanted)
    rng = np.random.default_rng(0)
    found = [
        random_patch(image, labels, size=32, config=config, rng=rng, objects=object_sizes(labels)) for _ in range(20)
    ]
    assert any(patch.zoom == pytest.approx(zoom) for patch in found)
    for patch in found:
        if patch.zoom <= 0.5:
            np.testing.assert_allclose(patch.image.astype(float), 100.0, atol=1.0)


def test_most_patches_show_the_nucleus_that_they_were_zoomed_for() -> None:
    labels = nuclei_discs((40, 40, 10), side=600)
    image, rng = np.zeros(labels.shape, np.uint8), np.random.default_rng(0)
    patches = [
        random_patch(image, labels, size=64, config=SIZED, rng=rng, objects=object_sizes(labels)).labels
        for _ in range(100)
    ]
    assert sum(bool(patch.any()) for patch in patches) > 70  # a patch of 64 px anywhere in 600 px would show it rarely
