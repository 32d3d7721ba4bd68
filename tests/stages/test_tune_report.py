"""What a search tells on the terminal and in MLflow's interface: its most important settings, within the width."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import ROOT

from nanonuclei.config.params import load_experiment
from nanonuclei.stages.tune.report import NUM_COLUMNS, search_table, trials_view
from nanonuclei.tune.base import COMPLETE, Outcome, Search, TrialRecord


@pytest.fixture(scope="module")
def search() -> Search:
    config = load_experiment("nuclei", path=ROOT / "params.yaml")
    return Search("s", config.tune, {}, trials=5, seed=0, folder=Path("s"))


def records(search: Search) -> list[TrialRecord]:
    settings = dict.fromkeys(search.config.space, "sparse_categorical_crossentropy+dice")
    return [TrialRecord(number, settings, COMPLETE, outcome=Outcome(COMPLETE, number / 10)) for number in range(5)]


def test_columns_in_mlflow_are_the_most_important_settings_and_the_state(search: Search) -> None:
    paths = list(search.config.space)
    view = trials_view(search, "abc", {paths[-1]: 0.6, paths[-2]: 0.3})
    shown = [column for column in view.columns if column.startswith("params.")]
    assert shown == [f"params.{path}" for path in (paths[-1], paths[-2], *paths[: NUM_COLUMNS - 2])]
    assert view.columns[-1] == "tags.state"
    assert len(trials_view(search, "abc", {}).columns) == len(view.columns)


@pytest.mark.parametrize(("width", "trials"), [(80, 2), (100, 3), (200, 5)])
def test_table_of_the_best_trials_fits_the_terminal(
    search: Search, width: int, trials: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    told = search_table(search, records(search), best=records(search)[-1])
    header = next(line for line in told.splitlines() if line.startswith("trial "))
    assert header.split()[1:] == ["4", "3", "2", "1", "0"][:trials]
    assert max(map(len, told.splitlines())) <= width


def test_values_that_begin_alike_are_told_apart(search: Search) -> None:
    kinds = ["sparse_categorical_crossentropy", "sparse_categorical_crossentropy+dice"]
    two = [
        replace(one, settings={**one.settings, "loss.kind": kind})
        for one, kind in zip(records(search), kinds, strict=False)
    ]
    told = search_table(search, two, best=two[1])
    row = next(line.split() for line in told.splitlines() if line.startswith("loss.kind "))
    assert row[1:] == ["sparse_..py+dice", "sparse_..entropy"]
