"""Covering, cutting and blending."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanonuclei.errors import ConfigError, DataError
from nanonuclei.imaging.windows import Window, blend, cover, extract


@pytest.mark.parametrize(
    ("shape", "size", "stride", "starts"),
    [
        ((4, 4), 4, 4, [(0, 0)]),
        ((4, 10), 4, 3, [(0, 0), (0, 3), (0, 6)]),
        ((4, 9), 4, 3, [(0, 0), (0, 3), (0, 5)]),
        ((5, 6), (4, 3), (4, 3), [(0, 0), (0, 3), (1, 0), (1, 3)]),
        ((2, 3), 8, 8, [(0, 0)]),
        ((1, 1), 1, 1, [(0, 0)]),
    ],
)
def test_the_last_window_of_an_axis_ends_at_the_border(shape, size, stride, starts):
    windows = cover(shape, size, stride)
    assert [window[:2] for window in windows] == starts
    height, width = (size, size) if isinstance(size, int) else size
    assert {(w.y1 - w.y0, w.x1 - w.x0) for w in windows} == {(height, width)}


def test_the_stride_must_not_exceed_the_size():
    with pytest.raises(ConfigError, match=r"windows must cover the image: stride \(9, 9\) exceeds size \(8, 8\)"):
        cover((20, 20), 8, 9)


@pytest.mark.parametrize(("size", "stride"), [(0, 0), (4, 0), (4, (1, -1))])
def test_size_and_stride_must_be_at_least_one(size, stride):
    with pytest.raises(ConfigError, match="at least 1 px"):
        cover((20, 20), size, stride)


def test_an_image_without_pixels_cannot_be_covered():
    with pytest.raises(DataError, match="at least one pixel"):
        cover((0, 5), 4, 4)


def test_extraction_reflects_about_the_border_pixel_as_often_as_needed():
    image = np.array([[1, 2, 3]], np.uint16)
    patches = extract(image, cover(image.shape, (2, 8), 2))
    assert patches.dtype == np.uint16
    assert patches[0, :, :, 0].tolist() == [[1, 2, 3, 2, 1, 2, 3, 2]] * 2


def test_an_image_of_one_pixel_is_repeated():
    patches = extract(np.full((1, 1, 3), 7, np.uint8), [Window(0, 0, 5, 4)])
    assert patches.shape == (1, 5, 4, 3)
    assert (patches == 7).all()


def test_windows_hold_the_pixels_they_name():
    image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    windows = cover((5, 7), 3, 2)
    for patch, (y0, x0, y1, x1) in zip(extract(image, windows), windows, strict=True):
        np.testing.assert_array_equal(patch, image[y0:y1, x0:x1])


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_blending_what_was_extracted_gives_the_image_back(data):
    shape = (data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40)))
    size = (data.draw(st.integers(1, 24)), data.draw(st.integers(1, 24)))
    stride = (data.draw(st.integers(1, size[0])), data.draw(st.integers(1, size[1])))
    channels = data.draw(st.integers(0, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    image = rng.random((*shape, *([channels] if channels else []))).astype(np.float32)
    windows = cover(shape, size, stride)
    answers = extract(image, windows)
    blended = blend(answers if channels else answers[..., 0], windows, shape)
    assert blended.dtype == np.float32
    np.testing.assert_array_equal(blended, image)


def test_where_windows_disagree_the_nearer_centre_weighs_more():
    windows = cover((1, 6), (1, 4), (1, 2))
    answers = np.stack([np.zeros((1, 4)), np.ones((1, 4))])
    near, far = np.sin(np.pi * 1.5 / 4 + np.pi / 4) ** 2, np.sin(np.pi * 0.5 / 4) ** 2
    right = far / (far + near)
    np.testing.assert_allclose(blend(answers, windows, (1, 6))[0], [0, 0, right, 1 - right, 1, 1], atol=1e-6)


def test_a_single_window_that_covers_the_image_is_cropped():
    answers = np.arange(16, dtype=np.float64).reshape(1, 4, 4)
    blended = blend(answers, cover((2, 3), 4, 4), (2, 3))
    assert blended.dtype == np.float32
    assert blended.tolist() == [[0, 1, 2], [4, 5, 6]]


@pytest.mark.parametrize(
    ("answers", "windows", "message"),
    [
        (np.zeros((2, 4, 4)), [Window(0, 0, 4, 4)], "one answer"),
        (np.zeros((1, 3, 4)), [Window(0, 0, 4, 4)], "one answer"),
        (np.zeros((1, 4, 4)), [Window(0, 0, 4, 4)], "48 px of 8 x 8 are in none"),
        (np.zeros((0, 4, 4)), [], "one or more"),
        (np.zeros((2, 4, 4)), [Window(0, 0, 4, 4), Window(0, 4, 4, 9)], "of one size"),
        (np.zeros((1, 4, 4)), [Window(-1, 0, 3, 4)], "start inside"),
    ],
)
def test_answers_that_do_not_fit_the_windows_are_refused(answers, windows, message):
    with pytest.raises(DataError, match=message):
        blend(answers, windows, (8, 8))


def test_windows_are_cut_from_images_only():
    with pytest.raises(DataError, match="got shape"):
        extract(np.zeros((2, 3, 4, 5)), [Window(0, 0, 1, 1)])
