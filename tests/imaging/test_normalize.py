"""Grey limits and the mapping to network input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nanonuclei.config.shared import NormalizeConfig
from nanonuclei.errors import DataError
from nanonuclei.imaging.normalize import grey_limits, normalize

PERCENTILE = NormalizeConfig(kind="percentile", low=1.0, high=99.8)
RANGE = NormalizeConfig(kind="range", low=1.0, high=99.8)


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12).flatmap(
            lambda shape: st.sampled_from([shape, (*shape, 1), (*shape, 3)])
        ),
    )
)
def test_percentiles_are_those_of_numpy(image):
    low, high = np.percentile(image, (PERCENTILE.low, PERCENTILE.high))
    if low == high:
        low, high = image.min(), image.max()
    assert grey_limits(image, PERCENTILE) == pytest.approx((low, high), abs=1e-3)


def test_few_bright_pixels_on_black_fall_back_to_the_extremes():
    for dtype in (np.uint8, np.uint16, np.float32):
        image = np.zeros((64, 64), dtype)
        image[3, 3] = 200
        assert grey_limits(image, PERCENTILE) == (0.0, 200.0)


@pytest.mark.parametrize(
    ("dtype", "high"), [(np.uint8, 255.0), (np.uint16, 65535.0), (np.float32, 1.0), (np.float64, 1.0)]
)
def test_the_range_is_that_of_the_type(dtype, high):
    assert grey_limits(np.ones((2, 2), dtype), RANGE) == (0.0, high)


def test_alpha_decides_nothing():
    rgb = np.random.default_rng(0).integers(10, 90, (16, 16, 3)).astype(np.uint8)
    rgba = np.dstack([rgb, np.full((16, 16), 255, np.uint8)])
    assert grey_limits(rgba, PERCENTILE) == grey_limits(rgb, PERCENTILE)
    np.testing.assert_array_equal(normalize(rgba, (10.0, 90.0)), normalize(rgb, (10.0, 90.0)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_grey_is_stretched_clipped_and_replicated(dtype):
    image = np.array([[0, 50, 100], [150, 200, 250]], dtype)
    expected = np.array([[0, 0, 0.25], [0.5, 0.75, 1]])
    for grey in (image, image[..., None]):
        result = normalize(grey, (50.0, 250.0))
        assert result.dtype == np.float32
        assert result.shape == (2, 3, 3)
        np.testing.assert_allclose(result, np.repeat(expected[..., None], 3, axis=2), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_colours_keep_their_channels(dtype):
    image = np.array([[[0, 50, 100], [200, 20, 0]]], dtype)
    np.testing.assert_allclose(normalize(image, (0.0, 100.0)), [[[0, 0.5, 1], [1, 0.2, 0]]], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_a_constant_image_becomes_zeros(dtype):
    image = np.full((4, 5), 77, dtype)
    result = normalize(image, grey_limits(image, PERCENTILE))
    assert result.shape == (4, 5, 3)
    assert not result.any()


def test_a_view_of_a_larger_image_is_read_like_its_copy():
    image = np.random.default_rng(1).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    patch = image[3:15, ::-1]
    assert grey_limits(patch, PERCENTILE) == grey_limits(patch.copy(), PERCENTILE)
    np.testing.assert_array_equal(normalize(patch, (5.0, 99.0)), normalize(patch.copy(), (5.0, 99.0)))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 2, 2), np.uint8), "1, 3 or 4 channels"),
        (np.zeros((0, 2), np.uint8), "got shape"),
        (np.zeros((2, 2), np.int32), "got int32"),
        (np.zeros((2, 2), bool), "got bool"),
        (np.array([[0.5, np.nan]]), "got 1 that are not"),
        (np.array([[0.5, np.inf]]), "finite"),
    ],
)
def test_what_is_no_image_is_refused(image, message):
    for act in (lambda: grey_limits(image, RANGE), lambda: normalize(image, (0.0, 1.0))):
        with pytest.raises(DataError, match=message):
            act()


@pytest.mark.parametrize("limits", [(2.0, 1.0), (float("nan"), 1.0)])
def test_low_must_not_exceed_high(limits):
    with pytest.raises(DataError, match="low <= high"):
        normalize(np.zeros((2, 2), np.uint8), limits)
