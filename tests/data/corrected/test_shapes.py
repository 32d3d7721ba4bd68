"""Outlines become pixels by the middles of pixels; what crosses itself or lies elsewhere is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from tests.conftest import disc_labels

from nanonuclei.data.corrected.changes import Changes, changes
from nanonuclei.data.corrected.shapes import Shape, pixels, problem
from nanonuclei.imaging.instances import from_labels
from nanonuclei.report.exports.outlines import outlines

SIZE = (20, 30)


def ring(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, np.float64)


SQUARE = ring((2, 3), (6, 3), (6, 8), (2, 8))


def test_a_square_on_pixel_corners_holds_exactly_the_pixels_inside() -> None:
    mask = np.zeros(SIZE, bool)
    mask.ravel()[pixels(Shape("a", (SQUARE,)), SIZE)] = True
    expected = np.zeros(SIZE, bool)
    expected[3:8, 2:6] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_ring_inside_a_ring_is_a_hole_and_what_lies_outside_of_the_image_is_cut_off() -> None:
    hole = ring((3, 4), (5, 4), (5, 7), (3, 7))
    assert len(pixels(Shape("a", (SQUARE, hole)), SIZE)) == 20 - 6
    assert len(pixels(Shape("a", (SQUARE - np.array([4, 5]),)), SIZE)) == 2 * 3


def test_outlines_of_objects_give_their_pixels_back() -> None:
    labels = disc_labels((64, 64), [(10.3, 12.1, 7.4), (40.0, 30.5, 12.2), (60.0, 60.0, 9.0)]).astype(np.int32)
    for number, outline in enumerate(outlines(from_labels(labels)), start=1):
        shape = Shape("a", (np.array(outline.exterior.coords),))
        np.testing.assert_array_equal(pixels(shape, (64, 64)), np.flatnonzero(labels == number))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (Shape("object 3", (ring((1, 1), (9, 9), (9, 1), (1, 9)),)), r"object 3 crosses itself near x 5, y 5\. Redraw"),
        (
            Shape("object 3", (SQUARE + np.array([100, 0]),)),
            r"object 3 lies at x 104, y 6, outside of its image of 30 x 20 px",
        ),
        (Shape("object 3", (SQUARE[:2],)), "fewer than three corners"),
        (Shape("object 3", (SQUARE / 15,)), "holds the middle of no pixel"),
        (Shape("object 3", (SQUARE * np.nan,)), "corners that are no numbers"),
        (Shape("object 3", mask=np.zeros(SIZE, bool)), "has no pixel"),
        (
            Shape("object 3", mask=np.ones((30, 20), bool)),
            r"drawn on an image of 20 x 30 px, but its image has 30 x 20",
        ),
        (Shape("object 3", (SQUARE,)), "^$"),
    ],
)
def test_an_object_that_cannot_be_used_is_told_with_the_remedy(shape: Shape, message: str) -> None:
    assert re.search(message, problem(shape, SIZE))


def test_a_small_loop_where_a_hand_closes_an_outline_is_no_crossing() -> None:
    angles = np.linspace(0, 2 * np.pi * 1.01, 80)
    hand = np.stack([10 + 8 * np.cos(angles), 10 + (8 + 0.3 * np.sin(3 * angles)) * np.sin(angles)], axis=1)
    hand[-1] += 0.2
    assert problem(Shape("a", (hand,)), SIZE) == ""


def test_lines_that_touch_at_a_corner_do_not_cross() -> None:
    touching = ring((0, 0), (4, 0), (4, 4), (8, 4), (8, 8), (4, 8), (4, 4), (0, 4))
    assert problem(Shape("a", (touching,)), SIZE) == ""


def test_changes_count_objects_that_were_added_removed_and_reshaped() -> None:
    predicted = disc_labels((40, 60), [(10, 10, 5), (10, 30, 5), (30, 10, 5)])
    corrected = disc_labels((40, 60), [(30, 45, 5), (10, 10, 5), (10, 30, 6)])
    assert changes(predicted, corrected) == Changes(kept=1, added=1, removed=1, reshaped=1)
    assert changes(predicted, predicted).number == 0
    assert changes(predicted, np.zeros_like(predicted)) == Changes(removed=3)
