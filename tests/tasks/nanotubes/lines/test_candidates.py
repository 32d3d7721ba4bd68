from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import disc_labels

from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.nanotubes.config import TubesConfig
from nanonuclei.tasks.nanotubes.lines.candidates import Candidate, _to_edges, find_candidates, to_instances
from nanonuclei.tasks.nanotubes.lines.line import Line, resample
from nanonuclei.tasks.nanotubes.lines.matching import match_lines

SHAPE = (128, 160)
CELLS = disc_labels(SHAPE, [(30, 20, 12), (30, 140, 12), (100, 20, 12), (100, 140, 12)])
Ends = tuple[tuple[float, float], tuple[float, float]]


def settings(**changes: object) -> TubesConfig:
    return TubesConfig.model_validate(
        {
            "window_threshold": 0.5,
            "min_score": 0.5,
            "lines": "image",
            "alone": 80.0,
            "gap": 16.0,
            "width": "auto",
            "narrow": 0.8,
            "broad": 1.6,
            "ridge": 6.0,
            "contrast": 0.05,
            "kept": 0.35,
            "nuclei": "none",
            "body_radius": 5,
            "min_length": 12.0,
            "max_width": 4.5,
            "min_straightness": 0.95,
            "joins": "two",
            "slender": 15.0,
            **changes,
        }
    )


def drawn(*lines: Ends) -> Float32Array:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float64)
    grey = np.random.default_rng(0).normal(0.1, 0.01, SHAPE)
    for (y0, x0), (y1, x1) in lines:
        length = np.hypot(y1 - y0, x1 - x0)
        along = ((y - y0) * (y1 - y0) + (x - x0) * (x1 - x0)) / length
        across = ((y - y0) * (x1 - x0) - (x - x0) * (y1 - y0)) / length
        grey += 0.2 * np.exp(-0.5 * across**2) * ((along >= 0) & (along <= length))
    grey[CELLS > 0] = 0.8
    return grey.astype(np.float32)


def found(grey: Float32Array, *, scores: Float32Array | None = None, **changes: object) -> list[Candidate]:
    everywhere = np.full(SHAPE, 0.9, np.float32)
    return find_candidates(
        everywhere if scores is None else scores, grey, settings(**changes), cells=CELLS, threshold=0.5
    )


def covered(candidates: list[Candidate], *lines: Ends) -> int:
    true = [Line(resample(np.array(ends, np.float32)), 2.0) for ends in lines]
    return match_lines(true, to_instances(candidates, SHAPE)).counts().tp


ABOVE, BELOW = ((30, 20), (30, 140)), ((100, 20), (100, 140))
DOWN, UP = ((30, 20), (100, 140)), ((100, 20), (30, 140))
FREE = ((30, 20), (60, 60))


@pytest.mark.parametrize("lines", [[ABOVE], [ABOVE, BELOW], [DOWN, UP], [((30, 20), (100, 20)), BELOW]])
def test_each_nanotube_is_one_candidate_also_where_they_cross(lines: list[Ends]) -> None:
    candidates = found(drawn(*lines))
    assert len(candidates) == len(lines)
    assert covered(candidates, *lines) == len(lines)


def test_candidate_is_measured() -> None:
    (candidate,) = found(drawn(ABOVE))
    assert candidate.line.length == pytest.approx(120 - 24, abs=3.0)
    assert candidate.line.width == pytest.approx(2.355, abs=0.5)  # full width at half maximum of a Gaussian of 1 px
    assert candidate.line.straightness > 0.99
    assert candidate.score == pytest.approx(0.9)
    assert sorted(candidate.cells) == [1, 2]
    assert candidate.joins


def test_line_that_ends_free_is_kept_only_where_it_need_not_join_two_cells() -> None:
    grey = drawn(FREE)
    assert found(grey) == []
    (candidate,) = found(grey, joins="cell")
    assert sorted(candidate.cells) == [0, 1]
    assert not candidate.joins


def test_line_that_meets_no_cell_is_kept_only_where_all_are() -> None:
    grey = drawn(((60, 60), (60, 100)))
    assert found(grey, joins="cell") == []
    assert len(found(grey, joins="all")) == 1


@pytest.mark.parametrize(
    ("changes", "num"), [({}, 1), ({"slender": 30.0}, 0), ({"contrast": 0.4}, 0), ({"min_length": 100.0}, 0)]
)
def test_long_and_clear_line_need_not_join_two_cells(changes: dict[str, object], num: int) -> None:
    grey = drawn(((64, 40), (64, 100)))
    candidates = found(grey, joins="slender", **changes)
    assert len(candidates) == num
    assert all(candidate.cells == (0, 0) for candidate in candidates)


def test_line_that_joins_two_cells_may_be_fainter_than_one_that_does_not() -> None:
    faint = 0.1 + 0.2 * (drawn(ABOVE, ((64, 40), (64, 100))) - 0.1)
    faint[CELLS > 0] = 0.8
    faint += np.random.default_rng(2).normal(0.0, 0.002, SHAPE).astype(np.float32)
    candidates = found(faint, joins="slender", contrast=0.06)
    assert covered(candidates, ABOVE) == len(candidates) == 1


def test_bright_ground_asks_for_more_contrast() -> None:
    line = ((64, 40), (64, 100))
    assert len(found(drawn(line), joins="slender", contrast=0.1)) == 1
    bright = drawn(line) + np.float32(0.4)
    assert found(bright, joins="slender", contrast=0.1) == []


def test_way_to_a_cell_makes_no_line_more_crooked_than_asked_for() -> None:
    cells = np.zeros(SHAPE, np.int32)
    cells[54:60, 40:50] = 1  # beside the end of the line, not ahead of it
    straight = Line(np.stack([np.full(25, 50.0), np.arange(25.0, 50.0)], axis=1).astype(np.float32), 2.0)
    one = Candidate(straight, 0.9, 5.0, (0, 1))
    assert _to_edges(one, cells, straight=0.5).line.length > straight.length + 3.0
    assert _to_edges(one, cells, straight=0.99).line is straight


def test_nothing_is_found_where_windows_score_low() -> None:
    scores = np.full(SHAPE, 0.9, np.float32)
    scores[:64] = 0.2
    candidates = found(drawn(ABOVE, BELOW), scores=scores)
    assert covered(candidates, BELOW) == len(candidates) == 1
    assert found(drawn(ABOVE), scores=np.zeros(SHAPE, np.float32)) == []


@pytest.mark.parametrize(("gap", "num"), [(4, 1), (30, 0)])
def test_short_gap_is_bridged_and_two_free_ends_that_face_each_other_are_not_joined(gap: int, num: int) -> None:
    grey = drawn(ABOVE)
    grey[:, 80 - gap // 2 : 80 + gap // 2] = np.random.default_rng(1).normal(0.1, 0.01, (SHAPE[0], gap))
    assert covered(found(grey), ABOVE) == len(found(grey)) == num


def test_line_that_turns_is_none() -> None:
    assert found(drawn(((30, 20), (65, 80)), ((65, 80), (30, 140)))) == []


@pytest.mark.parametrize("change", [{"min_length": 200.0}, {"ridge": 500.0}, {"max_width": 1.0}])
def test_what_falls_short_is_dropped(change: dict[str, object]) -> None:
    assert found(drawn(ABOVE), **change) == []


def test_noise_and_cells_alone_give_no_candidate() -> None:
    assert found(drawn(), joins="all") == []


def test_candidates_come_surest_first_and_boxes_hold_all_of_crossing_ones() -> None:
    scores = np.full(SHAPE, 0.6, np.float32)
    scores[64:] = 0.9
    candidates = found(drawn(ABOVE, BELOW, DOWN), scores=scores)
    assert [candidate.score for candidate in candidates] == sorted((c.score for c in candidates), reverse=True)
    instances = to_instances(candidates, SHAPE)
    assert instances.labels is not None
    for number, (candidate, (y0, x0, y1, x1)) in enumerate(zip(candidates, instances.boxes, strict=True), start=1):
        pixels: NDArray[np.int32] = candidate.line.pixels(SHAPE)
        assert (pixels >= (y0, x0)).all()
        assert (pixels < (y1, x1)).all()
        assert np.count_nonzero(instances.labels == number) > 0.5 * len(pixels)


def test_no_candidates_make_no_instances() -> None:
    instances = to_instances([], SHAPE)
    assert len(instances) == 0
    assert instances.boxes.shape == (0, 4)


def test_maps_of_other_shapes_are_refused() -> None:
    with pytest.raises(DataError, match=r"one \(height, width\), got \(4, 4\), \(128, 160\)"):
        found(drawn(), scores=np.zeros((4, 4), np.float32))
