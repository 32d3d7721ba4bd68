"""The plots of the pipeline: those that are declared, as figures and as a page without references to outside."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from tests.conftest import ROOT

from nanonuclei.errors import DataError
from nanonuclei.report.declared import Plot, declared_plots
from nanonuclei.report.plots import as_png, draw_plot, file_name
from nanonuclei.stages.pipeline.plots import draw_plots

PIPELINE = """
stages:
  train:
    foreach: [discs]
    do:
      plots:
        - build/${item}/plots/curves.csv: {cache: false, x: epoch, y: rate, title: Learning rate}
plots:
  - Loss per epoch:
      x: epoch
      y: {build/discs/plots/curves.csv: [train/loss, val/loss]}
      y_label: loss
"""
CURVES = "epoch,rate,train/loss,val/loss\n1,0.1,1.0,2.0\n2,0.1,0.5,nan\n3,0.05,0.25,0.5\n"


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    table = tmp_path / "build" / "discs" / "plots" / "curves.csv"
    table.parent.mkdir(parents=True)
    table.write_text(CURVES)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_plots_are_those_that_the_pipeline_declares() -> None:
    table = Path("build/discs/plots/curves.csv")
    assert declared_plots(yaml.safe_load(PIPELINE), folder=Path()) == [
        Plot("Loss per epoch", table, "epoch", ("train/loss", "val/loss"), "loss"),
        Plot("Learning rate", table, "epoch", ("rate",), "rate"),
    ]


def test_lines_are_the_columns_and_values_that_are_not_finite_leave_a_gap(pipeline: Path) -> None:
    plot = declared_plots(yaml.safe_load(PIPELINE), folder=Path())[0]
    lines = draw_plot(plot).axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["train/loss", "val/loss"]
    np.testing.assert_array_equal(lines[1].get_ydata(), [2.0, np.nan, 0.5])


def test_page_holds_its_figures_and_refers_to_nothing_outside(pipeline: Path) -> None:
    said: list[str] = []
    page = draw_plots(say=said.append)
    text = page.read_text(encoding="utf-8")
    assert page == Path("scratch/plots/index.html")
    assert len(re.findall(r'src="data:image/png;base64,', text)) == len(re.findall(r"src=", text)) == 2
    assert not re.search(r"https?:|<script|<link|@import|url\(", text)
    figures = sorted(path.relative_to(page.parent).as_posix() for path in page.parent.rglob("*.png"))
    assert figures == ["discs/learning-rate.png", "discs/loss-per-epoch.png"]
    assert cv2.imread(str(page.parent / figures[0])).shape[1] == 594
    assert "2 plots" in said[0]


def test_tables_of_this_repository_have_what_its_pipelines_draw() -> None:
    for path in (Path("dvc.yaml"), Path("pipelines", "nanotubes", "dvc.yaml")):
        plots = declared_plots(yaml.safe_load((ROOT / path).read_text()), folder=path.parent)
        assert len({file_name(plot.title) for plot in plots}) == len(plots) > 0
        for plot in plots:
            assert {plot.x, *plot.y} <= set(pd.read_csv(ROOT / plot.file, nrows=1))
        lines = [(plot.file, name) for plot in plots for name in plot.y]
        assert len(set(lines)) == len(lines), "drawn twice"
        curves = {name for plot in plots if plot.file.name == "curves.csv" for name in (plot.x, *plot.y)}
        assert curves >= {"train/loss", "val/loss", "learning_rate"}


def test_paths_of_plots_at_the_end_count_from_the_folder_of_the_file() -> None:
    text = PIPELINE.replace("{build/discs", "{../../build/discs")
    plots = declared_plots(yaml.safe_load(text), folder=Path("pipelines/discs"))
    assert {plot.file for plot in plots} == {Path("build/discs/plots/curves.csv")}


def test_missing_tables_and_columns_are_told_with_the_remedy(pipeline: Path) -> None:
    with pytest.raises(DataError, match="must hold the column ap, got epoch, rate"):
        draw_plot(Plot("AP", Path("build/discs/plots/curves.csv"), "epoch", ("ap",), ""))
    with pytest.raises(DataError, match="cannot be read"):
        draw_plot(Plot("AP", Path("nowhere.csv"), "epoch", ("ap",), ""))
    (pipeline / "build" / "discs" / "plots" / "curves.csv").unlink()
    with pytest.raises(DataError, match=r"none of those that dvc\.yaml declares is there\. Run `mlflow run \."):
        draw_plots()


def test_figure_is_a_png_file(pipeline: Path) -> None:
    assert as_png(draw_plot(declared_plots(yaml.safe_load(PIPELINE), folder=Path())[1])).startswith(b"\x89PNG")
