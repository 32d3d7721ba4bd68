"""The tables and the figure of a comparison."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.conftest import ROOT

from nanonuclei.config.params import load_experiment
from nanonuclei.report.compare_tables import as_markdown, as_text, compared_curves, cost_rows, score_rows, verdicts
from nanonuclei.tasks import create_task
from nanonuclei.tasks.nuclei.score import METRIC_NAMES

NAN = float("nan")
NUCLEI, NANOTUBES = (create_task(load_experiment(task, path=ROOT / "params.yaml")) for task in ("nuclei", "nanotubes"))


@pytest.fixture
def comparison() -> pd.DataFrame:
    rows = [
        ("all", "iou", "unet", 3, 0.8, 0.01, NAN, NAN, NAN),
        ("all", "iou", "tuned", 3, 0.82, 0.012, 0.02, 0.01, 0.03),
        ("all", "ap50_pooled", "unet", 3, 0.7, 0.02, NAN, NAN, NAN),
        ("all", "ap50_pooled", "tuned", 1, 0.69, NAN, -0.01, -0.03, 0.01),
        ("all", "shared_pixels", "unet", 3, 5.0, 0.0, NAN, NAN, NAN),
        ("stained", "iou", "unet", 3, 0.5, 0.0, NAN, NAN, NAN),
    ]
    names = ["group", "metric", "arm", "num_runs", "mean", "sd", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def test_scores_are_means_with_deviations_and_differences_with_intervals(comparison: pd.DataFrame) -> None:
    header, cells = score_rows(comparison, METRIC_NAMES)
    assert header == ["test images", "unet", "tuned", "tuned - unet (95 % interval)"]
    assert cells == [
        ["foreground IoU", "0.800 ± 0.010", "0.820 ± 0.012", "+0.020 (+0.010 to +0.030)"],
        ["AP at IoU 0.5, pooled", "0.700 ± 0.020", "0.690", "-0.010 (-0.030 to +0.010)"],
    ]


def test_verdicts_begin_with_the_headline(comparison: pd.DataFrame) -> None:
    first, second = verdicts(comparison, NUCLEI)
    assert first.startswith("no difference shown in AP at IoU 0.5, pooled")
    assert second == "tuned is better by 0.020 foreground IoU, 95 % interval 0.010 to 0.030"


def test_nanotubes_have_headlines_of_their_own(comparison: pd.DataFrame) -> None:
    names = {"iou": "object_f1", "ap50_pooled": "window_roc_auc"}
    (sentence,) = verdicts(comparison.assign(metric=comparison["metric"].replace(names)), NANOTUBES)
    assert sentence == "tuned is better by 0.020 F1 of nanotubes, 95 % interval 0.010 to 0.030"


def test_costs_are_means_of_each_arms_runs() -> None:
    runs = pd.DataFrame(
        {
            "arm": ["unet", "unet", "tuned"],
            "seed": [7, 8, 7],
            "epochs": [42, 42, 42],
            "steps_per_epoch": [80, 80, 80],
            "batch_size": [8, 8, 16],
            "train_seconds": [600.0, 1200.0, NAN],
            "num_params": [1_900_000, 1_900_000, 500],
            "inference_ms": [100.0, 200.0, 50.0],
        }
    )
    _, cells = cost_rows(runs)
    assert cells == [
        ["unet", "2", "7, 8", "42 x 80 x 8", "15.0", "1,900,000", "150"],
        ["tuned", "1", "7", "42 x 80 x 16", "-", "500", "50"],
    ]


def test_tables_are_set_for_terminal_and_markdown() -> None:
    rows = (["a", "b|c"], [["1", "x"]])
    assert as_markdown(rows) == "| a   | b\\|c   |\n|-----|--------|\n| 1   | x      |"
    assert as_text(rows).splitlines()[-1].split() == ["1", "x"]


def test_curves_of_every_run_are_drawn_in_their_arms_colour() -> None:
    history = {"train/loss": [0.5, 0.3], "val/loss": [0.6, NAN], "val/accuracy": [0.8, 0.9]}
    figure = compared_curves({"unet": [history, history], "tuned": [history]}, one_loss=True)
    loss, *_, accuracy = figure.axes
    colours = [line.get_color() for line in loss.get_lines()]
    assert colours[0] == colours[1] != colours[2]
    assert [len(axes.get_lines()) for axes in figure.axes] == [3, 3, 3, 3]
    np.testing.assert_array_equal(accuracy.get_lines()[0].get_ydata(), [0.8, 0.9])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["unet (2)", "tuned (1)"]
    figure.canvas.draw()


@pytest.mark.parametrize(("losses", "scale"), [([0.5, 0.3], "linear"), ([5.0, 0.1], "log"), ([5.0, 0.0], "linear")])
def test_losses_that_span_decades_are_drawn_on_a_logarithmic_axis(losses: list[float], scale: str) -> None:
    figure = compared_curves({"unet": [{"train/loss": losses, "val/accuracy": [5.0, 0.1]}]}, one_loss=True)
    assert [axes.get_yscale() for axes in figure.axes] == [scale, "linear", "linear", "linear"]


@pytest.mark.parametrize(("one_loss", "told"), [(True, [False] * 4), (False, [True, True, False, False])])
def test_losses_of_different_kinds_are_said_to_be_so_in_the_picture(one_loss: bool, told: list[bool]) -> None:
    figure = compared_curves({"unet": [{"train/loss": [0.5]}], "dice": [{"train/loss": [0.9]}]}, one_loss=one_loss)
    assert ["not to be compared" in axes.get_title() for axes in figure.axes] == told
