"""Objects that touch have outlines of different colours, and so have those that lie near each other."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.spatial import cKDTree
from skimage.segmentation import find_boundaries

from nanonuclei.imaging.outline_colours import COLOURS, outline_colours
from nanonuclei.report.exports.overlay import overlay


def cells(number: int, *, side: int = 200) -> np.ndarray:
    """Returns labels 1..n that fill an image, each the pixels next to one of random places, from the top."""
    places = np.random.default_rng(number).uniform(0, side, (number, 2))
    places = places[places[:, 0].argsort()]
    grid = np.stack(np.mgrid[:side, :side], axis=-1).reshape(-1, 2)
    return (cKDTree(places).query(grid)[1].reshape(side, side) + 1).astype(np.int32)


def touching(labels: np.ndarray) -> set[tuple[int, int]]:
    beside = [(labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])]
    pairs = np.concatenate([np.stack([one.ravel(), other.ravel()], axis=1) for one, other in beside])
    return {(one, other) for one, other in pairs.tolist() if one != other and one and other}


@pytest.mark.parametrize("number", [2, 40, 400, 1000])
def test_cells_that_touch_differ_in_colour(number: int) -> None:
    labels = cells(number)
    colours = outline_colours(labels, find_boundaries(labels, mode="inner"))
    assert touching(labels)
    assert not [pair for pair in touching(labels) if colours[pair[0]] == colours[pair[1]]]
    assert set(colours.tolist()) <= set(range(len(COLOURS)))


@pytest.mark.parametrize("gap", [0, 1, 3, 7])
def test_objects_a_few_px_apart_differ_in_colour(gap: int) -> None:
    labels = np.zeros((12, 40), np.int32)
    labels[2:10, 2:12], labels[2:10, 12 + gap : 22 + gap] = 1, 1 + len(COLOURS)
    colours = outline_colours(labels, find_boundaries(labels, mode="inner"))
    assert colours[1] != colours[1 + len(COLOURS)]


def test_objects_by_themselves_and_images_without_any_have_colours() -> None:
    labels = np.zeros((9, 9), np.uint16)
    assert outline_colours(labels, labels > 0).tolist() == [0]
    labels[4, 4] = 2
    assert outline_colours(labels, labels > 0)[2] == 2


def test_the_overlay_parts_nuclei_whose_numbers_are_as_many_apart_as_there_are_colours() -> None:
    labels = np.zeros((20, 40), np.int32)
    labels[4:16, 4:20], labels[4:16, 20:36] = 1, 1 + len(COLOURS)
    drawn = cv2.imdecode(np.frombuffer(overlay(np.zeros((20, 40), np.uint8), labels), np.uint8), cv2.IMREAD_COLOR)
    assert drawn[10, 19].tolist() != drawn[10, 20].tolist()
