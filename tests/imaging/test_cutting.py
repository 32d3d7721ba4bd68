from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanonuclei.imaging.windows import cut

IMAGE = np.arange(12).reshape(3, 4)


@pytest.mark.parametrize(
    ("corner", "shape", "expected"),
    [
        ((0, 0), (3, 4), IMAGE.tolist()),
        ((1, 2), (2, 2), [[6, 7], [10, 11]]),
        ((0, -2), (1, 3), [[2, 1, 0]]),
        ((2, 3), (2, 2), [[11, 10], [7, 6]]),
        ((-1, 0), (1, 1), [[4]]),
    ],
)
def test_beyond_the_border_lies_the_mirror_image(
    corner: tuple[int, int], shape: tuple[int, int], expected: list[list[int]]
) -> None:
    assert cut(IMAGE, corner, shape).tolist() == expected


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(0, 20), st.integers(0, 20)),
    st.tuples(st.integers(0, 20), st.integers(0, 20)),
)
def test_any_rectangle_is_that_of_the_image_padded_as_numpy_does(
    size: tuple[int, int], before: tuple[int, int], after: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).random((*size, 2))
    padded = np.pad(image, (*zip(before, after, strict=True), (0, 0)), mode="reflect")
    found = cut(image, (-before[0], -before[1]), padded.shape[:2])
    np.testing.assert_array_equal(found, padded)
