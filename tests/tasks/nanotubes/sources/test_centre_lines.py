"""Centre lines that people drew: as tables and JSON, with doubtful ones that count neither way."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from nanonuclei.data.catalog import BadSample
from nanonuclei.imaging.windows import Window
from nanonuclei.tasks.nanotubes.data_config import ChannelsConfig, WindowLabelsConfig
from nanonuclei.tasks.nanotubes.lines.candidates import Candidate
from nanonuclei.tasks.nanotubes.lines.line import Line, resample
from nanonuclei.tasks.nanotubes.score import counted, match
from nanonuclei.tasks.nanotubes.sources.centre_lines import parse_lines_csv
from nanonuclei.tasks.nanotubes.sources.fetch import describe
from nanonuclei.tasks.nanotubes.sources.images import open_tnt, read_tnt
from nanonuclei.tasks.nanotubes.sources.samples import TubeSample
from nanonuclei.tasks.nanotubes.sources.splits import cut_quadrants
from nanonuclei.tasks.nanotubes.target import label_windows

SURE, DOUBTFUL = [[10, 20], [70, 20]], [[10, 40], [70, 40]]
HEAD = "panel,tube,uncertain,polyline\n"
TABLE = HEAD + f'a,1,0,"{json.dumps(SURE)}"\na,2,1,"{json.dumps(DOUBTFUL)}"\nb.png,,,\n'


def images(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        noise = np.random.default_rng(number).integers(0, 255, (60, 80)).astype(np.uint8)
        assert cv2.imwrite(str(folder / f"{name}.png"), noise)
    return folder


def read(folder: Path) -> tuple[dict[str, TubeSample], list[BadSample]]:
    items = list(read_tnt(folder, ChannelsConfig(tubes=0, nuclei="none")))
    samples = {item.sample_id: item for item in items if isinstance(item, TubeSample)}
    return samples, [item for item in items if isinstance(item, BadSample)]


@pytest.mark.parametrize("form", ["csv", "json"])
def test_sure_lines_are_nanotubes_and_doubtful_ones_are_kept_apart(tmp_path: Path, form: str) -> None:
    folder = images(tmp_path / "data", "a", "b")
    if form == "csv":
        (folder / "annotations.csv").write_text(TABLE)
    else:
        rows = [
            {"image": "a.png", "tube": 1, "uncertain": 0, "polyline": SURE},
            {"image": "a.png", "tube": 2, "uncertain": 1, "polyline": DOUBTFUL},
            {"image": "b.png", "tube": None, "uncertain": 0, "polyline": []},
        ]
        rows[2]["polyline"] = None
        (folder / "annotations.json").write_text(json.dumps(rows))
    samples, problems = read(folder)
    assert problems == []
    truth = samples["a"].truth
    assert truth.kind == "mask"
    assert [line.length for line in truth.lines] == [pytest.approx(60.0)]
    assert [line.length for line in truth.doubtful] == [pytest.approx(60.0)]
    assert truth.labels[20, 10:71].tolist() == [1] * 61
    assert not truth.labels[30:].any()
    assert not samples["b"].truth.labels.any()
    with open_tnt(folder) as (_, layout):
        assert describe(layout) == "2 images with 1 centre lines and 1 doubtful ones"


def test_a_table_of_panels_tells_what_was_looked_at_and_of_which_paper_each_is(tmp_path: Path) -> None:
    folder = images(tmp_path / "data", "a", "b", "c")
    (folder / "annotations.csv").write_text(TABLE)
    (folder / "panels.csv").write_text("panel,doi,note\na,10.1/x,\nb,10.1/y,\nc,10.1/x,\n")
    samples, problems = read(folder)
    # b is named with and without its suffix.
    assert [problem.problem for problem in problems] == ["marked in annotations.csv line 4 and in panels.csv. Keep one"]
    (folder / "annotations.csv").write_text(TABLE.replace("b.png", "b"))
    samples, problems = read(folder)
    assert problems == []
    assert {name: sample.group for name, sample in samples.items()} == {"a": "10.1/x", "b": "10.1/y", "c": "10.1/x"}
    assert len(samples["a"].truth.lines) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('a,1,0,"[[1, 2]]"', "annotations.csv line 2: polyline must be [[x, y], ...], two points or more"),
        ('a,1,0,"[[1, 2], [3, 1e999]]"', "annotations.csv line 2: polyline must be [[x, y], ...]"),
        ("a,1,0,nonsense", "annotations.csv line 2: polyline must be [[x, y], ...]"),
        ('a,1,2,"[[1, 2], [3, 4]]"', "annotations.csv line 2: uncertain must be 0 or 1, got '2'"),
        (',1,0,"[[1, 2], [3, 4]]"', "annotations.csv line 2: no image is named"),
    ],
)
def test_rows_that_are_no_lines_are_told(row: str, message: str) -> None:
    (problem,) = parse_lines_csv((HEAD + row + "\n").encode(), "annotations.csv").problems
    assert f"{problem.file}: {problem.problem}".startswith(message)


def test_a_line_beyond_its_image_is_told(tmp_path: Path) -> None:
    folder = images(tmp_path / "data", "a")
    (folder / "lines.csv").write_text(HEAD + 'a,1,0,"[[10, 20], [90, 20]]"\n')
    _, (problem,) = read(folder)
    assert problem.problem == (
        "polyline from 10, 20 to 90, 20 (x, y) lies outside of the image, 80x60 px. Correct lines.csv line 2"
    )


def sample(tmp_path: Path) -> TubeSample:
    folder = images(tmp_path / "data", "a", "b")
    (folder / "annotations.csv").write_text(TABLE)
    return read(folder)[0]["a"]


def test_windows_on_doubtful_lines_are_left_out_of_training(tmp_path: Path) -> None:
    config = WindowLabelsConfig(core=0.5, min_pixels=10, min_share=0.5, clear_margin=0)
    windows = [Window(10, 20, 30, 40), Window(32, 20, 52, 40), Window(45, 20, 60, 40)]
    assert label_windows(sample(tmp_path).truth, windows, config).tolist() == [1, -1, 0]


def test_candidates_on_doubtful_lines_do_not_count_and_do_not_find(tmp_path: Path) -> None:
    truth = sample(tmp_path).truth
    rows = [[(20, 10), (20, 70)], [(41, 10), (41, 70)], [(52, 10), (52, 70)]]
    found = [Candidate(Line(resample(np.array(ends, np.float64)), 2.0), 0.9, 5.0, (0, 0)) for ends in rows]
    hits, num_true = match(truth, found)
    assert (hits.tolist(), num_true) == ([True, False, False], 1)
    assert counted(truth, found, hits).tolist() == [True, False, True]


def test_doubtful_lines_stay_with_the_quadrants_that_hold_them(tmp_path: Path) -> None:
    parts = cut_quadrants(sample(tmp_path), gap=4)
    assert [len(part.truth.doubtful) for part in parts] == [0, 0, 1, 1]
    assert parts[2].truth.doubtful[0].points[0].tolist() == [40 - 32, 10]
