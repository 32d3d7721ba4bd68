"""Lines of any width are found, as many as were drawn and as wide."""

from __future__ import annotations

import numpy as np
import pytest
from tests.tasks.nanotubes.lines.test_candidates import settings

from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.nanotubes.lines.candidates import Candidate
from nanonuclei.tasks.nanotubes.lines.levels import candidates_at_levels, cells_at_level, reductions

FULL_WIDTH = 2.0 * np.sqrt(2.0 * np.log(2.0))
"""Full width at half maximum over standard deviation of a Gaussian."""


def parallel(*, width: float, rows: tuple[int, ...], shape: tuple[int, int] = (200, 300)) -> Float32Array:
    """Draws horizontal lines from column 30 to 270 with Gaussian profiles, on a noisy ground."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    grey = np.random.default_rng(0).normal(0.05, 0.004, shape)
    for row in rows:
        grey += 0.4 * np.exp(-0.5 * ((y - row) * FULL_WIDTH / width) ** 2) * ((x >= 30) & (x <= 270))
    return grey.astype(np.float32)


def found(grey: Float32Array, **changes: object) -> list[Candidate]:
    config = settings(joins="slender", **changes)
    nowhere = np.zeros(grey.shape, np.int32)
    return candidates_at_levels(np.ones_like(grey), grey, config, cells=nowhere, threshold=0.5)


@pytest.mark.parametrize("width", [1.5, 2.5, 4.0, 6.0, 8.0])
def test_lines_of_unknown_width_are_found_once_each(width: float) -> None:
    candidates = found(parallel(width=width, rows=(40, 100, 160)))
    assert sorted(round(float(one.line.points[:, 0].mean()) / 20) * 20 for one in candidates) == [40, 100, 160]
    for one in candidates:
        assert one.line.length == pytest.approx(240, abs=16)
        assert one.line.width == pytest.approx(width, abs=1.0)
        assert float(one.line.points[:, 0].mean()) % 60 == pytest.approx(40, abs=1.0)


@pytest.mark.parametrize("width", [10.0, 14.0])
def test_broad_lines_are_found_where_their_width_is_told(width: float) -> None:
    grey = parallel(width=width, rows=(60, 140))
    candidates = found(grey, width=width)
    assert [round(one.line.width) for one in candidates] == [pytest.approx(width, abs=2)] * 2
    assert found(grey) == []


def test_image_is_reduced_to_lines_of_the_width_that_filters_are_made_for() -> None:
    assert reductions(settings(joins="slender"), (512, 512)) == (1.0, 2.0)
    assert reductions(settings(joins="two"), (512, 512)) == (1.0,)
    assert reductions(settings(width=5.0), (512, 512)) == (2.0,)
    assert reductions(settings(width=1.0), (512, 512)) == (1.0,)
    assert reductions(settings(joins="slender"), (32, 400)) == (1.0,)


def test_cells_of_a_reduced_image_lie_where_they_are() -> None:
    y, x = np.mgrid[:120, :160]
    grey = np.where((y - 60) ** 2 + (x - 80) ** 2 <= 30**2, 0.8, 0.05).astype(np.float32)
    cells = cells_at_level(grey, None, settings(width=5.0))
    assert cells.shape == grey.shape
    assert cells.max() == 1
    true = grey > 0.5
    assert np.count_nonzero((cells > 0) & true) / np.count_nonzero((cells > 0) | true) > 0.85


@pytest.mark.parametrize("seed", range(10))
def test_empty_fields_have_no_candidate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:200, :200] / 200.0
    gradient = 0.1 + 0.4 * (rng.random() * x + rng.random() * y)
    grey = (gradient + rng.normal(0.0, 0.03, gradient.shape)).astype(np.float32)
    assert found(grey) == []
