from __future__ import annotations

import numpy as np
import pytest
from tests.conftest import disc_labels

from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.nanotubes.lines.cell_bodies import cell_bodies

Discs = list[tuple[float, float, float]]


def shown(discs: Discs, *, tube: bool = False) -> Float32Array:
    grey = np.where(disc_labels((96, 96), discs) > 0, 0.6, 0.1)
    if tube:
        grey[47:50] = np.maximum(grey[47:50], 0.6)
    return (grey + np.random.default_rng(0).normal(0.0, 0.01, grey.shape)).astype(np.float32)


APART: Discs = [(24, 24, 14), (70, 70, 14)]
TOUCHING: Discs = [(48, 34, 15), (48, 62, 15)]


@pytest.mark.parametrize(("discs", "number"), [(APART, 2), (TOUCHING, 2), ([(48, 48, 20)], 1)])
def test_cells_are_counted_also_where_they_touch(discs: Discs, number: int) -> None:
    assert cell_bodies(shown(discs), radius=5).max() == number


def test_cells_have_the_shape_that_was_drawn() -> None:
    found, true = cell_bodies(shown(APART), radius=5) > 0, disc_labels((96, 96), APART) > 0
    assert np.count_nonzero(found & true) / np.count_nonzero(found | true) > 0.85


def test_nanotube_between_cells_is_no_part_of_them() -> None:
    cells = cell_bodies(shown([(48, 16, 12), (48, 80, 12)], tube=True), radius=5)
    assert cells.max() == 2
    assert not cells[:, 40:56].any()


def test_nuclei_part_cells_that_have_no_neck() -> None:
    block = np.full((96, 96), 0.1, np.float32)
    block[30:66, 12:84] = 0.6
    nuclei = shown([(48, 28, 8), (48, 68, 8)])
    assert cell_bodies(block, nuclei, radius=5).max() == 2
    halves = cell_bodies(block, nuclei, radius=5)
    assert halves[48, 28] != halves[48, 68]


def test_cell_whose_nucleus_is_not_seen_counts() -> None:
    assert cell_bodies(shown(APART), shown([(24, 24, 7)]), radius=5).max() == 2


def test_nucleus_without_a_cell_counts_for_nothing() -> None:
    assert cell_bodies(shown(APART), shown([(24, 24, 7), (70, 70, 7), (20, 80, 7)]), radius=5).max() == 2


def test_even_image_has_no_cells() -> None:
    assert cell_bodies(np.zeros((40, 40), np.float32), radius=5).max() == 0
