"""Cells: whole, apart or pressed together, with a nucleus each, and edges that face the background."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage

from nanonuclei.tasks.nanotubes.simulate.cells import Cells, depth, free_edge, grow_cells

SIZE = 320


@pytest.fixture(scope="module")
def scenes() -> list[Cells]:
    return [
        grow_cells(SIZE, radius=20.0, coverage=0.4, dividing=1.0, rng=np.random.default_rng(seed)) for seed in range(6)
    ]


def test_labels_run_from_1_to_n_and_each_cell_is_one_part(scenes):
    for cells in scenes:
        np.testing.assert_array_equal(np.unique(cells.labels), np.arange(len(cells) + 1))
        for label, box in enumerate(ndimage.find_objects(cells.labels), start=1):
            part = (cells.labels[box] == label).astype(np.uint8)
            assert cv2.connectedComponents(part, connectivity=4)[0] == 2


def test_cells_cover_about_what_was_asked_for(scenes):
    assert np.mean([(cells.labels > 0).mean() for cells in scenes]) == pytest.approx(0.4, abs=0.12)


def test_some_cells_touch_and_some_stand_alone(scenes):
    touching = alone = 0
    for cells in scenes:
        for label in range(1, len(cells) + 1):
            around = cv2.dilate((cells.labels == label).astype(np.uint8), np.ones((3, 3))) > 0
            if (cells.labels[around] != label)[cells.labels[around] > 0].any():
                touching += 1
            else:
                alone += 1
    assert touching > 20
    assert alone > 20


def test_nuclei_lie_within_their_cells_and_off_the_edge(scenes):
    for cells in scenes:
        nucleus = cells.nuclei > 0
        np.testing.assert_array_equal(cells.nuclei[nucleus], cells.labels[nucleus])
        assert (depth(cells.labels)[nucleus] > 2.0).all()


def test_nearly_all_cells_away_from_the_border_have_a_nucleus(scenes):
    without = whole = 0
    for cells in scenes:
        rim = np.unique(np.concatenate([cells.labels[0], cells.labels[-1], cells.labels[:, 0], cells.labels[:, -1]]))
        inner = np.setdiff1d(np.arange(1, len(cells) + 1), rim)
        whole += len(inner)
        without += len(np.setdiff1d(inner, cells.nuclei))
    assert whole > 100
    assert without <= 0.02 * whole


def test_free_edges_lie_between_their_cell_and_the_background(scenes):
    for cells in scenes:
        edge = free_edge(cells)
        assert len(edge) > 100
        np.testing.assert_allclose(np.hypot(*edge.normals.T), 1.0, atol=1e-5)
        inner, outer = (np.rint(edge.points + side * edge.normals).astype(int) for side in (-1.5, 1.5))
        np.testing.assert_array_equal(cells.labels[tuple(inner.T)], edge.owners)
        assert (cells.labels[tuple(outer.T)] == 0).all()


def test_sisters_are_round_equal_in_shape_and_apart(scenes):
    pairs = [(cells, pair) for cells in scenes for pair in cells.sisters]
    assert pairs
    for cells, (first, second) in pairs:
        assert cells.rounded[[first - 1, second - 1]].all()
        one, other = (cells.outlines[label - 1] - cells.outlines[label - 1].mean(axis=0) for label in (first, second))
        np.testing.assert_allclose(one, other, atol=1e-3)
        gap = np.hypot(*(cells.outlines[first - 1][:, None] - cells.outlines[second - 1]).transpose(2, 0, 1)).min()
        assert 4.0 <= gap <= 20.0


def test_without_dividing_cells_there_are_no_sisters():
    cells = grow_cells(SIZE, radius=20.0, coverage=0.4, dividing=0.0, rng=np.random.default_rng(0))
    assert cells.sisters == ()


def test_depth_counts_from_the_edge_on_both_sides_and_not_from_the_border():
    labels = np.zeros((20, 30), np.uint16)
    labels[:, 10:20] = 1
    labels[:, 20:] = 2
    np.testing.assert_allclose(depth(labels)[7], [*range(10, 0, -1), *[1, 2, 3, 4, 5, 5, 4, 3, 2, 1], *range(1, 11)])


def test_depth_without_any_edge_is_the_size():
    assert (depth(np.zeros((20, 30), np.uint16)) == 30.0).all()
