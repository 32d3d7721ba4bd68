from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.tasks.nanotubes.lines.test_candidates import CELLS, settings
from tests.tasks.nanotubes.lines.test_candidates import drawn as drawn_image

from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.nanotubes.config import TubesConfig
from nanonuclei.tasks.nanotubes.lines.candidates import Candidate
from nanonuclei.tasks.nanotubes.lines.detection import read_candidates
from nanonuclei.tasks.nanotubes.lines.marked import joined, marked_candidates

SHAPE = (120, 160)


def drawn(*lines: tuple[tuple[int, int], tuple[int, int]], value: float = 0.9) -> Float32Array:
    """Draws a map with lines 3 px wide, from x, y to x, y."""
    scores = np.zeros(SHAPE, np.float32)
    for start, end in lines:
        cv2.line(scores, start, end, value, 3)
    return scores


def read(scores: Float32Array, config: TubesConfig | None = None, **changes: object) -> list[Candidate]:
    cells = np.zeros(SHAPE, np.int32)
    cells[40:80, 140:] = 3
    config = config or settings(**{"lines": "map", "min_straightness": 0.9, **changes})
    return marked_candidates(scores, scores, config, cells=cells, threshold=0.5)


def test_line_of_the_map_is_a_candidate_with_its_length_score_and_cells() -> None:
    (found,) = read(drawn(((20, 60), (138, 60))))
    assert found.line.length == pytest.approx(119.0, abs=3.0)
    assert found.line.straightness > 0.99
    assert found.score == pytest.approx(0.9, abs=0.02)
    assert sorted(found.cells) == [0, 3]
    np.testing.assert_allclose(found.line.points[:, 0], 60.0, atol=1.0)


def test_gap_is_bridged_where_lines_go_on_in_each_other_alone() -> None:
    parts = ((20, 60), (70, 60)), ((82, 60), (130, 60))
    assert [round(one.line.length, -1) for one in read(drawn(*parts))] == [110.0]
    assert len(read(drawn(*parts), gap=8.0)) == 2
    turned = ((20, 60), (70, 60)), ((78, 66), (78, 110))
    assert len(read(drawn(*turned))) == 2


def test_lines_that_cross_are_two() -> None:
    found = read(drawn(((20, 20), (120, 100)), ((20, 100), (120, 20))))
    assert len(found) == 2
    assert min(one.line.length for one in found) > 110.0


def test_short_crooked_and_unsure_lines_are_dropped() -> None:
    assert read(drawn(((20, 60), (27, 60)))) == []
    assert read(drawn(((20, 60), (138, 60)), value=0.4)) == []
    bow = np.zeros(SHAPE, np.float32)
    cv2.ellipse(bow, (80, 60), (40, 40), 0, 0, 200, 0.9, 3)
    assert read(bow) == []
    assert len(read(bow, min_straightness=0.3)) == 1


def test_empty_map_has_no_candidates() -> None:
    assert read(np.zeros(SHAPE, np.float32)) == []
    assert joined([], gap=10.0) == []


def test_both_readings_add_long_lines_that_only_the_map_shows() -> None:
    scores = drawn(((20, 30), (138, 30)), ((20, 60), (60, 60)))
    blank = np.zeros((*SHAPE, 2), np.float32)
    blank[..., 0] = scores
    config = settings(lines="both", alone=80.0, min_straightness=0.9, min_score=0.5)
    cells = np.zeros(SHAPE, np.int32)
    (found,) = read_candidates(blank, config, cells=cells)
    assert found.line.length > 100.0
    assert len(read_candidates(blank, config.model_copy(update={"alone": 20.0}), cells=cells)) == 2
    assert read_candidates(blank, config.model_copy(update={"lines": "image"}), cells=cells) == []
    assert read_candidates(blank, config, cells=cells, min_score=0.95) == []


def test_line_of_the_map_takes_the_place_of_the_crests_that_lie_on_it() -> None:
    crests = ((30, 52), (30, 78)), ((30, 90), (30, 108))
    grey, scores = drawn_image(*crests), np.zeros(drawn_image().shape, np.float32)
    cv2.line(scores, (24, 30), (136, 30), 0.9, 7)
    grey[CELLS > 0] = 0.1
    config = settings(lines="both", joins="all", min_score=0.5, alone=10.0, min_straightness=0.9)
    score_map = np.stack([scores, grey], -1)
    apart = read_candidates(score_map, config.model_copy(update={"lines": "image"}), cells=CELLS)
    assert sorted(round(one.line.length, -1) for one in apart) == [20.0, 30.0]
    (found,) = read_candidates(score_map, config, cells=CELLS)
    assert found.line.length == pytest.approx(112.0, abs=6.0)


def test_an_image_without_noise_has_that_of_rounding() -> None:
    (found,) = read(drawn(((20, 60), (138, 60))))
    assert found.strength == pytest.approx(0.9 * 255.0 * 12.0**0.5, rel=0.05)


def test_line_that_joins_no_two_cells_must_be_long_in_both_readings() -> None:
    free, bridge = ((30, 52), (30, 95)), ((100, 20), (100, 140))
    score_map = np.stack([np.full(drawn_image(free, bridge).shape, 0.9, np.float32), drawn_image(free, bridge)], -1)
    config = settings(lines="both", joins="slender", min_score=0.5, alone=80.0)
    assert [one.joins for one in read_candidates(score_map, config, cells=CELLS)] == [True]
    short = config.model_copy(update={"alone": 20.0})
    assert {one.joins for one in read_candidates(score_map, short, cells=CELLS)} == {False, True}
