"""Label images, boxes and run lengths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.run_lengths import from_run_lengths

from nanonuclei.errors import DataError
from nanonuclei.imaging.instances import Instances, empty, from_labels, sequential, to_run_lengths, without_slivers

LABELS = np.array([[5, 5, 0, 0], [5, 0, 0, 2], [0, 0, 9, 2]], np.uint16)
label_images = hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 5))


def test_labels_are_renumbered_in_their_order_and_boxes_are_half_open():
    instances = from_labels(LABELS)
    assert instances.labels is not None
    assert instances.labels.dtype == np.int32
    assert instances.labels.tolist() == [[2, 2, 0, 0], [2, 0, 0, 1], [0, 0, 3, 1]]
    assert instances.boxes.tolist() == [[1, 3, 3, 4], [0, 0, 2, 2], [2, 2, 3, 3]]
    assert instances.boxes.dtype == np.int32
    assert instances.scores.tolist() == [1.0, 1.0, 1.0]


def test_the_score_of_an_object_is_the_mean_over_its_pixels():
    score_map = np.arange(12, dtype=np.float32).reshape(3, 4)
    instances = from_labels(LABELS, score_map)
    np.testing.assert_allclose(instances.scores, [(7 + 11) / 2, (0 + 1 + 4) / 3, 10])
    assert instances.scores.dtype == np.float32


def test_an_image_without_objects_has_none():
    for instances in (empty((3, 4)), from_labels(np.zeros((3, 4), np.uint16)), from_run_lengths([], (3, 4))):
        assert len(instances) == 0
        assert instances.boxes.shape == (0, 4)
        assert instances.labels is not None
        assert instances.labels.shape == (3, 4)
        assert to_run_lengths(instances) == []


def test_huge_labels_are_renumbered_like_small_ones():
    huge = LABELS.astype(np.int64) * 10**12
    for labels in (huge, np.where(huge == 0, 7, huge)):
        numbered, count = sequential(labels)
        known = [value for value in np.unique(labels) if value]
        assert count == len(known)
        assert all((numbered == i).sum() == (labels == value).sum() for i, value in enumerate(known, 1))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((2, 2), np.float32), "integers"),
        (np.zeros((2, 2, 1), np.uint8), "integers"),
        (np.array([[-1, 0]]), "got -1"),
    ],
)
def test_what_is_no_label_image_is_refused(labels, message):
    with pytest.raises(DataError, match=message):
        from_labels(labels)


def test_a_score_map_of_another_shape_is_refused():
    with pytest.raises(DataError, match="one shape"):
        from_labels(LABELS, np.zeros((4, 3), np.float32))


def test_run_lengths_go_down_the_columns_from_one():
    assert to_run_lengths(from_labels(LABELS)) == ["11 2", "1 2 4 1", "9 1"]


def test_a_run_goes_on_in_the_next_column():
    assert to_run_lengths(from_labels(np.array([[0, 1], [1, 1]]))) == ["2 3"]


@settings(deadline=None, max_examples=80)
@given(label_images)
def test_run_lengths_hold_the_whole_object(labels):
    instances = from_labels(labels)
    read = from_run_lengths(to_run_lengths(instances), labels.shape)
    np.testing.assert_array_equal(read.labels, instances.labels)
    np.testing.assert_array_equal(read.boxes, instances.boxes)


def test_boxes_without_labels_have_no_run_lengths():
    with pytest.raises(DataError, match="1 boxes without labels"):
        to_run_lengths(Instances(np.array([[0, 0, 1, 1]], np.int32), np.ones(1, np.float32), None))


def test_slivers_at_the_border_are_dropped_and_the_rest_is_numbered_anew() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[0:3, 4:10] = 1  # 3 px of it show
    labels[0:4, 12:18] = 2  # 4 px
    labels[8:10, 8:10] = 3  # thin, but not at the border
    labels[12:18, 18:20] = 4
    kept = without_slivers(from_labels(labels, labels / np.float32(10.0)), thickness=3)
    assert kept.boxes.tolist() == [[0, 12, 4, 18], [8, 8, 10, 10]]
    np.testing.assert_allclose(kept.scores, [0.2, 0.3], rtol=1e-6)
    np.testing.assert_array_equal(kept.pixels(), np.select([labels == 2, labels == 3], [1, 2], 0))
    assert without_slivers(kept, thickness=3) is kept
