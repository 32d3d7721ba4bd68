"""Distances are those of SciPy, and the same wherever a mask lies in memory."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from nanonuclei.imaging.distances import distances

MASK = cv2.GaussianBlur(np.random.default_rng(2986).random((40, 50), np.float32), (0, 0), 2.0) >= 0.5


def test_distances_are_exact() -> None:
    np.testing.assert_array_equal(distances(MASK), ndimage.distance_transform_edt(MASK).astype(np.float32))
    whole = distances(np.ones((30, 1000), bool))
    assert (whole == 1030).all()
    assert not distances(np.zeros((3, 4), bool)).any()


def test_distances_do_not_depend_on_the_place_in_memory() -> None:
    answers, kept = set(), []
    for shift in range(400):
        kept.append(np.zeros(shift * 7, np.uint8))  # moves what comes after it
        place = np.empty(MASK.size + 64, bool)[shift % 64 :][: MASK.size].reshape(MASK.shape)
        place[:] = MASK
        answers.add(distances(place).tobytes())
    assert len(answers) == 1
