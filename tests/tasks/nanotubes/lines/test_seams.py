"""Lines of a large image do not depend on the windows that it is read by: each is there once, and whole."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import ROOT, disc_labels

from nanonuclei.config.params import load_experiment
from nanonuclei.imaging.seams.grid import Grid
from nanonuclei.imaging.types import Box, Float32Array, Int32Array
from nanonuclei.tasks.gathering import Gathered
from nanonuclei.tasks.nanotubes.lines.candidates import Candidate
from nanonuclei.tasks.nanotubes.lines.line import Line, resample
from nanonuclei.tasks.nanotubes.lines.seams import LineGatherer

SHAPE = (400, 440)
ENDS = [
    *([(20, 20), (20, 90)], [(40, 100), (140, 100)], [(200, 30), (260, 90)], [(300, 60), (300, 74)]),
    *([(60, 200), (60, 430)], [(380, 10), (90, 400)], [(150, 300), (390, 300)], [(31, 128), (97, 128)]),
]
"""Lines, y and x of their ends: short ones, some that lie along seams, and some longer than any window."""

CELLS = disc_labels(SHAPE, [(60, 190, 9), (60, 435, 4), (400, 300, 9)])


def lines() -> list[Float32Array]:
    return [resample(np.array(ends, np.float64)) for ends in ENDS]


def seen(box: Box) -> tuple[Int32Array, list[Candidate]]:
    """What a perfect network and read-out see in a window."""
    y0, x0, y1, x1 = box
    cells = CELLS[y0:y1, x0:x1].astype(np.int32)
    found = []
    for number, points in enumerate(lines()):
        inside = (points >= (y0, x0)).all(axis=1) & (points <= (y1 - 1, x1 - 1)).all(axis=1)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
        for start, end in pairwise(edges[: 2 * (len(edges) // 2)].tolist()):
            part = points[start:end] - np.array([y0, x0], np.float32)
            if inside[start] and len(part) > 20:
                whole = Line(part[::-1] if (y0 + x0) % 2 else part, 2.0)
                meets = [_near(whole.points[place], cells) for place in (0, -1)]
                found.append(Candidate(whole, 0.5 + number / 100, 10.0, (meets[0], meets[1])))
    return cells, found


def _near(end: Float32Array, cells: Int32Array) -> int:
    y, x = (max(0, round(float(value)) - 14) for value in end)
    return int(cells[y : y + 29, x : x + 29].max(initial=0))


def gathered(side: int, margin: int, folder: Path) -> Gathered:
    grid, here = Grid(SHAPE, side, margin), [(0, 0, 0, 0)]
    config = load_experiment("nanotubes", path=ROOT / "params.yaml").tubes
    gatherer = LineGatherer(lambda _: seen(here[0]), config, SHAPE, folder / "cells")
    for row in grid.rows():
        gatherer.advance(row[0].box[0], row[0].box[2])
        for tile in row:
            here[0] = tile.box
            gatherer.add(np.zeros((1, 1, 2), np.float32), tile)
    return gatherer.gathered(grid.step)


def drawn(found: Gathered) -> NDArray[np.bool_]:
    return found.read((0, 0, *SHAPE)) > 0


@pytest.mark.parametrize(("side", "margin"), [(500, 40), (200, 60), (150, 40), (130, 33), (256, 64)])
def test_lines_are_those_of_the_whole_whatever_the_windows(side: int, margin: int, tmp_path: Path) -> None:
    found = gathered(side, margin, tmp_path)
    lengths = sorted(float(row["length"]) for row in found.rows)
    assert lengths == pytest.approx(sorted(Line(points, 2.0).length for points in lines()), abs=1.0)
    assert np.sort(found.scores) == pytest.approx([0.5 + number / 100 for number in range(8)], abs=1e-4)
    truth = np.zeros(SHAPE, np.uint8)
    for (y0, x0), (y1, x1) in ENDS:
        cv2.line(truth, (x0, y0), (x1, y1), 1)
    near = cv2.dilate(truth, np.ones((5, 5), np.uint8)) > 0
    assert not (drawn(found) & ~near).any()
    assert np.count_nonzero(drawn(found) & (truth > 0)) > 0.97 * np.count_nonzero(truth)


@pytest.mark.parametrize(("side", "margin"), [(500, 40), (150, 40)])
def test_cells_have_one_number_in_the_whole_image(side: int, margin: int, tmp_path: Path) -> None:
    found = gathered(side, margin, tmp_path)
    assert found.measures == {"num_cells": 3, "objects_per_cell": round(8 / 3, 4)}
    ends = {tuple(sorted((row["first_cell"], row["last_cell"]))) for row in found.rows}
    pair, end = max(ends), next(one for one in ends if one[0] == 0 < one[1])
    assert ends == {(0, 0), pair, end}
    assert 0 < pair[0] < pair[1]
    assert end[1] not in pair
    cells = found.layers["cells"]((0, 0, *SHAPE))
    np.testing.assert_array_equal(cells > 0, CELLS > 0)
    numbers = {cells[y - 1, x - 1] for y, x in ((60, 190), (60, 435), (400, 300))}
    assert numbers == {1, 2, 3}
    assert cells[60, 190] in pair


def test_windows_of_the_label_image_agree_with_the_boxes(tmp_path: Path) -> None:
    found = gathered(150, 40, tmp_path)
    labels = found.read((0, 0, *SHAPE))
    np.testing.assert_array_equal(found.read((33, 50, 210, 300)), labels[33:210, 50:300])
    for number, (y0, x0, y1, x1) in enumerate(found.boxes.tolist(), start=1):
        y, x = np.nonzero(labels == number)
        assert y0 <= y.min()
        assert y.max() < y1
        assert x0 <= x.min()
        assert x.max() < x1
