"""The benchmark of taught looks: what is held out, what is taught, and one row of its table from end to end."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
import teach_looks
from finetune_looks import NUM_VAL, Scores, prefix
from looks import looks
from tests.benchmarks.conftest import sized_catalog

from nanonuclei.data.catalog import Catalog
from nanonuclei.errors import DataError

ROOT = Path(__file__).parents[2]
TINY = "fluorescence-tiny-bright"


@pytest.fixture
def sized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    monkeypatch.chdir(ROOT)
    return sized_catalog(tmp_path / "prepared", {"train": 16, "val": 2, "test": 4})


def test_fields_of_view_are_taught_or_held_out(sized: Catalog) -> None:
    names = looks(sized.samples)
    dealt = teach_looks.held_out(sized, names, TINY, seed=7, most=16)
    taught, held = [*dealt.train, *dealt.val], dealt.test
    assert {names[sample.sample_id] for sample in (*taught, *held)} == {TINY}
    assert {sample.split for sample in (*taught, *held)} == {"train"}
    assert not {sample.field for sample in taught} & {sample.field for sample in held}
    assert (len(dealt.train), len(dealt.val), len(held)) == (6 - NUM_VAL, NUM_VAL, 2)
    assert [sample.sample_id for sample in prefix(dealt, 4).train] == [s.sample_id for s in dealt.train[:2]]
    assert len(teach_looks.held_out(sized, names, TINY, seed=7, most=1).test) == 1


def test_a_look_that_cannot_be_taught_is_told(sized: Catalog) -> None:
    names = looks(sized.samples)
    with pytest.raises(DataError, match=r"no training image has the look 'fluorescence-tiny-brigt'\. Did you mean"):
        teach_looks.held_out(sized, names, "fluorescence-tiny-brigt", seed=7, most=16)
    one = {sample.sample_id: "odd" if sample.sample_id == "s00" else TINY for sample in sized.samples}
    with pytest.raises(DataError, match="odd must have images of two fields of view"):
        teach_looks.held_out(sized, one, "odd", seed=7, most=16)


def test_share_is_of_the_gap_and_left_open_where_there_is_none() -> None:
    row = [200, 5, 12, "0.400", "0.550", "0.70", "0.71", "0.2", "0.3", 6, "1.5"]
    share = teach_looks.HEAD.index("share of gap")
    assert teach_looks._cells(TINY, row, Scores(0.6, 0.4))[share] == "0.75"
    assert teach_looks._cells(TINY, row, Scores(0.4, 0.4))[share] == ""
    assert len(teach_looks._cells(TINY, row, Scores(0.6, 0.4))) == len(teach_looks.HEAD)


@pytest.mark.slow
def test_a_look_is_left_out_taught_and_scored(
    sized: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["network.base_filters=2", "network.depth=2", "train.patch_size=32", "windows.diameter=none"]
    words = ["--looks", TINY, "--nuclei", "6", "--steps", "2", "--recipe", "recipes/unet.yaml"]
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path / "prepared"), *words, "--out", str(out), "--set", *small])
    monkeypatch.setattr(teach_looks, "EPOCHS", 1)
    monkeypatch.setattr(teach_looks, "read_recipe", lambda *_, **__: {"train.epochs": 1, "train.steps_per_epoch": 2})
    teach_looks.main()
    assert "without: 8 training images" in capsys.readouterr().out
    with (out / "teach_looks.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["look"], row["nuclei"], row["images"], row["held out"]) == (TINY, "6", "2", "2")
    assert all(0.0 <= float(row[name]) <= 1.0 for name in ("AP50 without", "fine-tuned", "with", "old before"))
    assert {file.name for file in out.glob("*.keras")} == {"without.keras", "with.keras"}
