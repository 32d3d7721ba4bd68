"""Images without any nucleus."""

from __future__ import annotations

import numpy as np
import pytest

from nanonuclei.data.augment.empty_fields import draw_dust, empty_field, textured


@pytest.mark.parametrize("size", [16, 64, 256])
def test_empty_field_spans_0_to_1(size: int) -> None:
    for seed in range(30):
        field = empty_field(size, rng=np.random.default_rng(seed))
        assert field.shape == (size, size)
        assert field.dtype == np.float32
        assert field.min() == 0.0
        assert field.max() == 1.0


def test_same_random_state_gives_the_same_field() -> None:
    first, second, other = (empty_field(64, rng=np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_grain_lies_within_1_of_0() -> None:
    grain = textured((64, 48), np.random.default_rng(0))
    assert grain.shape == (64, 48)
    assert np.abs(grain).max() == pytest.approx(1.0)


def test_dust_changes_a_field_in_place() -> None:
    changed = []
    for seed in range(20):
        field = np.full((64, 64), 0.5, np.float32)
        draw_dust(field, np.random.default_rng(seed))
        changed.append(float(np.mean(np.abs(field - 0.5) > 0.05)))
    assert max(changed) > 0.01
    assert sum(0.0 < share < 0.002 for share in changed) >= 5  # specks of a pixel to 3 x 3
