"""Images in another size, and objects that were found in another size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from tests.conftest import disc_labels

from nanonuclei.imaging.instances import Instances, from_labels
from nanonuclei.imaging.sizing.resizing import instances_to_shape, resized, to_shape


def test_factor_1_is_the_image_itself() -> None:
    image = np.zeros((5, 7, 3), np.float32)
    assert resized(image, 1.0) is image
    assert to_shape(image, (5, 7)) is image


def test_halved_image_holds_the_means_of_its_blocks() -> None:
    image = np.random.default_rng(0).random((8, 12, 3), np.float32)
    blocks = image.reshape(4, 2, 6, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resized(image, 0.5), blocks, rtol=1e-5)


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1), (40, 60, 4)])
def test_enlarged_ramp_is_a_finer_ramp(shape: tuple[int, ...]) -> None:
    ramp = np.zeros(shape, np.float32)
    ramp[...] = np.arange(60, dtype=np.float32).reshape(1, 60, *([1] * (len(shape) - 2)))
    large = to_shape(ramp, (120, 180))
    assert large.shape == (120, 180, *shape[2:])
    row = large.reshape(120, 180, -1)[50, :, 0]
    np.testing.assert_allclose(row[3:-3], ((np.arange(180) + 0.5) / 3 - 0.5)[3:-3], atol=0.02)


def test_nothing_shrinks_to_less_than_a_pixel() -> None:
    assert resized(np.ones((3, 400, 3), np.float32), 0.1).shape == (1, 40, 3)


DISCS = [(20.0, 24.0, 9.0), (20.0, 43.0, 9.0), (60.0, 30.0, 14.0), (70.0, 75.0, 6.0)]


def found_in(labels: np.ndarray) -> tuple[Instances, np.ndarray]:
    scores = np.array([0.1, 0.9, 0.8, 0.7, 0.95], np.float32)
    foreground = scores[labels]
    return from_labels(labels, foreground), foreground


@pytest.mark.parametrize(("factor", "iou"), [(4.0, 0.9), (1 / 3, 0.7), (1.7, 0.9), (0.6, 0.8)])
def test_objects_keep_count_place_and_score_in_another_size(factor: float, iou: float) -> None:
    labels = disc_labels((96, 90), DISCS).astype(np.int32)
    shape = (round(96 * factor), round(90 * factor))
    found, foreground = found_in(labels)
    moved = instances_to_shape(found, foreground, threshold=0.5, shape=shape)
    assert moved.pixels().shape == shape
    np.testing.assert_array_equal(moved.scores, found.scores)
    numbers = range(1, 5)
    before, after = (np.array(ndimage.center_of_mass(each > 0, each, numbers)) for each in (labels, moved.pixels()))
    np.testing.assert_allclose(after, (before + 0.5) * factor - 0.5, atol=1.0)
    y, x = (np.indices(shape) + 0.5) / factor - 0.5
    for number, (cy, cx, radius) in zip(numbers, DISCS, strict=True):
        true, drawn = (y - cy) ** 2 + (x - cx) ** 2 <= (radius + 0.25) ** 2, moved.pixels() == number
        assert (true & drawn).sum() / (true | drawn).sum() > iou
        y0, x0, y1, x1 = moved.boxes[number - 1]
        rows, columns = np.nonzero(drawn)
        assert (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) == (y0, x0, y1, x1)


def test_same_size_leaves_objects_as_they_are() -> None:
    found, foreground = found_in(disc_labels((96, 90), DISCS).astype(np.int32))
    assert instances_to_shape(found, foreground, threshold=0.5, shape=(96, 90)) is found


def test_object_of_less_than_a_pixel_is_lost_and_the_others_keep_their_scores() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[0, 0], labels[20:30, 10:20] = 1, 2
    found, foreground = found_in(labels)
    moved = instances_to_shape(found, foreground, threshold=0.5, shape=(4, 4))
    assert moved.boxes.tolist() == [[2, 1, 3, 2]]
    np.testing.assert_array_equal(moved.scores, found.scores[1:])


def test_nothing_found_stays_nothing() -> None:
    found, foreground = found_in(np.zeros((10, 10), np.int32))
    assert len(instances_to_shape(found, foreground, threshold=0.5, shape=(30, 30))) == 0
