"""Matching against hand-computed pairs and against the definition, written out plainly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment

from nanonuclei.errors import ConfigError, DataError
from nanonuclei.imaging.matching import is_matched, match_counts, matching, matching_dataset

THRESHOLDS = (0.1, 0.3, 0.5, 0.50001, 0.7, 0.95, 1.0)
TRUE = np.array([[1, 1, 1, 1, 0, 2, 2, 2, 2, 0, 3]])
PRED = np.array([[7, 7, 7, 0, 0, 0, 4, 4, 4, 4, 0]])  # IoU 3/4 with object 1, 3/5 with object 2


def by_definition(true, pred, thresh):
    """Matches and the sum of matched IoUs, from a dense table and one assignment per threshold."""
    rows, columns = np.unique(true[true > 0]), np.unique(pred[pred > 0])
    if not len(rows) or not len(columns):
        return 0, 0.0
    table = np.array(
        [[((true == r) & (pred == c)).sum() / ((true == r) | (pred == c)).sum() for c in columns] for r in rows]
    )
    chosen = linear_sum_assignment(-(table >= thresh).astype(float) - table / (2 * min(table.shape)))
    ious = table[chosen]
    return int((ious >= thresh).sum()), float(ious[ious >= thresh].sum())


@st.composite
def label_pairs(draw):
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=8))
    labels = hnp.arrays(np.int32, shape, elements=st.integers(0, 5))
    true = draw(labels)
    pred = draw(labels) if draw(st.booleans()) else np.where(draw(labels) > 1, true * 3, draw(labels))
    return true, pred


@settings(deadline=None, max_examples=100)
@given(label_pairs())
def test_counts_equal_the_definition_at_every_threshold(pair):
    counts = match_counts(*pair, THRESHOLDS)
    for place, thresh in enumerate(THRESHOLDS):
        tp, iou_sum = by_definition(*pair, thresh)
        assert counts.tp[place] == tp
        if thresh > 0.5:
            assert counts.iou_sum[place] == pytest.approx(iou_sum)
    np.testing.assert_array_equal(counts.tp + counts.fp, counts.n_pred)
    np.testing.assert_array_equal(counts.tp + counts.fn, counts.n_true)


def test_counts_equal_the_definition_on_shifted_random_rectangles():
    rng = np.random.default_rng(3)
    for _ in range(15):
        true, pred = np.zeros((2, 40, 40), np.int32)
        for label in range(1, 15):
            y, x, h, w = *rng.integers(0, 32, 2), *rng.integers(3, 9, 2)
            true[y : y + h, x : x + w] = label
            y, x = np.clip(np.array([y, x]) + rng.integers(-2, 3, 2), 0, None)
            pred[y : y + h, x : x + w] = 20 - label
        counts = match_counts(true, pred, THRESHOLDS)
        for place, thresh in enumerate(THRESHOLDS):
            tp, iou_sum = by_definition(true, pred, thresh)
            assert counts.tp[place] == tp
            assert counts.iou_sum[place] == pytest.approx(iou_sum)


def test_ratios_of_two_matches_and_one_miss():
    result = matching(TRUE, PRED, 0.6)
    assert (result.tp, result.fp, result.fn, result.n_true, result.n_pred) == (2, 0, 1, 3, 2)
    assert (result.precision, result.recall) == (1.0, 2 / 3)
    assert (result.accuracy, result.f1) == (2 / 3, 4 / 5)
    assert result.mean_matched_score == pytest.approx(1.35 / 2)
    assert result.mean_true_score == pytest.approx(1.35 / 3)
    assert result.panoptic_quality == pytest.approx(1.35 / 2.5)


@pytest.mark.parametrize(("thresh", "tp"), [(0.6, 2), (0.61, 1), (0.75, 1), (0.76, 0)])
def test_a_pair_matches_from_the_threshold_on(thresh, tp):
    assert matching(TRUE, PRED, thresh).tp == tp


def test_an_object_has_one_match_where_two_reach_iou_one_half():
    true = np.array([[1, 1, 1, 1]])
    pred = np.array([[1, 1, 2, 2]])
    result = matching(true, pred, 0.5)
    assert (result.tp, result.fp, result.fn) == (1, 1, 0)


def test_several_thresholds_answer_in_their_order():
    for thresholds in ((0.9, 0.5), np.array([0.9, 0.5])):
        results = matching(TRUE, PRED, thresholds)
        assert [(result.thresh, result.tp) for result in results] == [(0.9, 0), (0.5, 2)]


def test_labels_need_not_be_small_or_dense():
    true = TRUE.astype(np.int64) * 10**11
    assert matching(true, PRED.astype(np.uint8), 0.6) == matching(TRUE, PRED, 0.6)


def test_more_pairs_than_pixels_are_counted_alike():
    labels = np.arange(1, 40_001).reshape(200, 200)
    counts = match_counts(labels, labels[::-1], (0.5, 1.0))
    assert counts.tp.tolist() == [40_000, 40_000]


@pytest.mark.parametrize(("true", "pred", "fn", "fp"), [(0, 0, 0, 0), (1, 0, 1, 0), (0, 1, 0, 1)])
def test_empty_images_score_zero(true, pred, fn, fp):
    result = matching(np.full((2, 2), true), np.full((2, 2), pred))
    assert (result.tp, result.fn, result.fp) == (0, fn, fp)
    assert (result.accuracy, result.f1, result.panoptic_quality, result.precision) == (0.0, 0.0, 0.0, 0.0)


def test_a_dataset_pools_counts_or_averages_ratios():
    full = np.array([[1, 1, 0, 2, 2, 0, 3, 3]])
    nothing = np.zeros((1, 8), int)
    one = np.array([[1, 1, 0, 0, 0, 0, 0, 0]])
    true, pred = [full, full, nothing], [full, one, nothing]  # 3 of 3, 1 of 3, 0 of 0
    pooled = matching_dataset(true, pred)
    images = matching_dataset(true, pred, by_image=True)
    assert (pooled.tp, pooled.fn, pooled.fp) == (images.tp, images.fn, images.fp) == (4, 2, 0)
    assert pooled.accuracy == 4 / 6
    assert images.accuracy == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert pooled.panoptic_quality == 4 / 5
    assert images.panoptic_quality == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert images.precision == pytest.approx(2 / 3)


def test_a_dataset_answers_several_thresholds():
    results = matching_dataset([TRUE, TRUE], [PRED, TRUE], (0.5, 0.7))
    assert [result.tp for result in results] == [5, 4]


def test_counts_of_different_thresholds_do_not_add_up():
    with pytest.raises(ConfigError, match="equal thresholds"):
        match_counts(TRUE, PRED, (0.5,)) + match_counts(TRUE, PRED, (0.6,))


def test_shapes_must_agree():
    with pytest.raises(DataError, match=r"\(1, 11\) and \(11, 1\)"):
        matching(TRUE, PRED.T)


@pytest.mark.parametrize("thresh", [-0.1, 1.1, float("nan")])
def test_thresholds_are_fractions(thresh):
    with pytest.raises(ConfigError, match="must be in 0"):
        matching(TRUE, PRED, thresh)


@pytest.mark.parametrize(("true", "pred"), [([], []), ([TRUE], [])])
def test_a_dataset_is_one_or_more_pairs(true, pred):
    with pytest.raises(DataError, match="one or more pairs"):
        matching_dataset(true, pred)


def test_each_predicted_object_is_told_apart_from_false_ones() -> None:
    true = np.zeros((8, 12), np.int32)
    true[1:5, 1:5], true[1:5, 7:11] = 1, 2
    found = np.zeros_like(true)
    found[1:5, 1:4], found[6:8, 6:8], found[1:3, 7:11] = 1, 2, 3  # IoU 0.75; none; 0.5, which is not above it
    assert is_matched(true, found).tolist() == [True, False, False]
    assert is_matched(true, np.zeros_like(true)).tolist() == []
