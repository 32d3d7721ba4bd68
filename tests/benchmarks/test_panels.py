"""Scores of lines against marked nanotubes, by hand; and the plain ridge filter on drawn lines."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from panels import Panel, dense, intervals, rates, read_panels, score_panel
from ridge_filter import ridge_filter

SHAPE = (80, 120)


def panel(name: str = "a", paper: str = "x") -> Panel:
    return Panel(
        name,
        paper,
        np.zeros(SHAPE, np.uint8),
        (dense([[10, 20], [100, 20]]),),
        (dense([[10, 40], [100, 40]]),),
        ((40, 60, 80, 76),),
    )


def mask(*rows: tuple[int, int, int]) -> np.ndarray:
    drawn = np.zeros(SHAPE, bool)
    for row, first, last in rows:
        drawn[row - 1 : row + 2, first:last] = True
    return drawn


@pytest.mark.parametrize(
    ("lines", "counts"),
    [
        ([], [0, 1, 0, 0, 0]),
        ([(20, 10, 100)], [1, 1, 1, 1, 0]),
        ([(23, 10, 100)], [1, 1, 1, 1, 0]),
        ([(27, 10, 100)], [0, 1, 0, 1, 0]),
        ([(20, 10, 40)], [0, 1, 1, 1, 0]),  # a third of it
        ([(20, 10, 40), (20, 60, 100)], [1, 1, 2, 2, 0]),  # in two pieces
        ([(40, 10, 100)], [0, 1, 1, 1, 1]),  # a doubtful one
        ([(68, 42, 78)], [0, 1, 0, 0, 0]),  # an arrow
    ],
)
def test_lines_are_counted_as_by_hand(lines, counts):
    assert score_panel(panel(), mask(*lines)).tolist() == counts


def test_hits_on_doubtful_lines_can_be_left_out_of_precision():
    figures = rates(np.array([1.0, 2.0, 3.0, 4.0, 2.0]))
    assert figures["recall"] == 0.5
    assert figures["precision"] == 0.75
    assert figures["strict_precision"] == 0.5
    assert figures["f1"] == pytest.approx(0.6)


def test_intervals_draw_papers_and_not_panels():
    panels = [panel("a", "x"), panel("b", "x")]
    counts = np.array([[1.0, 1, 1, 1, 0], [0, 1, 0, 1, 0]])
    assert intervals(panels, counts, resamplings=50)["recall"] == (0.5, 0.5)
    low, high = intervals([panel("a", "x"), panel("b", "y")], counts, resamplings=200)["recall"]
    assert (low, high) == (0.0, 1.0)


def test_panels_are_read(tmp_path: Path):
    (tmp_path / "panels").mkdir()
    cv2.imwrite(str(tmp_path / "panels" / "a.png"), np.zeros((*SHAPE, 3), np.uint8))
    with (tmp_path / "panels.csv").open("w") as file:
        csv.writer(file).writerows([["panel", "doi", "arrow_boxes"], ["a", "10.1/x", json.dumps([[1, 2, 3, 4]])]])
    with (tmp_path / "annotations.csv").open("w") as file:
        rows = [["panel", "tube", "uncertain", "polyline"], ["a", 1, 0, "[[1, 2], [1, 12]]"]]
        csv.writer(file).writerows([*rows, ["a", 2, 1, "[[5, 2], [9, 2]]"]])
    (read,) = read_panels(tmp_path)
    assert (read.name, read.paper, read.shape, read.arrows) == ("a", "10.1/x", SHAPE, ((1, 2, 3, 4),))
    assert [len(line) for line in (*read.sure, *read.doubtful)] == [11, 5]


def test_plain_filter_finds_a_long_line_and_neither_a_short_one_nor_noise():
    grey = np.random.default_rng(0).normal(0.05, 0.005, (120, 160)).astype(np.float32)
    grey[40:43, 20:140] += 0.5
    grey[80:83, 20:50] += 0.5
    found = ridge_filter(grey)
    assert found[38:46].sum() >= 90
    assert not found[60:].any()
