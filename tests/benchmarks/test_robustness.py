"""The table of robustness: what a finder that thresholds grey values gets under changes, and which rows there are."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import robustness
from perturbations import EMPTY_FIELDS, PERTURBATIONS
from robustness import changes_table, chosen, contact_sheet, fields_table, generator, main, markdown, planned
from tests.benchmarks.conftest import unpadded

from nanonuclei.data.catalog import Catalog, SampleRef, save_catalog
from nanonuclei.errors import DataError


def threshold(image: np.ndarray) -> np.ndarray:
    """Finds what is brighter than 100."""
    grey = image if image.ndim == 2 else image.max(axis=2)
    return cv2.connectedComponents((grey > 100).astype(np.uint8))[1]


@pytest.fixture
def samples(tmp_path: Path) -> list[SampleRef]:
    """Three images of 200 x 300 px with four bright discs each."""
    refs = []
    for number in range(3):
        labels = np.zeros((200, 300), np.uint16)
        for place in range(4):
            cv2.circle(labels, (50 + 60 * place, 60 + 30 * number), 14, place + 1, -1)
        image = np.where(labels > 0, 180, 20).astype(np.uint8)
        for kind, array in (("images", image), ("labels", labels)):
            (tmp_path / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / kind / f"{number}.png"), array)
        paths = (tmp_path / "images" / f"{number}.png", tmp_path / "labels" / f"{number}.png")
        modality = "fluorescence" if number else "stained"
        refs.append(SampleRef(str(number), *paths, 200, 300, modality, 4, number, "test", f"{number:016}"))
    return refs


def test_a_row_tells_scores_and_their_share_of_the_unchanged_images(samples: list[SampleRef]) -> None:
    table = changes_table(threshold, samples, names=["inverted", "half dimmed"], seed=1).set_index("name")
    assert table.index.tolist() == ["unchanged", "half dimmed", "inverted"]
    assert table.loc["unchanged", ["ap50", "recall", "precision", "count_ratio", "share"]].tolist() == [1] * 5
    dimmed = table.loc["half dimmed"]
    assert (dimmed["true"], dimmed["found"]) == (12, 6)
    assert dimmed[["ap50", "recall", "precision", "count_ratio", "share"]].tolist() == [0.5, 0.5, 1, 0.5, 0.5]
    assert table.loc["inverted", "ap50"] == 0


def test_enlarged_centres_are_compared_with_the_same_centres_unchanged(samples: list[SampleRef]) -> None:
    assert list(planned(["zoom 4", "zoom 0.5"])) == [
        "unchanged",
        "unchanged, centre of 256 px",
        "zoom 0.5",
        "zoom 4",
    ]
    table = changes_table(threshold, samples, names=["zoom 4"], seed=1).set_index("name")
    assert table["true"].tolist() == [12, 12]
    assert table["share"].tolist() == [1, 1]
    assert list(planned(["zoom 4"])) == ["unchanged, centre of 256 px", "zoom 4"]


def test_every_change_has_a_row_and_rows_do_not_depend_on_others(samples: list[SampleRef]) -> None:
    whole = changes_table(threshold, samples, names=list(PERTURBATIONS), seed=3).set_index("name")
    assert set(PERTURBATIONS) <= set(whole.index)
    alone = changes_table(threshold, samples, names=["Gaussian noise"], seed=3).set_index("name")
    pd.testing.assert_series_equal(alone.loc["Gaussian noise"], whole.loc["Gaussian noise"])
    assert whole.loc["zoom 0.25", "true"] == 12


def test_empty_fields_count_what_is_found() -> None:
    table = fields_table(lambda image: np.indices(image.shape[:2])[0] // 256 + 1, num_fields=3, seed=0)
    assert table["name"].tolist() == list(EMPTY_FIELDS)
    assert table["found"].tolist() == [6] * 5
    assert "| dust | 3 | 6 |" in unpadded(markdown(table))


def test_images_are_drawn_by_the_seed_within_a_modality(samples: list[SampleRef]) -> None:
    assert [s.sample_id for s in chosen(samples, modality="fluorescence", limit=0, seed=0)] == ["1", "2"]
    assert len(chosen(samples, modality="all", limit=2, seed=0)) == 2
    assert chosen(samples, modality="all", limit=2, seed=5) == chosen(samples, modality="all", limit=2, seed=5)
    assert len(chosen(samples, modality="all", limit=9, seed=0)) == 3
    with pytest.raises(DataError, match="at least one image must be of modality brightfield"):
        chosen(samples, modality="brightfield", limit=0, seed=0)


def test_generators_differ_by_seed_change_and_image() -> None:
    draws = {generator(*key).integers(2**60) for key in ((1, "a", "x"), (2, "a", "x"), (1, "b", "x"), (1, "a", "y"))}
    assert len(draws) == 4
    assert generator(1, "a").integers(2**60) == generator(1, "a").integers(2**60)


def test_the_sheet_shows_every_change_and_every_field(samples: list[SampleRef]) -> None:
    sheet = contact_sheet(samples[0], seed=0)
    rows = -(-(len(PERTURBATIONS) + 1 + len(EMPTY_FIELDS)) // 6)
    assert sheet.shape == (rows * 280, 6 * 260, 3)


def test_the_command_prints_tables_and_writes_them(
    samples: list[SampleRef], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_catalog(Catalog("dsb2018", "0" * 32, tuple(samples)), tmp_path)
    monkeypatch.setattr(robustness, "finder", lambda model: threshold)
    words = ["--model", "m", "--prepared", str(tmp_path), "--modality", "all", "--only", "zoom 2", "--fields", "1"]
    monkeypatch.setattr(sys, "argv", ["robustness.py", *words, "--out", str(tmp_path / "out")])
    main()
    printed = unpadded(capsys.readouterr().out)
    assert "| zoom 2 | 3 | 12 | 1.000 |" in printed
    assert "| empty field | images | nuclei found |" in printed
    written = pd.read_csv(tmp_path / "out" / "robustness.csv")
    assert written["name"].tolist() == ["unchanged, centre of 512 px", "zoom 2", *EMPTY_FIELDS]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["robustness.csv"]


def test_a_mistyped_change_ends_with_one_line(
    samples: list[SampleRef], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["robustness.py", "--model", "m", "--only", "zoom 3"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: --only must name changes of the table, got 'zoom 3'. Did you mean zoom")
    assert error.count("\n") == 1


def test_counts_of_no_nuclei_give_no_ratio(samples: list[SampleRef], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "none.png"), np.zeros((200, 300), np.uint16))
    bare = dataclasses.replace(samples[0], labels_path=tmp_path / "none.png")
    table = changes_table(threshold, [bare], names=["unchanged"], seed=0)
    assert table[["count_ratio", "share"]].isna().all(axis=None)
    assert "| unchanged | 1 | 0 | 0.000 | 0.000 | 0.000 | - | - |" in unpadded(markdown(table))


def test_a_model_that_is_not_there_ends_with_one_line(
    samples: list[SampleRef], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_catalog(Catalog("dsb2018", "0" * 32, tuple(samples)), tmp_path)
    (tmp_path / "no-model").mkdir()
    words = ["--model", str(tmp_path / "no-model"), "--prepared", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["robustness.py", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "no-model" in capsys.readouterr().err
