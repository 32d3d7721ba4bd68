from __future__ import annotations

import numpy as np
import pytest

from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.nanotubes.lines.following import Ground, contrast, follow, line_contrast, make_ground, values_at
from nanonuclei.tasks.nanotubes.lines.line import resample

SHAPE = (64, 128)


def ground(*, end: int, bend: float = 0.0, cell: int = 200) -> Ground:
    """A line 0.5 bright along row 32, from column 10 to `end`, sloping beyond column 40; a cell from a column on."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float64)
    middle = 32.0 + bend * np.maximum(x - 40.0, 0.0)
    grey = 0.5 * np.exp(-0.5 * (y - middle) ** 2) * ((x >= 10) & (x <= end))
    grey += np.random.default_rng(0).normal(0.1, 0.01, SHAPE)
    return make_ground(grey.astype(np.float32), np.where(x >= cell, 7, 0).astype(np.int32))


def piece(*, backwards: bool = False) -> Float32Array:
    line = resample(np.array([(32.0, 20.0), (32.0, 30.0)]))
    return line[::-1] if backwards else line


def test_contrast_is_that_of_the_line_and_none_beside_it() -> None:
    seen = ground(end=100)
    assert line_contrast(seen, piece()) == pytest.approx(0.42, abs=0.06)  # 0.5, less what the blur takes
    assert line_contrast(seen, piece() + np.float32((12.0, 0.0))) == pytest.approx(0.0, abs=0.02)
    assert line_contrast(seen, piece()[:1]).tolist() == [0.0]


@pytest.mark.parametrize("bend", [0.0, 0.15])
def test_line_is_followed_to_its_free_end(bend: float) -> None:
    ((way, cell),) = follow(ground(end=100, bend=bend), [piece()], levels=np.array([0.4]), share=0.35)
    assert cell == 0
    assert way[-1] == pytest.approx((32 + 60 * bend, 100), abs=7.0)


def test_line_is_followed_to_the_cell_that_it_meets_whichever_way_it_runs() -> None:
    seen = ground(end=90, cell=90)
    ahead, back = follow(seen, [piece(), piece(backwards=True)], levels=np.array([0.4, 0.4]), share=0.35)
    assert ahead[1] == 7
    assert ahead[0][-1] == pytest.approx((32, 90), abs=1.5)
    assert back[1] == 0
    assert back[0][-1, 1] == pytest.approx(10, abs=7.0)
    assert (np.hypot(*np.diff(ahead[0], axis=0).T) <= 0.51).all()


def test_cell_behind_a_gap_is_not_reached() -> None:
    ((_, cell),) = follow(ground(end=60, cell=75), [piece()], levels=np.array([0.4]), share=0.35)
    assert cell == 0


def test_no_lines_are_no_ways() -> None:
    assert follow(ground(end=60), [], levels=np.zeros(0), share=0.35) == []


def test_any_number_of_points_is_measured_at_once() -> None:
    ramp = np.tile(np.arange(128, dtype=np.float32), (64, 1))
    places = np.stack(np.meshgrid(np.arange(2.0, 60.0, 0.25), np.arange(1.0, 126.0, 0.25), indexing="ij"), axis=-1)
    assert places[..., 0].size > 2 * 2**15
    assert values_at(ramp, places) == pytest.approx(places[..., 1], abs=0.05)
    many = np.tile(piece(), (2**15 // len(piece()) + 2, 1)).astype(np.float64)
    along = np.broadcast_to([0.0, 1.0], many.shape)
    together = contrast(ground(end=100), many[:, None], along[:, None])[:, 0]
    assert len(together) > 2**15
    assert together == pytest.approx(np.tile(together[: len(piece())], 2**15 // len(piece()) + 2))
