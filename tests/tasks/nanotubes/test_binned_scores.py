from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from nanonuclei.tasks.nanotubes import binned_scores


def counts(scores: list[float]) -> np.ndarray:
    return binned_scores.count(np.array(scores, np.float32))


@settings(deadline=None)
@given(
    st.lists(st.integers(0, binned_scores.NUM_BINS - 1), min_size=1, max_size=30),
    st.lists(st.integers(0, binned_scores.NUM_BINS - 1), min_size=1, max_size=30),
)
def test_areas_are_those_of_scikit_learn_for_scores_in_the_bins(positive: list[int], negative: list[int]) -> None:
    labels = [1] * len(positive) + [0] * len(negative)
    scores = [*positive, *negative]
    bins = [np.bincount(part, minlength=binned_scores.NUM_BINS).astype(float) for part in (positive, negative)]
    assert binned_scores.roc_auc(*bins) == pytest.approx(roc_auc_score(labels, scores))
    assert binned_scores.pr_auc(*bins) == pytest.approx(average_precision_score(labels, scores))


def test_binning_moves_areas_by_little() -> None:
    rng = np.random.default_rng(0)
    logits = np.concatenate([rng.normal(2, 2, 500), rng.normal(-2, 2, 900)])
    scores, labels = 1 / (1 + np.exp(-logits)), np.repeat([1, 0], [500, 900])
    bins = counts(scores[labels == 1]), counts(scores[labels == 0])
    assert binned_scores.roc_auc(*bins) == pytest.approx(roc_auc_score(labels, scores), abs=5e-3)
    assert binned_scores.pr_auc(*bins) == pytest.approx(average_precision_score(labels, scores), abs=5e-3)


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 1.0, width=32), max_size=50))
def test_every_score_is_counted_in_the_bin_that_holds_it(scores: list[float]) -> None:
    found = counts(scores)
    assert found.sum() == len(scores)
    edges = binned_scores.lower_edges()
    for score in scores:
        assert found[np.flatnonzero(edges <= score)[-1]] > 0


def test_counts_of_images_add_up() -> None:
    one, other = [0.1, 0.7], [0.7, 0.99, 0.0, 1.0]
    np.testing.assert_array_equal(counts(one) + counts(other), counts([*one, *other]))


def test_best_threshold_parts_what_can_be_parted() -> None:
    threshold = binned_scores.best_threshold(counts([0.8, 0.9]), counts([0.1, 0.3]))
    assert 0.3 < threshold <= 0.8
    assert binned_scores.best_threshold(counts([]), counts([0.3])) == 0.5


def test_areas_without_a_class_have_no_value() -> None:
    assert np.isnan(binned_scores.roc_auc(counts([]), counts([0.4])))
    assert np.isnan(binned_scores.pr_auc(counts([]), counts([0.4])))
    assert binned_scores.pr_auc(counts([0.4]), counts([])) == 1.0
