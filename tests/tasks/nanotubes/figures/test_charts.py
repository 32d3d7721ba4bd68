from __future__ import annotations

import io
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from nanonuclei.tasks.nanotubes import binned_scores
from nanonuclei.tasks.nanotubes.figures.charts import (
    TubePanel,
    close_ups,
    count_agreement,
    precision_recall_curves,
    tube_panels,
    window_figure,
)
from nanonuclei.tasks.nanotubes.figures.geojson import candidates_geojson
from nanonuclei.tasks.nanotubes.lines.line import Line, resample

LINE = Line(resample(np.array([[5.0, 5.0], [5.0, 30.0]])), 2.0)
OTHER = Line(resample(np.array([[20.0, 5.0], [30.0, 30.0]])), 2.0)
GREY = np.linspace(0, 1, 40 * 50, dtype=np.float32).reshape(40, 50)
POSITIVE = binned_scores.count(np.array([0.9, 0.8, 0.2], np.float32))
NEGATIVE = binned_scores.count(np.array([0.1, 0.1, 0.7, 0.05], np.float32))


def drawn(figure: Figure) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=40)
    return data.getvalue()


def panel() -> TubePanel:
    was_found, is_right = np.array([True, False]), np.array([False, True])
    return TubePanel(GREY, GREY, [LINE, OTHER], was_found, [LINE, OTHER], is_right, "one", "2 true")


def error(*, true: Sequence[Line] = (), found: Sequence[Line] = ()) -> TubePanel:
    none = np.zeros(0, bool)
    return TubePanel(GREY, GREY, true, none, found, none, "one", "25 px")


def test_panels_draw_every_line_in_the_colour_of_its_kind() -> None:
    figure = tube_panels([panel(), panel()], title="Images")
    assert len(figure.axes) == 7
    lines = figure.axes[2].get_lines()
    assert len(lines) == 4
    assert len({line.get_color() for line in lines}) == 4
    assert drawn(figure)


def test_true_lines_show_below_the_candidates_that_found_them() -> None:
    true, _, found, _ = tube_panels([panel()], title="Images").axes[2].get_lines()
    assert true.get_linewidth() > 2 * found.get_linewidth()


def test_columns_are_named_and_scores_have_a_scale_of_colours() -> None:
    figure = tube_panels([panel(), panel()], title="Images")
    above = [axes.get_title(loc="left") for axes in figure.axes[:6]]
    assert above == ["one: 2 true\nimage", "scores", "true lines and candidates"] * 2
    bar = figure.axes[6]
    assert (bar.get_xlabel(), bar.get_xlim()) == ("score", (0.0, 1.0))


def test_lines_at_the_border_leave_the_picture_as_large_as_its_neighbours() -> None:
    edge = Line(np.array([[0.0, 0.0], [39.0, 49.0]], np.float32), 2.0)
    one = TubePanel(GREY, GREY, [edge], np.array([True]), [edge], np.array([True]), "one", "1 true")
    image, _, lines, _ = tube_panels([one], title="Images").axes
    assert (lines.get_xlim(), lines.get_ylim()) == (image.get_xlim(), image.get_ylim())


def test_large_images_are_shown_smaller_with_lines_in_their_place() -> None:
    large = TubePanel(
        np.zeros((2048, 1024), np.float32),
        np.zeros((2048, 1024), np.float32),
        [Line(np.array([[2000.0, 1000.0], [2040.0, 1020.0]], np.float32), 2.0)],
        np.array([True]),
        [],
        np.zeros(0, bool),
        "large",
        "1 true",
    )
    axes = tube_panels([large], title="Images").axes[2]
    assert axes.get_images()[0].get_array().shape[:2] == (1024, 512)
    np.testing.assert_allclose(axes.get_lines()[0].get_xydata()[-1], [510.0, 1020.0])


def test_close_ups_are_about_the_middle_of_the_line() -> None:
    figure = close_ups([error(true=[LINE]), error(true=[LINE])], title="Missed", side=20)
    assert figure.axes[0].get_xlim() == pytest.approx((17.5 - 10, 17.5 + 10), abs=0.5)
    assert figure.axes[0].get_ylim() == pytest.approx((5 + 10, 5 - 10), abs=0.5)
    assert drawn(figure)


def test_close_ups_name_their_image_and_have_the_colours_of_the_other_figures() -> None:
    _, missed, wrong, _ = tube_panels([panel()], title="Images").axes[2].get_lines()
    figure = close_ups([error(true=[LINE]), error(found=[LINE])], title="Errors")
    assert [axes.get_lines()[0].get_color() for axes in figure.axes] == [missed.get_color(), wrong.get_color()]
    assert [axes.get_title() for axes in figure.axes] == ["one\n25 px"] * 2


def test_curves_end_at_the_recall_of_all_candidates() -> None:
    objects = pd.DataFrame({"score": [0.9, 0.8, 0.7], "matched": [1.0, 0.0, 1.0]})
    figure = precision_recall_curves((POSITIVE, NEGATIVE), objects, num_true=4)
    found = figure.axes[1].get_lines()[0].get_xydata()
    np.testing.assert_allclose(found, [[0.25, 1.0], [0.25, 0.5], [0.5, 2 / 3]])
    assert drawn(figure)


def test_curves_without_candidates_are_no_error() -> None:
    assert drawn(precision_recall_curves((POSITIVE, NEGATIVE), pd.DataFrame(columns=["score", "matched"]), num_true=0))


def test_confusion_counts_windows_on_either_side_of_the_threshold() -> None:
    figure = window_figure((POSITIVE, NEGATIVE), threshold=0.5)
    texts = [text.get_text().split("\n")[0] for text in figure.axes[0].texts]
    assert texts == ["3", "1", "1", "2"]  # without: kept, alarms; with: missed, found
    assert drawn(figure)


def test_agreement_of_counts_shows_bias_and_limits() -> None:
    rows = {
        "tcr_images": [1.0, 1.0, 0.0],
        "tcr_num_true": [2.0, 4.0, 0.0],
        "tcr_num_found": [3.0, 3.0, 0.0],
        "tcr_true_cells": [10.0, 10.0, 0.0],
        "tcr_found_cells": [10.0, 10.0, 0.0],
    }
    axes = count_agreement(pd.DataFrame(rows)).axes[0]
    np.testing.assert_allclose(np.sort(axes.get_lines()[0].get_ydata()), [-0.1, 0.1], atol=1e-12)
    limit = 1.96 * np.std([-0.1, 0.1], ddof=1)
    np.testing.assert_allclose([line.get_ydata()[0] for line in axes.get_lines()[1:]], [0, -limit, limit], atol=1e-12)


def test_geojson_holds_lines_in_x_and_y_and_the_figures_that_are_known() -> None:
    row = {"line": "[[1.0, 2.0], [5.0, 2.5]]", "score": 0.75, "length": 4.1, "length_um": np.nan, "sample_id": "one"}
    tree = json.loads(candidates_geojson([row]))
    (feature,) = tree["features"]
    assert tree["type"] == "FeatureCollection"
    assert feature["geometry"] == {"type": "LineString", "coordinates": [[1.5, 2.5], [5.5, 3.0]]}
    assert feature["properties"]["measurements"] == {"score": 0.75, "length": 4.1}
    assert feature["properties"]["objectType"] == "annotation"


def test_geojson_of_no_candidates_is_an_empty_collection() -> None:
    assert json.loads(candidates_geojson([])) == {"type": "FeatureCollection", "features": []}
