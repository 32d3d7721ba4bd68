from __future__ import annotations

import numpy as np
import pytest

from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.nanotubes.lines.ridges import DIRECTIONS, ridge_points


def image(*lines: tuple[tuple[float, float], tuple[float, float]], noise: float = 0.01) -> Float32Array:
    """Draws lines of one pixel's width, blurred as by a microscope, on a noisy ground."""
    y, x = np.mgrid[:64, :64].astype(np.float64)
    grey = np.random.default_rng(0).normal(0.1, noise, y.shape)
    for (y0, x0), (y1, x1) in lines:
        length = np.hypot(y1 - y0, x1 - x0)
        along = ((y - y0) * (y1 - y0) + (x - x0) * (x1 - x0)) / length
        across = ((y - y0) * (x1 - x0) - (x - x0) * (y1 - y0)) / length
        grey += 0.2 * np.exp(-0.5 * (across / 0.9) ** 2) * ((along >= 0) & (along <= length))
    return grey.astype(np.float32)


EVERYWHERE = np.ones((64, 64), bool)
OPTIONS = {"narrow": 0.8, "broad": 1.6, "least": 6.0}


@pytest.mark.parametrize(
    ("ends", "direction"),
    [
        (((32, 8), (32, 56)), 0),
        (((8, 32), (56, 32)), DIRECTIONS // 2),
        (((10, 10), (54, 54)), DIRECTIONS // 4),
        (((54, 10), (10, 54)), 3 * DIRECTIONS // 4),
    ],
)
def test_points_lie_on_the_line_and_know_its_direction(
    ends: tuple[tuple[float, float], tuple[float, float]], direction: int
) -> None:
    points = ridge_points(image(ends), EVERYWHERE, **OPTIONS)
    (y0, x0), (y1, x1) = ends
    across = np.abs((points.places[:, 0] - y0) * (x1 - x0) - (points.places[:, 1] - x0) * (y1 - y0))
    near = across / np.hypot(y1 - y0, x1 - x0) <= 1.5
    assert near.mean() > 0.7
    assert np.median(points.directions[near]) == direction
    assert len(np.unique(points.places[near], axis=0)) >= 44


def test_lines_that_cross_have_both_their_directions_there() -> None:
    points = ridge_points(image(((10, 10), (54, 54)), ((54, 10), (10, 54))), EVERYWHERE, **OPTIONS)
    middle = np.abs(points.places - 32).max(axis=1) <= 4
    assert {DIRECTIONS // 4, 3 * DIRECTIONS // 4} <= set(points.directions[middle].tolist())


def test_noise_alone_has_hardly_any_points() -> None:
    points = ridge_points(image(), EVERYWHERE, **OPTIONS)
    assert len(points.places) == 0


def test_border_of_a_bright_cell_that_is_left_out_is_no_line() -> None:
    grey, mask = image(), EVERYWHERE.copy()
    grey[:30] += 1.0
    mask[:30] = False
    assert len(ridge_points(grey, mask, **OPTIONS).places) == 0


def test_image_without_noise_is_no_error() -> None:
    assert len(ridge_points(np.zeros((64, 64), np.float32), EVERYWHERE, **OPTIONS).places) == 0
    nowhere = np.zeros((64, 64), bool)
    assert len(ridge_points(image(), nowhere, **OPTIONS).places) == 0


def test_points_that_are_not_asked_for_change_nothing_of_the_others() -> None:
    grey = image(((10, 10), (54, 54)), ((54, 10), (10, 54)))
    wanted = EVERYWHERE.copy()
    wanted[:, 32:] = False
    every, some = (ridge_points(grey, EVERYWHERE, **OPTIONS, wanted=asked) for asked in (None, wanted))
    kept = wanted[tuple(every.places.T)]
    assert 0 < kept.sum() < len(kept)
    np.testing.assert_array_equal(every.places[kept], some.places)
    np.testing.assert_array_equal(every.directions[kept], some.directions)
    np.testing.assert_array_equal(every.strengths[kept], some.strengths)
