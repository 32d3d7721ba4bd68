"""Lines of known length, width and ends."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nanonuclei.errors import DataError
from nanonuclei.tasks.nanotubes.lines.line import STEP, Line, LineMeasure, measure, resample, trace

SHAPE = (120, 130)


def bar(length: float, width: float, degrees: float, middle: tuple[float, float] = (60.0, 64.0)) -> np.ndarray:
    """A rectangle of this length and width, turned, as a mask."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    turn = np.radians(degrees)
    dy, dx = y - middle[0], x - middle[1]
    along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    return (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2)


@pytest.mark.parametrize("degrees", [0.0, 11.0, 22.5, 45.0, 67.0, 90.0, 135.0])
@pytest.mark.parametrize(("length", "width"), [(30.0, 2.0), (60.0, 3.0), (90.0, 5.0)])
def test_a_bar_has_its_length_its_width_and_is_straight(length, width, degrees):
    mask = bar(length, width, degrees)
    line = trace(mask)
    assert line.length == pytest.approx(length, abs=2.0)
    assert line.width == pytest.approx(mask.sum() / length, rel=0.08)
    assert line.straightness > 0.985


def test_a_row_of_pixels_is_as_long_as_it_has_pixels():
    mask = np.zeros(SHAPE, bool)
    mask[7, 10:50] = True
    line = trace(mask)
    assert line.length == pytest.approx(40.0, abs=0.6)
    assert line.width == pytest.approx(1.0, abs=0.03)
    np.testing.assert_allclose(line.points[:, 0], 7.0, atol=1e-4)
    assert sorted(np.rint(line.points[[0, -1], 1])) == pytest.approx([10.0, 49.0], abs=1.0)


def test_half_a_circle_is_pi_times_its_radius_long_and_two_over_pi_straight():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance = np.hypot(y - 60, x - 64)
    line = trace((np.abs(distance - 40.0) <= 1.5) & (y <= 60))
    assert line.length == pytest.approx(np.pi * 40.0, rel=0.02)
    assert line.straightness == pytest.approx(2 / np.pi, abs=0.015)
    assert line.width == pytest.approx(3.0, rel=0.05)


def test_a_side_branch_is_left_out_of_the_length():
    mask = bar(80.0, 3.0, 0.0)
    mask[60:70, 64:66] = True
    assert trace(mask).length == pytest.approx(80.0, abs=2.5)


def test_the_largest_of_several_parts_counts():
    mask = bar(60.0, 3.0, 30.0)
    mask[5, 5:15] = True
    assert trace(mask).length == pytest.approx(60.0, abs=2.0)


@pytest.mark.parametrize("num", [1, 2])
def test_specks_have_centre_lines_too(num):
    mask = np.zeros((5, 6), bool)
    mask[2, 3 : 3 + num] = True
    line = trace(mask)
    assert line.length <= num
    assert line.width == pytest.approx(num / max(line.length, 1.0))
    assert 0.0 <= line.straightness <= 1.0


def test_a_mask_at_the_border_is_traced_in_the_coordinates_of_the_image():
    mask = np.zeros((20, 40), bool)
    mask[0, :] = True
    points = trace(mask).points
    np.testing.assert_allclose(points[:, 0], 0.0, atol=1e-4)
    assert points[:, 1].min() == pytest.approx(-0.5, abs=0.3)
    assert points[:, 1].max() == pytest.approx(39.5, abs=0.3)


@pytest.mark.parametrize("mask", [np.zeros((4, 4), bool), np.ones((2, 2, 2), bool)])
def test_what_has_no_centre_line_is_refused(mask):
    with pytest.raises(DataError, match="centre line needs"):
        trace(mask)


LABELS = np.zeros(SHAPE, np.int32)
LABELS[40, 20:60] = 3  # from cell 1 to cell 2
LABELS[50, 20:40] = 5  # from cell 1 to nowhere
LABELS[70:100, 100] = 9  # from nowhere to nowhere
LABELS[42:57, 18] = 11  # from cell 1 to cell 1
CELLS = np.zeros(SHAPE, np.uint16)
CELLS[30:62, 5:18] = 1
CELLS[30:45, 62:80] = 2


def test_lines_know_the_cells_at_their_ends():
    found = measure(LABELS, CELLS)
    assert [sorted(line.cells) for line in found] == [[1, 2], [0, 1], [0, 0], [1, 1]]
    assert [line.joins for line in found] == [True, False, False, False]
    assert [round(line.line.length) for line in found] == [40, 20, 30, 15]


def test_cells_are_in_the_order_of_the_ends():
    line = measure(LABELS, CELLS)[0]
    first_is_left = line.line.points[0, 1] < line.line.points[-1, 1]
    assert line.cells == ((1, 2) if first_is_left else (2, 1))


@pytest.mark.parametrize(("reach", "joins"), [(1.0, False), (2.0, False), (3.0, True)])
def test_a_cell_beyond_reach_is_not_met(reach, joins):
    assert measure(LABELS, CELLS, reach=reach)[0].joins is joins


def test_without_cells_no_line_joins_any():
    assert [line.cells for line in measure(LABELS)] == [(0, 0)] * 4


def test_no_objects_give_no_lines():
    assert measure(np.zeros((9, 9), np.int32), np.ones((9, 9), np.int32)) == []


def test_cells_of_another_image_are_refused():
    with pytest.raises(DataError, match="one image"):
        measure(LABELS, CELLS[1:])


@settings(deadline=None, max_examples=60)
@given(
    ends=st.tuples(*[st.floats(5.0, 90.0)] * 4),
    width=st.floats(0.3, 5.0),
)
def test_pixels_of_a_line_hang_together_and_lie_within_half_its_width(ends, width):
    line = Line(resample(np.array(ends).reshape(2, 2)), width)
    assume(line.length > 1.5)
    pixels = line.pixels((100, 100))
    mask = np.zeros((100, 100), np.uint8)
    mask[tuple(pixels.T)] = 1
    assert cv2.connectedComponents(mask, connectivity=8)[0] == 2
    assert mask.sum() == len(pixels)
    distances = np.hypot(*(pixels[:, None] - line.points[None]).transpose(2, 0, 1)).min(axis=1)
    assert distances.max() <= np.hypot(max(width, 1.0) / 2, STEP / 2) + 1e-4


def test_a_point_between_pixels_has_one_of_them():
    assert len(Line(np.full((1, 2), 5.5, np.float32), 0.5).pixels((9, 9))) == 1
    assert len(Line(np.full((1, 2), -5.5, np.float32), 0.5).pixels((9, 9))) == 0


def test_pixels_outside_the_image_are_left_out():
    line = Line(resample(np.array([[-4.0, 3.0], [12.0, 3.0]])), 1.0)
    np.testing.assert_array_equal(line.pixels((10, 10)), [[y, 3] for y in range(10)])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 99), st.floats(0, 99)), min_size=1, max_size=6))
def test_resampling_keeps_the_ends_and_steps_no_wider_than_asked(corners):
    points = resample(np.array(corners))
    np.testing.assert_allclose(points[[0, -1]], np.array(corners)[[0, -1]], atol=1e-4)
    assert (np.hypot(*np.diff(points, axis=0).T) <= STEP + 1e-4).all()


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.zeros((3, 3)), np.zeros(4)])
def test_what_is_no_polyline_is_refused(points):
    with pytest.raises(DataError, match="a line needs"):
        resample(points)


def test_a_measure_joins_only_two_different_cells():
    line = Line(np.zeros((1, 2), np.float32), 1.0)
    table = {(1, 2): True, (2, 2): False, (0, 2): False, (0, 0): False}
    assert {cells: LineMeasure(line, cells).joins for cells in table} == table
    assert (line.length, line.straightness) == (0.0, 1.0)
