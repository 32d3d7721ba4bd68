"""Figures hold what they were given, in the place where a reader looks for it, and swallow gaps in the data."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nanonuclei.drawing import charts as figures
from nanonuclei.drawing.charts import learning_curves, metric_intervals, precision_by_threshold
from nanonuclei.errors import DataError
from nanonuclei.tasks.nuclei.score import METRIC_NAMES

NAN = float("nan")
NAMES = {
    "accuracy": ("Pixel accuracy (higher is better)", "share"),
    "iou": ("Foreground IoU (higher is better)", "IoU"),
}
HISTORY = {
    "val/loss": [2.0, NAN, 0.9],
    "train/loss": [1.0, 0.5, 0.25],
    "train/iou": [0.2, 0.4, 0.6],
    "val/iou": [NAN, NAN, NAN],
    "train/accuracy": [0.5, 0.6, 0.7],
    "learning_rate": [0.1, 0.01, 0.001],
    "seconds": [3.0, 3.0, 3.0],
}


def written(figure: Figure) -> bytes:
    """Draws the figure as a program without a display would; warnings are errors."""
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=40)
    return target.getvalue()


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def curve(axes: Axes, label: str) -> NDArray[np.float64]:
    (line,) = (line for line in axes.get_lines() if line.get_label() == label)
    return np.asarray(line.get_xydata(), float)


class TestLearningCurves:
    def test_each_metric_has_a_panel_and_the_learning_rate_comes_last(self) -> None:
        titles = [axes.get_title().split(" (")[0] for axes in learning_curves(HISTORY, best_epoch=3, names=NAMES).axes]
        assert titles == ["Loss", "Pixel accuracy", "Foreground IoU", "Learning rate"]

    def test_metrics_are_named_by_the_task_and_others_by_themselves(self) -> None:
        names = {"f1": ("F1 of discs (higher is better)", "F1")}
        history = {"train/accuracy": [0.5], "train/f1": [0.5], "train/loss": [0.5]}
        panels = learning_curves(history, best_epoch=None, names=names).axes
        assert [axes.get_title() for axes in panels] == ["Loss (lower is better)", names["f1"][0], "accuracy"]
        assert [axes.get_ylabel() for axes in panels] == ["loss", "F1", "accuracy"]

    def test_training_and_validation_share_a_panel_and_epochs_count_from_one(self) -> None:
        loss = learning_curves(HISTORY, best_epoch=None, names=NAMES).axes[0]
        np.testing.assert_array_equal(curve(loss, "train/loss"), [[1, 1.0], [2, 0.5], [3, 0.25]])
        np.testing.assert_array_equal(curve(loss, "val/loss"), [[1, 2.0], [2, NAN], [3, 0.9]])
        assert loss.get_xlabel() == "epoch"

    def test_the_best_epoch_is_marked_in_every_panel_and_named_below(self) -> None:
        figure = learning_curves(HISTORY, best_epoch=3, names=NAMES)
        assert all(any(list(line.get_xdata()) == [3, 3] for line in axes.get_lines()) for axes in figure.axes)
        assert legend_texts(figure) == ["training", "validation", "kept epoch: 3"]

    def test_without_a_best_epoch_none_is_named(self) -> None:
        assert legend_texts(learning_curves({"train/loss": [1.0]}, best_epoch=None, names={})) == ["training"]

    def test_curves_over_orders_of_magnitude_get_a_logarithmic_axis(self) -> None:
        loss, *_, rate = learning_curves(HISTORY, best_epoch=None, names=NAMES).axes
        assert (loss.get_yscale(), rate.get_yscale()) == ("linear", "log")
        assert rate.get_ylabel().endswith("(log scale)")

    @pytest.mark.parametrize(
        ("history", "best_epoch"),
        [
            (HISTORY, 2),
            ({key: values[:1] for key, values in HISTORY.items()}, 1),
            ({"train/loss": [NAN, float("inf")], "val/loss": [NAN, NAN]}, 1),
            ({"train/loss": [1.0, 2.0], "val/loss": [1.0]}, 2),
            ({"train/loss": [1.0], "val/loss": []}, 7),
            ({"train/loss": np.linspace(1, 0.1, 300)}, None),
        ],
    )
    def test_it_draws_one_epoch_gaps_and_curves_of_unlike_length(
        self, history: dict[str, list[float]], best_epoch: int | None
    ) -> None:
        assert written(learning_curves(history, best_epoch=best_epoch, names=NAMES)).startswith(b"\x89PNG")

    @pytest.mark.parametrize("history", [{}, {"seconds": [1.0]}, {"train/loss": []}])
    def test_a_history_without_curves_is_refused(self, history: dict[str, list[float]]) -> None:
        with pytest.raises(DataError, match="at least one epoch"):
            learning_curves(history, best_epoch=None, names={})


class TestPrecisionByThreshold:
    def test_each_group_is_a_line_with_its_values(self) -> None:
        figure = precision_by_threshold((0.5, 0.7, 0.9), {"all": [0.8, 0.6, 0.2], "stained": [0.7, NAN, 0.1]})
        (axes,) = figure.axes
        np.testing.assert_array_equal(curve(axes, "all"), [[0.5, 0.8], [0.7, 0.6], [0.9, 0.2]])
        np.testing.assert_array_equal(curve(axes, "stained")[:, 1], [0.7, NAN, 0.1])
        assert axes.get_ylim() == (0, 1)
        assert legend_texts(figure) == ["all", "stained"]
        assert written(figure)

    def test_a_modality_keeps_its_colour_and_unknown_groups_differ(self) -> None:
        one = figures.group_colours(["all", "stained", "phase", "confocal"])
        assert one["stained"] == figures.group_colours(["stained"])["stained"]
        assert len(set(one.values())) == 4

    def test_values_must_fit_the_thresholds(self) -> None:
        with pytest.raises(DataError, match="all has 1 for 2 thresholds"):
            precision_by_threshold([0.5, 0.6], {"all": [0.8]})


class TestMetricIntervals:
    TABLE = pd.DataFrame(
        [
            ("iou", "stained", 0.7, 0.6, 0.8),
            ("iou", "all", 0.8, 0.75, 0.85),
            ("pq", "all", 0.5, NAN, NAN),
            ("pq", "stained", NAN, NAN, NAN),
            ("odd", "all", 3.0, 2.0, 4.0),
            ("f1", "all", 0.9, 0.8, 0.95),
        ],
        columns=["metric", "group", "value", "low", "high"],
    )

    def test_each_metric_has_a_panel_with_its_readable_name(self) -> None:
        figure = metric_intervals(self.TABLE, names=METRIC_NAMES)
        assert [axes.get_title() for axes in figure.axes if axes.axison] == [
            "foreground IoU",
            "panoptic quality",
            "odd",
            "F1 at IoU 0.5",
        ]
        assert written(figure)

    def test_all_images_come_first_and_dot_and_interval_lie_on_their_line(self) -> None:
        axes = metric_intervals(self.TABLE, names=METRIC_NAMES).axes[0]
        assert [tick.get_text() for tick in axes.get_yticklabels()] == ["all", "stained"]
        drawn = [np.asarray(line.get_xydata()).tolist() for line in axes.get_lines()]
        assert [[0.75, 0.0], [0.85, 0.0]] in drawn
        assert [[0.8, 0.0]] in drawn
        assert [[0.6, 1.0], [0.8, 1.0]] in drawn
        assert {text.get_text() for text in axes.texts} == {"0.700", "0.800"}

    def test_a_missing_interval_leaves_the_dot_and_a_missing_value_nothing(self) -> None:
        axes = metric_intervals(self.TABLE, names=METRIC_NAMES).axes[1]
        assert [np.asarray(line.get_xydata()).tolist() for line in axes.get_lines()] == [[[0.5, 0.0]]]

    @pytest.mark.parametrize("table", [TABLE.iloc[:0], TABLE.drop(columns="low")])
    def test_an_empty_or_narrow_table_is_refused(self, table: pd.DataFrame) -> None:
        with pytest.raises(DataError, match="needs rows and the columns"):
            metric_intervals(table, names=METRIC_NAMES)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: learning_curves(HISTORY, best_epoch=1, names=NAMES),
        lambda: precision_by_threshold([0.5], {"all": [0.8]}),
        lambda: metric_intervals(TestMetricIntervals.TABLE, names=METRIC_NAMES),
    ],
)
def test_drawing_leaves_the_settings_of_matplotlib_alone(draw: Callable[[], Figure]) -> None:
    before = dict(mpl.rcParams)
    written(draw())
    assert dict(mpl.rcParams) == before


def test_no_module_of_the_reports_names_pyplot() -> None:
    folder = Path(sys.modules[figures.__name__].__file__ or "").parent
    assert [path.name for path in folder.glob("*.py") if "matplotlib.pyplot" in path.read_text(encoding="utf-8")] == []
