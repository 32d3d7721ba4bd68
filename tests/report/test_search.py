from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from tests.conftest import ROOT

from nanonuclei.config.params import load_experiment
from nanonuclei.config.space import Choice, FloatRange, IntRange, SearchSpace
from nanonuclei.report.search import (
    parallel_coordinates,
    pareto,
    pareto_front,
    search_history,
    setting_importances,
    slices,
)

SPACE: SearchSpace = {
    "train.learning_rate": FloatRange(type="float", low=0.001, high=0.1, log=True),
    "network.depth": IntRange(type="int", low=1, high=3, step=1, log=False),
    "train.schedule": Choice(type="choice", values=["constant", "cosine"]),
}


@pytest.fixture
def table() -> pd.DataFrame:
    """Six trials: values 0.5, 0.7, 0.6 complete, one pruned, one failed, one complete and best."""
    return pd.DataFrame(
        {
            "number": range(6),
            "state": ["complete", "complete", "pruned", "failed", "complete", "complete"],
            "value": [0.5, 0.7, 0.2, np.nan, 0.6, 0.8],
            "num_params": [100.0, 200.0, np.nan, np.nan, 300.0, 400.0],
            "inference_ms": [10.0, 20.0, np.nan, np.nan, 30.0, 5.0],
            "train.learning_rate": [0.001, 0.01, 0.1, 0.1, 0.05, 0.002],
            "network.depth": [1, 2, 3, 3, 2, 1],
            "train.schedule": ["cosine", "constant", "cosine", "cosine", "constant", "cosine"],
        }
    )


@pytest.mark.parametrize(("up", "best"), [(True, [0.5, 0.7, 0.7, 0.8]), (False, [0.5, 0.5, 0.5, 0.5])])
def test_history_draws_the_best_so_far_of_complete_trials(table: pd.DataFrame, up: bool, best: list[float]) -> None:
    figure = search_history(table, metric="val/iou", greater_is_better=up)
    line = next(line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post")
    assert list(line.get_ydata()) == best
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told == ["complete: 4", "pruned: 1", "failed: 1, 1 without a value", "best so far"]


@pytest.mark.parametrize(("up", "edge"), [(True, 0.0), (False, 1.0)])
def test_trials_without_a_value_are_at_the_edge_where_bad_values_lie(
    table: pd.DataFrame, up: bool, edge: float
) -> None:
    axes = search_history(table, metric="val/loss", greater_is_better=up).axes[0]
    (failed,) = (line for line in axes.lines if line.get_marker() == "x" and len(line.get_xdata()))
    assert failed.get_transform() == axes.get_xaxis_transform()
    assert list(failed.get_ydata()) == [edge]


def test_numbers_of_trials_are_whole(table: pd.DataFrame) -> None:
    axes = search_history(table.iloc[:2], metric="val/iou", greater_is_better=True).axes[0]
    axes.figure.canvas.draw()
    assert all(float(place).is_integer() for place in axes.get_xticks())


def test_pareto_marks_the_trials_that_none_beats(table: pd.DataFrame) -> None:
    figure = pareto(table, metric="val/iou", greater_is_better=True)
    fronts = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert fronts == [["5"], ["0", "1", "5"]]


def test_parallel_coordinates_draw_a_line_per_complete_trial_between_0_and_1(table: pd.DataFrame) -> None:
    axes = parallel_coordinates(table, SPACE, metric="val/iou").axes[0]
    lines = [np.asarray(line.get_ydata(), float) for line in axes.lines if len(line.get_ydata()) == 4]
    assert len(lines) == 4
    assert min(line.min() for line in lines) == 0.0
    assert max(line.max() for line in lines) == 1.0
    assert lines[-1][-1] == 1.0


def test_slices_have_a_panel_per_setting_with_words_where_it_is_a_choice(table: pd.DataFrame) -> None:
    axes = slices(table, SPACE, metric="val/iou").axes
    assert [panel.get_xlabel() for panel in axes[:3]] == list(SPACE)
    assert axes[0].get_xscale() == "log"
    assert [tick.get_text() for tick in axes[2].get_xticklabels()] == ["constant", "cosine"]


@pytest.mark.parametrize("task", ["nuclei", "nanotubes"])
def test_texts_of_the_default_space_leave_room_for_each_other(task: str) -> None:
    space = load_experiment(task, path=ROOT / "params.yaml").tune.space
    ends = [{name: span.ends()[end] for name, span in space.items()} for end in (0, -1)]
    values = [{"number": 0, "state": "complete", "value": 0.1393}, {"number": 1, "state": "complete", "value": 0.1397}]
    costs = [{"num_params": 191_683.0, "inference_ms": 20.0}, {"num_params": 1_949_419.0, "inference_ms": 300.0}]
    trials = pd.DataFrame([one | cost | end for one, cost, end in zip(values, costs, ends, strict=True)])
    drawn = slices(trials, space, metric="val/iou")
    check_ticks_apart(drawn)
    check_ticks_apart(pareto(trials, metric="val/iou", greater_is_better=True))
    axes = parallel_coordinates(trials, space, metric="val/iou").axes[0]
    axes.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert count_overlaps(boxes) == 0


def check_ticks_apart(figure: Figure) -> None:
    figure.canvas.draw()
    for axes in figure.axes:
        boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
        assert count_overlaps(boxes) == 0, axes.get_xlabel()
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes), axes.get_xlabel()


def count_overlaps(boxes: list[Bbox]) -> int:
    return sum(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_many_long_choices_are_written_aslant(table: pd.DataFrame) -> None:
    space: SearchSpace = {"train.schedule": Choice(type="choice", values=["constant", "cosine", *"abcd"])}
    axes = slices(table, space, metric="val/iou").axes[0]
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {40.0}


def test_importances_are_drawn_in_order_or_said_to_be_unknown() -> None:
    bars = setting_importances({"train.learning_rate": 0.75, "network.depth": 0.25}).axes[0].patches
    assert [bar.get_width() for bar in bars] == [0.25, 0.75]
    unknown = setting_importances({}).axes[0]
    assert [text.get_text() for text in unknown.texts] == ["too few complete trials"]
    assert not unknown.axison
    assert setting_importances({"network.depth": 0.0}).axes[0].get_xlim() == (0.0, 1.0)


@pytest.mark.parametrize("rows", [[3], [0], []])
def test_searches_with_hardly_a_trial_are_drawn_too(table: pd.DataFrame, rows: list[int]) -> None:
    few = table.iloc[rows]
    for figure in (
        search_history(few, metric="val/iou", greater_is_better=True),
        parallel_coordinates(few, SPACE, metric="val/iou"),
        slices(few, SPACE, metric="val/iou"),
        pareto(few, metric="val/iou", greater_is_better=True),
    ):
        figure.canvas.draw()
        assert figure.axes


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_front_holds_exactly_the_points_that_no_other_beats(points: list[tuple[int, int]]) -> None:
    costs, values = (np.array(column, float) for column in zip(*points, strict=True))
    front = pareto_front(costs, values, greater_is_better=True)
    for place, (cost, value) in enumerate(points):
        beaten = any(c <= cost and v >= value and (c, v) != (cost, value) for c, v in points)
        assert front[place] == (not beaten)
