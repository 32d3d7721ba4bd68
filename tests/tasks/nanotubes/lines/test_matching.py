"""Candidates against true lines whose matches are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from nanonuclei.errors import ConfigError, DataError
from nanonuclei.imaging.instances import Instances, empty
from nanonuclei.tasks.nanotubes.lines.line import Line, resample
from nanonuclei.tasks.nanotubes.lines.matching import LineCounts, _assign, match_lines, precision_recall

SHAPE = (60, 120)


def row(y: float, x0: float, x1: float) -> Line:
    return Line(resample(np.array([[y, x0], [y, x1]])), 1.0)


def candidates(*parts: tuple[int, int, int], scores: list[float] | None = None) -> Instances:
    """Rows of pixels (y, x0, x1), half open."""
    labels = np.zeros(SHAPE, np.int32)
    for label, (y, x0, x1) in enumerate(parts, start=1):
        labels[y, x0:x1] = label
    boxes = np.array([(y, x0, y + 1, x1) for y, x0, x1 in parts], np.int32).reshape(-1, 4)
    return Instances(boxes, np.array(scores or [1.0] * len(parts), np.float32), labels)


TRUE = [row(10, 10, 50), row(30, 10, 50)]


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        (candidates(), (0, 0, 2)),
        (candidates((10, 10, 51), (30, 10, 51)), (2, 0, 0)),
        (candidates((10, 10, 32)), (1, 0, 1)),
        (candidates((10, 10, 24)), (0, 1, 2)),
        (candidates((12, 10, 51)), (1, 0, 1)),
        (candidates((13, 10, 51)), (0, 1, 2)),
        (candidates((10, 0, 120), (50, 0, 120)), (1, 1, 1)),
    ],
)
def test_a_line_is_found_where_half_of_it_is_covered(found, counts):
    result = match_lines(TRUE, found).counts()
    assert (result.tp, result.fp, result.fn) == counts


def test_two_fragments_of_a_line_are_a_split_and_two_false_positives():
    matches = match_lines(TRUE[:1], candidates((10, 10, 24), (10, 32, 46)), tolerance=0.0)
    assert matches.counts() == LineCounts(0, 2, 1)
    assert (matches.num_splits, matches.num_doubles, matches.num_merges) == (1, 0, 0)


def test_the_second_candidate_of_a_line_is_a_double_and_a_false_positive():
    matches = match_lines(TRUE[:1], candidates((9, 10, 51), (11, 10, 51), scores=[0.4, 0.9]))
    assert matches.counts() == LineCounts(1, 1, 0)
    assert (matches.num_splits, matches.num_doubles, matches.num_merges) == (0, 1, 0)
    assert matches.hits.tolist() == [False, True]
    assert matches.true.tolist() == [-1, 0]


def test_one_candidate_over_two_lines_is_a_merge_and_finds_one():
    labels = np.zeros(SHAPE, np.int32)
    labels[5:35, 5:60] = 1
    found = Instances(np.array([[5, 5, 35, 60]], np.int32), np.ones(1, np.float32), labels)
    matches = match_lines(TRUE, found)
    assert matches.counts() == LineCounts(1, 0, 1)
    assert (matches.num_splits, matches.num_doubles, matches.num_merges) == (0, 0, 1)


def test_boxes_without_labels_cover_what_is_in_them():
    boxes = np.array([[8, 10, 13, 40], [28, 10, 33, 20]], np.int32)
    found = Instances(boxes, np.array([0.9, 0.8], np.float32), None)
    assert match_lines(TRUE, found).counts() == LineCounts(1, 1, 1)


def test_crossing_lines_are_found_one_by_one():
    true = [row(30, 20, 80), Line(resample(np.array([[5.0, 50.0], [55.0, 50.0]])), 1.0)]
    labels = np.zeros(SHAPE, np.int32)
    labels[30, 20:81] = 1
    labels[5:56, 50] = 2
    found = Instances(np.array([[30, 20, 31, 81], [5, 50, 56, 51]], np.int32), np.ones(2, np.float32), labels)
    assert match_lines(true, found).counts() == LineCounts(2, 0, 0)


def test_a_candidate_gives_way_where_another_can_only_have_its_line():
    shares = np.array([[0.9, 0.8], [0.6, 0.0]])
    owners, hits = _assign(shares, shares >= 0.5, np.array([0.9, 0.5], np.float32))
    assert owners.tolist() == [1, 0]
    assert hits.all()


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_at_every_threshold_the_number_of_matches_is_the_largest_possible(data):
    num_true, num_found = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 7)))
    flat = data.draw(st.lists(st.floats(0.0, 1.0), min_size=num_true * num_found, max_size=num_true * num_found))
    shares = np.array(flat).reshape(num_true, num_found)
    scores = np.array(data.draw(st.lists(st.integers(0, 4), min_size=num_found, max_size=num_found)), np.float32)
    good = shares >= 0.5
    hits = _assign(shares, good, scores)[1]
    for threshold in range(5):
        kept = scores >= threshold
        best = linear_sum_assignment(-good[:, kept].astype(float))
        assert np.count_nonzero(hits & kept) == good[:, kept][best].sum()


@pytest.mark.parametrize(
    ("counts", "ratios"),
    [
        (LineCounts(0, 0, 0), (1.0, 1.0, 1.0)),
        (LineCounts(0, 3, 0), (0.0, 0.0, 0.0)),
        (LineCounts(0, 0, 3), (0.0, 0.0, 0.0)),
        (LineCounts(2, 1, 2), (2 / 3, 1 / 2, 4 / 7)),
        (LineCounts(2, 1, 2) + LineCounts(1, 0, 1), (3 / 4, 1 / 2, 6 / 10)),
    ],
)
def test_ratios_of_counts(counts, ratios):
    assert (counts.precision, counts.recall, counts.f1) == pytest.approx(ratios)


def test_an_image_with_nothing_to_find_and_nothing_claimed_is_perfect():
    assert match_lines([], empty(SHAPE)).counts().f1 == 1.0
    assert match_lines([], candidates((10, 10, 20))).counts() == LineCounts(0, 1, 0)


def test_precision_and_recall_over_scores_pooled_from_two_images():
    first = match_lines(TRUE, candidates((10, 10, 51), (30, 10, 51), (50, 10, 51), scores=[0.9, 0.3, 0.6]))
    second = match_lines(TRUE[:1], candidates((10, 10, 51), (50, 1, 9), scores=[0.6, 0.3]))
    curve = precision_recall([first, second, match_lines([], empty(SHAPE))])
    assert curve.thresholds == pytest.approx([0.9, 0.6, 0.3])
    assert curve.precision == pytest.approx([1.0, 2 / 3, 3 / 5])
    assert curve.recall == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert curve.f1 == pytest.approx([1 / 2, 2 / 3, 3 / 4])
    assert curve.average_precision == pytest.approx((1.0 + 2 / 3 + 3 / 5) / 3)
    assert first.counts(0.6) + second.counts(0.6) == LineCounts(2, 1, 1)


def test_no_candidates_are_an_empty_curve():
    curve = precision_recall([match_lines(TRUE, empty(SHAPE))])
    assert len(curve.thresholds) == len(curve.precision) == 0
    assert curve.average_precision == 0.0


def test_a_curve_without_true_lines_is_refused():
    with pytest.raises(DataError, match="at least one true line"):
        precision_recall([match_lines([], empty(SHAPE))])


@pytest.mark.parametrize("choice", [{"least": 0.0}, {"least": 1.1}, {"tolerance": -1.0}])
def test_impossible_criteria_are_refused(choice):
    with pytest.raises(ConfigError, match="share"):
        match_lines(TRUE, empty(SHAPE), **choice)
