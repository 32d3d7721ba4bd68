"""Numbers of masks become labels of nanotubes."""

from __future__ import annotations

import numpy as np
import pytest

from nanonuclei.errors import DataError
from nanonuclei.tasks.nanotubes.sources.masks import as_labels


def drawn(*values: list[int]) -> np.ndarray:
    return np.array(values)


@pytest.mark.parametrize(
    ("values", "expected", "why"),
    [
        (drawn([0, 0], [0, 0]), [[0, 0], [0, 0]], "no nanotube is a valid answer"),
        (drawn([255, 0, 255], [0, 0, 255]), [[1, 0, 2], [0, 0, 2]], "binary: parts"),
        (drawn([255, 0, 0], [0, 255, 0]), [[1, 0, 0], [0, 1, 0]], "parts touch at corners"),
        (drawn([3, 0, 3], [0, 0, 9]), [[1, 0, 1], [0, 0, 2]], "labels, in several parts, with gaps"),
        (drawn([70_000, 0], [0, 5]), [[2, 0], [0, 1]], "large labels"),
        (np.array([[True, False], [False, False]]), [[1, 0], [0, 0]], "bool"),
        (np.array([[2.0, 0.0], [0.0, 1.0]]), [[2, 0], [0, 1]], "whole numbers of a float TIFF"),
    ],
)
def test_masks_are_numbered(values, expected, why):
    labels = as_labels(values)
    assert labels.dtype == np.uint16
    assert labels.tolist() == expected, why


def test_grey_saved_as_colour_is_grey():
    grey = drawn([0, 1], [2, 0]).astype(np.uint8)
    np.testing.assert_array_equal(as_labels(np.stack([grey] * 3, axis=-1)), grey)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.stack([drawn([0, 1]), drawn([1, 0]), drawn([0, 0])], axis=-1), "a mask in colours"),
        (np.array([[0.5, 0.0]]), "must hold whole numbers"),
        (np.array([[np.nan, 0.0]]), "must hold whole numbers"),
        (np.array([[-1, 0]]), "must hold whole numbers from 0"),
        (np.arange(64).reshape(8, 8), "has 63 values, as a soft brush leaves them"),
    ],
)
def test_numbers_that_are_no_labels_are_refused(values, message):
    with pytest.raises(DataError, match=message):
        as_labels(values)
