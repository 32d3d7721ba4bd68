"""Reading nuclei off score maps: discs with known answers, laws, and the true masks of the real data."""

import zipfile

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from nanonuclei.config.pixels import InstancesConfig
from nanonuclei.errors import DataError
from nanonuclei.imaging.matching import matching, matching_dataset
from nanonuclei.imaging.postprocess import components, read_instances, watershed

CONFIG = InstancesConfig(
    kind="watershed", threshold=0.5, seed_threshold=0.5, smooth=0.5, min_dip=0.5, min_area=15, min_score=0.0, tune=False
)


def config(**changes):
    return CONFIG.model_copy(update=changes)


def discs(*circles, shape=(64, 64)):
    """Draws (y, x, radius) in order, later ones on top, labelled 1..n."""
    labels = np.zeros(shape, np.int32)
    y, x = np.indices(shape)
    for label, (cy, cx, radius) in enumerate(circles, 1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = label
    return labels


def score(mask):
    return np.where(mask, np.float32(0.9), np.float32(0.1))


def test_components_touch_by_edges_and_reach_the_minimum_area():
    score_map = np.array([[0.9, 0.9, 0.0, 0.0], [0.0, 0.0, 0.5, 0.0], [0.0, 0.0, 0.6, 0.49]], np.float32)
    assert components(score_map, threshold=0.5, min_area=0).tolist() == [[1, 1, 0, 0], [0, 0, 2, 0], [0, 0, 2, 0]]
    assert components(score_map, threshold=0.6, min_area=2).tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("circles", "count"),
    [
        ([(32, 32, 12)], 1),
        ([(32, 20, 10), (32, 38, 10)], 2),
        ([(32, 24, 4), (32, 31, 4)], 2),
        ([(32, 22, 16), (32, 42, 5)], 2),
        ([(20, 20, 9), (20, 37, 9), (35, 28, 9)], 3),
        ([(32, 30, 12), (32, 33, 12)], 1),
        ([(32, 0, 10), (32, 18, 10)], 2),
    ],
    ids=["one", "equal", "small", "unequal", "three", "concentric", "cut by the border"],
)
def test_touching_discs_are_parted_and_single_ones_are_not(circles, count):
    true = discs(*circles)
    labels = watershed(score(true > 0), config=CONFIG)
    assert labels.dtype == np.int32
    assert labels.max() == count
    np.testing.assert_array_equal(labels > 0, true > 0)
    if count == len(circles):
        assert matching(true, labels, 0.8).tp == count


def test_an_ellipse_is_one_nucleus():
    y, x = np.indices((64, 64))
    mask = ((y - 32) / 8) ** 2 + ((x - 32) / 24) ** 2 <= 1
    assert watershed(score(mask), config=CONFIG).max() == 1


@pytest.mark.parametrize(("min_dip", "count"), [(0.5, 2), (2.0, 2), (6.0, 1)])
def test_a_neck_must_be_deeper_than_the_minimum(min_dip, count):
    mask = discs((32, 20, 10), (32, 38, 10)) > 0  # half the neck: sqrt(10**2 - 9**2) = 4.4 px, so a dip of 5.6 less 5 %
    assert watershed(score(mask), config=config(min_dip=min_dip)).max() == count


def test_body_scores_part_what_the_distance_cannot():
    true = np.zeros((20, 40), np.int32)
    true[5:15, 4:20], true[5:15, 20:36] = 1, 2
    body = score((true > 0) & (np.abs(np.arange(40) - 19.5) > 1))
    labels = watershed(score(true > 0), body=body, config=CONFIG)
    assert matching(true, labels, 0.85).tp == 2
    np.testing.assert_array_equal(labels > 0, true > 0)
    assert watershed(score(true > 0), config=CONFIG).max() == 1


def test_a_neck_of_the_body_parts_where_its_border_is_seen_in_part_only():
    true = discs((32, 20, 10), (32, 39, 10))
    true[26:39, 28:32] = np.where(np.arange(28, 32) < 30, 1, 2)  # no neck in the mask there
    body = score((true > 0) & ~((np.abs(np.arange(64) - 29.5) < 2) & (np.abs(np.arange(64) - 32) > 2)[:, None]))
    labels = watershed(score(true > 0), body=body, config=CONFIG)
    assert ndimage.label(body > 0.5)[1] == 1
    assert matching(true, labels, 0.9).tp == 2


def test_objects_below_the_minimum_score_are_dropped():
    true = discs((16, 16, 8), (48, 48, 8))
    score_map = np.where(true == 1, np.float32(0.75), score(true > 0))
    assert read_instances(score_map, config(min_score=0.75)).labels.max() == 2
    found = read_instances(score_map, config(min_score=0.76))
    np.testing.assert_array_equal(found.labels, true == 2)
    np.testing.assert_allclose(found.scores, [0.9], rtol=1e-6)
    assert len(read_instances(score_map, config(min_score=1.0))) == 0


def test_specks_of_body_are_no_seeds_and_parts_without_a_seed_are_kept():
    true = discs((16, 16, 8), (48, 48, 8))
    body = score(discs((16, 16, 4)) > 0)
    body[9, 16] = 0.9  # alone in the first disc
    np.testing.assert_array_equal(watershed(score(true > 0), body=body, config=CONFIG), true)


def test_holes_are_filled_with_the_object_around_them():
    true = discs((32, 18, 12), (32, 46, 12))
    holed = (true > 0) & (discs((32, 18, 3), (30, 46, 1)) == 0)
    labels = watershed(score(holed), config=CONFIG)
    assert matching(true, labels, 1.0).tp == 2


def test_dim_holes_do_not_cut_a_nucleus():
    true = discs((32, 20, 10), (32, 38, 10))
    foreground = score(true > 0)
    foreground[32, 14:27] = 0.3
    labels = watershed(foreground, config=CONFIG)
    assert matching(true, labels, 0.9).tp == 2
    np.testing.assert_array_equal(labels > 0, true > 0)


def test_a_gap_between_three_nuclei_stays_background():
    true = discs((20, 22, 10), (20, 42, 10), (37, 32, 10))
    assert true[25, 32] == 0
    gap = ndimage.label(true == 0)[0]
    assert gap[25, 32] != gap[0, 0]
    labels = watershed(score(true > 0), config=CONFIG)
    assert matching(true, labels, 0.8).tp == 3
    np.testing.assert_array_equal(labels > 0, true > 0)


def test_objects_below_the_minimum_area_are_dropped():
    true = discs((10, 10, 2), (40, 40, 8))
    area = int((true == 1).sum())
    assert watershed(score(true > 0), config=config(min_area=area)).max() == 2
    labels = watershed(score(true > 0), config=config(min_area=area + 1))
    np.testing.assert_array_equal(labels, true == 2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (16, 16)])
@pytest.mark.parametrize("with_body", [False, True])
@pytest.mark.parametrize(("value", "count"), [(0.0, 0), (1.0, 1)])
def test_uniform_maps_of_any_shape_hold_nothing_or_one_object(shape, with_body, value, count):
    plain = np.full(shape, value, np.float32)
    labels = watershed(plain, body=plain if with_body else None, config=config(min_area=0))
    assert labels.shape == shape
    assert labels.max() == count
    assert (labels > 0).all() == bool(count)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.booleans(), st.integers(0, 30))
def test_labels_are_sequential_connected_large_enough_and_inside_the_filled_mask(seed, with_body, min_area):
    rng = np.random.default_rng(seed)
    foreground, body = (cv2.GaussianBlur(rng.random((40, 50), np.float32), (0, 0), 2.0) for _ in range(2))
    foreground = (foreground - foreground.min()) / np.ptp(foreground)
    body = (body - body.min()) / np.ptp(body)
    setting = config(min_area=min_area)
    labels = watershed(foreground, body=body if with_body else None, config=setting)
    counts = np.bincount(labels.ravel())[1:]
    assert (counts >= max(1, min_area)).all()
    filled = ndimage.binary_fill_holes(foreground >= setting.threshold)
    assert not labels[~filled].any()
    np.testing.assert_array_equal(labels, watershed(foreground, body=body if with_body else None, config=setting))
    if min_area == 0:
        assert labels[foreground >= setting.threshold].all()


def test_channels_of_a_score_map_are_background_body_and_border():
    true = np.zeros((20, 40), np.int32)
    true[5:15, 4:20], true[5:15, 20:36] = 1, 2
    border = (true > 0) & (np.abs(np.arange(40) - 19.5) <= 1)
    three = np.stack([true == 0, (true > 0) & ~border, border], axis=-1).astype(np.float32)
    assert len(read_instances(three, CONFIG)) == 2
    assert len(read_instances(three, config(kind="components"))) == 1
    two = np.stack([true == 0, true > 0], axis=-1).astype(np.float32)
    for score_map in (two, two[..., 1:], two[..., 1]):
        assert len(read_instances(score_map, CONFIG)) == 1


def test_the_score_of_a_nucleus_is_its_mean_foreground():
    score_map = np.zeros((20, 20), np.float32)
    score_map[2:8, 2:8], score_map[2:8, 5:8] = 0.6, 0.8
    score_map[10:18, 10:18] = 1.0
    instances = read_instances(score_map, CONFIG)
    np.testing.assert_allclose(instances.scores, [0.7, 1.0], atol=1e-6)
    assert instances.boxes.tolist() == [[2, 2, 8, 8], [10, 10, 18, 18]]


@pytest.mark.parametrize("shape", [(4,), (4, 4, 3, 1), (0, 4), (4, 4, 0)])
def test_what_is_no_score_map_is_refused(shape):
    with pytest.raises(DataError, match="a score map must be"):
        read_instances(np.zeros(shape, np.float32), CONFIG)


def test_foreground_and_body_must_have_one_shape():
    with pytest.raises(DataError, match="one shape"):
        watershed(np.zeros((4, 4), np.float32), body=np.zeros((4, 5), np.float32), config=CONFIG)


def test_true_masks_of_the_real_data_are_parted_into_their_nuclei(shared_data):
    path = shared_data / "data" / "stage1_train.zip"
    true = []
    with zipfile.ZipFile(path) as archive:
        masks: dict[str, list[str]] = {}
        for name in archive.namelist():
            if "/masks/" in name:
                masks.setdefault(name.split("/")[0], []).append(name)
        for sample_id in sorted(masks)[::66]:
            parts = [
                cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_GRAYSCALE)
                for name in masks[sample_id]
            ]
            true.append(np.max([(part > 0) * np.int32(label) for label, part in enumerate(parts, 1)], axis=0))
    parted = matching_dataset(true, [watershed(score(labels > 0), config=CONFIG) for labels in true])
    joined = matching_dataset(true, [components(score(t > 0), threshold=0.5, min_area=15) for t in true])
    assert parted.accuracy > 0.85
    assert parted.accuracy > joined.accuracy + 0.05
