"""Labels of windows agree with counting pixels one by one."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanonuclei.errors import DataError
from nanonuclei.imaging.windows import Window, cover
from nanonuclei.tasks.nanotubes.data_config import WindowLabelsConfig
from nanonuclei.tasks.nanotubes.sources.images import paint_boxes
from nanonuclei.tasks.nanotubes.sources.samples import TubeTruth
from nanonuclei.tasks.nanotubes.target import box_shares, core_of, label_windows


def config(**changes: float) -> WindowLabelsConfig:
    values = {"core": 0.5, "min_pixels": 4, "min_share": 0.4, "clear_margin": 0} | changes
    return WindowLabelsConfig.model_validate(values)


def mask_truth(labels: np.ndarray) -> TubeTruth:
    return TubeTruth("mask", labels.astype(np.uint16), (), (), None, None)


def boxes_truth(boxes: list[tuple[float, ...]], shape: tuple[int, int]) -> TubeTruth:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return TubeTruth("boxes", paint_boxes(array, shape), (), (), None, None, array)


def line(shape: tuple[int, int] = (40, 40)) -> np.ndarray:
    """A horizontal nanotube, 20 px long: row 20, columns 10 to 29."""
    labels = np.zeros(shape, np.uint16)
    labels[20, 10:30] = 1
    return labels


@pytest.mark.parametrize(
    ("window", "changes", "expected", "why"),
    [
        (Window(10, 10, 30, 30), {}, 1, "ten px in the core of 10 px"),
        (Window(10, 10, 30, 30), {"min_pixels": 10}, 1, "exactly as many as asked for"),
        (Window(10, 10, 30, 30), {"min_pixels": 11}, -1, "one less than asked for"),
        (Window(0, 0, 16, 16), {}, 0, "far away"),
        (Window(0, 0, 20, 20), {}, 0, "ends right above it"),
        (Window(0, 0, 20, 20), {"clear_margin": 1}, -1, "it begins within the margin"),
        (Window(1, 1, 21, 21), {}, -1, "only the window holds it, not the core"),
        (Window(30, 30, 60, 60), {}, 0, "reaches beyond the image"),
        (Window(-10, -10, 10, 10), {}, 0, "begins beyond the image"),
    ],
)
def test_a_drawn_nanotube_makes_windows_positive_negative_or_left_out(window, changes, expected, why):
    assert label_windows(mask_truth(line()), [window], config(**changes)).tolist() == [expected], why


@pytest.mark.parametrize(
    ("box", "window", "expected"),
    [
        ((10, 10, 30, 30), Window(0, 0, 40, 40), 1),  # the core, 10..30, holds all of it
        ((10, 10, 30, 30), Window(0, 0, 20, 20), -1),  # the core, 5..15, holds a quarter of one diagonal
        ((18, 0, 22, 40), Window(10, 10, 30, 30), -1),  # the core holds 10 px of 40
        ((18, 0, 22, 20), Window(10, 10, 30, 30), -1),  # 5 of 20
        ((18, 5, 22, 25), Window(10, 10, 30, 30), 1),  # 10 of 20
        ((0, 0, 5, 5), Window(10, 10, 30, 30), 0),
    ],
)
def test_boxes_count_by_the_share_of_their_length(box, window, expected):
    assert label_windows(boxes_truth([box], (40, 40)), [window], config()).tolist() == [expected]


def test_shares_of_several_boxes_do_not_add_up():
    truth = boxes_truth([(18, 0, 22, 20), (18, 20, 22, 40)], (40, 40))
    assert label_windows(truth, [Window(10, 10, 30, 30)], config(min_share=0.3)).tolist() == [-1]


@pytest.mark.parametrize(
    ("positive", "window", "expected"),
    [
        (True, Window(0, 0, 32, 32), 1),
        (True, Window(0, 0, 48, 48), 1),
        (True, Window(0, 0, 16, 16), -1),
        (False, Window(0, 0, 32, 32), 0),
        (False, Window(0, 0, 16, 16), 0),
    ],
)
def test_a_patch_tells_only_of_windows_that_hold_all_of_it(positive, window, expected):
    truth = TubeTruth("patch", np.full((32, 32), positive, np.uint16), (), (), None, None)
    assert label_windows(truth, [window], config()).tolist() == [expected]


def test_windows_without_pixels_are_refused_and_none_are_fine():
    with pytest.raises(DataError, match=r"at least one pixel, got \(5, 5, 5, 9\)"):
        label_windows(mask_truth(line()), [Window(5, 5, 5, 9)], config())
    assert label_windows(mask_truth(line()), [], config()).shape == (0,)


@pytest.mark.parametrize(
    ("window", "core", "expected"),
    [
        ((0, 0, 8, 8), 0.75, (1, 1, 7, 7)),
        ((0, 0, 8, 8), 1.0, (0, 0, 8, 8)),
        ((4, 2, 11, 9), 0.5, (5, 3, 10, 8)),  # 1.75 px on either side, rounded down
        ((0, 0, 2, 2), 0.01, (0, 0, 2, 2)),  # a pixel is left, on both sides alike
        ((0, 0, 3, 3), 0.01, (1, 1, 2, 2)),
    ],
)
def test_cores_lie_in_the_middle(window, core, expected):
    assert core_of(np.array([window]), core).tolist() == [list(expected)]


windows_of_any_place = st.lists(
    st.tuples(st.integers(-6, 20), st.integers(-6, 20), st.integers(1, 18), st.integers(1, 18)).map(
        lambda one: Window(one[0], one[1], one[0] + one[2], one[1] + one[3])
    ),
    max_size=8,
)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**16),
    windows=windows_of_any_place,
    core=st.floats(0.05, 1.0),
    min_pixels=st.integers(1, 12),
    clear_margin=st.integers(0, 4),
)
def test_masks_are_counted_as_by_hand(seed, windows, core, min_pixels, clear_margin):
    mask = np.random.default_rng(seed).random((17, 23)) < 0.08

    def count(y0: int, x0: int, y1: int, x1: int) -> int:
        return sum(bool(mask[y, x]) for y in range(17) for x in range(23) if y0 <= y < y1 and x0 <= x < x1)

    labels = label_windows(
        mask_truth(mask), windows, config(core=core, min_pixels=min_pixels, clear_margin=clear_margin)
    )
    for window, label in zip(windows, labels, strict=True):
        inner = core_of(np.array([window]), core)[0].tolist()
        grown = [window.y0 - clear_margin, window.x0 - clear_margin, window.y1 + clear_margin, window.x1 + clear_margin]
        assert label == (1 if count(*inner) >= min_pixels else 0 if count(*grown) == 0 else -1)


@settings(deadline=None, max_examples=40)
@given(
    box=st.tuples(st.floats(0, 20), st.floats(0, 20), st.floats(0.5, 20), st.floats(0.5, 20)),
    window=st.tuples(st.integers(-5, 30), st.integers(-5, 30), st.integers(1, 30), st.integers(1, 30)),
)
def test_shares_of_boxes_are_those_of_points_on_their_diagonals(box, window):
    y0, x0, height, width = box
    corners = np.array([[window[0], window[1], window[0] + window[2], window[1] + window[3]]])
    along = (np.arange(20_000) + 0.5) / 20_000
    down, across = y0 + along * height, x0 + along * width
    inside = [
        np.mean((corners[0, 0] <= down) & (down < corners[0, 2]) & (corners[0, 1] <= x) & (x < corners[0, 3]))
        for x in (across, across[::-1])
    ]
    share = box_shares(np.array([y0, x0, y0 + height, x0 + width], np.float64), corners)
    assert share[0] == pytest.approx(np.mean(inside), abs=1e-3)


def test_a_hundred_thousand_windows_take_seconds_at_most():
    labels = np.zeros((2600, 2600), np.uint16)
    labels[np.arange(2600), np.arange(2600)] = 1
    windows = cover(labels.shape, 64, 8)
    assert len(windows) > 100_000
    begin = time.process_time()
    answers = label_windows(mask_truth(labels), windows, config())
    assert time.process_time() - begin < 10.0
    assert set(answers.tolist()) == {-1, 0, 1}
