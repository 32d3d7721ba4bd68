"""Patches that share pixels are found; others are not."""

from __future__ import annotations

import numpy as np
import pytest

from nanonuclei.tasks.nanotubes.sources.overlaps import find_overlaps

SIDE = 48


def picture(seed: int, *, dtype: type = np.uint8) -> np.ndarray:
    """A noisy image with a bright line."""
    image = np.random.default_rng(seed).normal(60, 8, (200, 260))
    image[100:103] += 80
    return image.clip(0, 255).astype(dtype)[..., None]


def windows(image: np.ndarray, step: int, *, limit: int = 1000) -> list[np.ndarray]:
    corners = [(y, x) for y in range(0, 200 - SIDE + 1, step) for x in range(0, 260 - SIDE + 1, step)]
    return [image[y : y + SIDE, x : x + SIDE] for y, x in corners[:limit]]


def groups(patches: list[np.ndarray]) -> list[set[int]]:
    numbers = find_overlaps(patches)
    return [set(np.flatnonzero(numbers == number).tolist()) for number in dict.fromkeys(numbers.tolist())]


@pytest.mark.parametrize("step", [4, 12, 24, 36])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_windows_of_a_sliding_window_are_one_group_per_image(step: int, dtype: type) -> None:
    first, second = (windows(picture(seed, dtype=dtype), step, limit=60) for seed in (0, 1))
    order = np.random.default_rng(2).permutation(len(first) + len(second))
    mixed = [[*first, *second][place] for place in order]
    expected = [set(np.flatnonzero(order < len(first))), set(np.flatnonzero(order >= len(first)))]
    assert sorted(groups(mixed), key=min) == sorted(expected, key=min)


def test_windows_side_by_side_are_not_joined() -> None:
    patches = windows(picture(0), SIDE)
    assert len(groups(patches)) == len(patches)


def test_scale_bar_at_the_same_place_joins_nothing() -> None:
    patches = windows(picture(0), SIDE)
    for patch in patches:
        patch[30:44, 30:44] = np.arange(14, dtype=np.uint8)[:, None, None] * 15
    assert len(groups(patches)) == len(patches)


def test_mark_that_moves_about_joins_nothing() -> None:
    patches = windows(picture(0), SIDE)
    for shift, patch in enumerate(patches):
        patch[shift : shift + 14, 8:22] = np.arange(14, dtype=np.uint8)[:, None, None] * 15
    assert len(groups(patches)) == len(patches)


def test_flat_and_tiny_patches_join_nothing() -> None:
    dark = [np.zeros((SIDE, SIDE, 1), np.uint8) for _ in range(3)]
    tiny = [np.full((5, 5, 1), 7, np.uint8) for _ in range(2)]
    assert len(groups([*dark, *tiny])) == 5
    assert find_overlaps([]).tolist() == []
