"""Bridges and what looks like them, against the cells that they leave."""

from __future__ import annotations

import numpy as np
import pytest

from nanonuclei.tasks.nanotubes.lines.line import STEP
from nanonuclei.tasks.nanotubes.simulate.bridges import BASE, CLEARANCE, Nanotube, build_bridges, paint_bridges
from nanonuclei.tasks.nanotubes.simulate.cells import Cells, Edge, depth, free_edge, grow_cells
from nanonuclei.tasks.nanotubes.simulate.distractors import (
    FREE_END,
    draw_stress_fibres,
    grow_filopodia,
    grow_retraction_fibres,
    scratch,
)
from nanonuclei.tasks.nanotubes.simulate.strokes import Ink, render

SIZE = 384
SEED = 9
"""Of cells among which some are sisters."""


@pytest.fixture(scope="module")
def cells() -> Cells:
    return grow_cells(SIZE, radius=20.0, coverage=0.3, dividing=1.0, rng=np.random.default_rng(SEED))


@pytest.fixture(scope="module")
def edge(cells) -> Edge:
    return free_edge(cells)


@pytest.fixture(scope="module")
def tubes(cells, edge) -> list[Nanotube]:
    return build_bridges(cells, edge, num=60, longest=90.0, faint=0.3, rng=np.random.default_rng(5))


def strokes(ink: Ink) -> list[np.ndarray]:
    """The strokes of an ink: between two of them is a jump."""
    jumps = np.hypot(*np.diff(ink.points, axis=0).T) > 2 * STEP
    return np.split(ink.points, np.flatnonzero(jumps) + 1)


def test_bridges_begin_and_end_at_the_edges_of_the_two_cells_that_they_name(cells, tubes):
    assert len(tubes) >= 40
    for tube in tubes:
        assert tube.cells[0] != tube.cells[1]
        for end, label in zip(tube.line.points[[0, -1]], tube.cells, strict=True):
            places = np.argwhere(cells.labels == label)
            assert np.hypot(*(places - end).T).min() <= 1.5


def test_bridges_touch_no_third_cell(cells, tubes):
    for tube in tubes:
        others = np.where(np.isin(cells.labels, tube.cells), 0, cells.labels)
        at = np.rint(tube.line.points).astype(int)
        assert not others[tuple(at.T)].any()


def test_bridges_keep_clear_of_cells_between_their_bases(cells, tubes):
    room = np.where(cells.labels == 0, depth(cells.labels), 0.0)
    skip = int(BASE / STEP)
    for tube in tubes:
        at = np.rint(tube.line.points[skip:-skip]).astype(int)
        assert (room[tuple(at.T)] > CLEARANCE).all()


def test_pixels_of_a_bridge_are_on_its_line_and_outside_cells(cells, tubes):
    for tube in tubes:
        assert (cells.labels[tuple(tube.pixels.T)] == 0).all()
        distances = np.hypot(*(tube.pixels[:, None] - tube.line.points[None]).transpose(2, 0, 1)).min(axis=1)
        assert distances.max() <= max(tube.line.width, 1.0) / 2 + 0.1
        assert len(tube.pixels) >= 0.7 * (tube.line.length - 4)


def test_bridges_are_thin_nearly_straight_and_of_all_lengths(tubes):
    widths, lengths = ([getattr(tube.line, name) for tube in tubes] for name in ("width", "length"))
    assert 1.0 <= min(widths) < 1.5
    assert 2.0 < max(widths) <= 3.0
    assert min(lengths) < 20 < 60 < max(lengths) < 100
    assert min(tube.line.straightness for tube in tubes) > 0.95


def test_some_bridges_cross_and_none_runs_along_another(tubes):
    owners = [set(map(tuple, tube.pixels.tolist())) for tube in tubes]
    shares = [len(one & other) / min(len(one), len(other)) for i, one in enumerate(owners) for other in owners[:i]]
    assert sum(share > 0 for share in shares) >= 2
    assert max(shares) <= 0.25


def test_sisters_are_not_joined_by_bridges(cells, tubes):
    assert cells.sisters
    joined = {frozenset(tube.cells) for tube in tubes}
    assert not joined & {frozenset(pair) for pair in cells.sisters}


def test_faint_bridges_have_less_light(tubes):
    assert 0.1 < np.mean([tube.faint for tube in tubes]) < 0.5
    dim, bright = (
        np.mean(
            [
                np.median(
                    render(paint_bridges([tube], floor=2.0, rng=np.random.default_rng(0)), SIZE)[tuple(tube.pixels.T)]
                )
                for tube in tubes
                if tube.faint is faint
            ]
        )
        for faint in (True, False)
    )
    assert dim < 2.5 * 2.0 < bright


def test_without_cells_there_is_nothing_to_join():
    none = Cells(
        *np.zeros((2, 64, 64), np.uint16), np.zeros((0, 160, 2), np.float32), np.zeros(0), np.zeros(0, bool), ()
    )
    edge, rng = free_edge(none), np.random.default_rng(0)
    assert build_bridges(none, edge, num=5, longest=50.0, faint=0.0, rng=rng) == []
    assert len(grow_filopodia(none, edge, amount=3.0, peak=1.0, rng=rng)) == 0


@pytest.mark.parametrize("grow", [grow_filopodia, grow_retraction_fibres])
def test_filopodia_and_retraction_fibres_end_away_from_every_cell(cells, edge, grow):
    room = np.where(cells.labels == 0, depth(cells.labels), 0.0)
    parts = strokes(grow(cells, edge, amount=2.0, peak=10.0, rng=np.random.default_rng(6)))
    assert len(parts) > 50
    for part in parts:
        assert room[tuple(np.rint(part[-1]).astype(int))] >= FREE_END
        begins = room[tuple(np.rint(part[0]).astype(int))] <= 2.0
        assert begins or grow is grow_retraction_fibres


def test_stress_fibres_stay_within_cells(cells):
    light = render(draw_stress_fibres(cells, amount=1.0, peak=10.0, rng=np.random.default_rng(7)), SIZE)
    assert light[cells.labels > 0].sum() > 0.99 * light.sum() > 0.0


def test_scratches_only_take_light_away():
    left = scratch(SIZE, num=4, rng=np.random.default_rng(8))
    assert 0.2 <= left.min() < 0.8
    assert left.max() <= 1.0
    assert np.median(left) == pytest.approx(1.0, abs=1e-3)
