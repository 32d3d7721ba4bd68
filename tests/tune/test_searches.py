"""What every tuner keeps to: the number of trials, the space, the states, going on, refusing another space."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from nanonuclei.config.params import Scalar
from nanonuclei.errors import ConfigError, NanonucleiError
from nanonuclei.stages.tune.plan import check_study
from nanonuclei.tune.base import (
    COMPLETE,
    FAILED,
    OUT_OF_MEMORY,
    PRUNED,
    Objective,
    Outcome,
    Proposal,
    PrunedError,
    Report,
    Search,
    Tuner,
    best_record,
    open_search,
)

MakeSearch = Callable[..., Search]
TUNERS = [
    ("optuna", {"tune.optuna.sampler": "tpe", "tune.optuna.pruner": "none"}),
    ("optuna", {"tune.optuna.sampler": "random", "tune.optuna.pruner": "none"}),
    ("keras-tuner", {"tune.keras_tuner.oracle": "random"}),
    ("keras-tuner", {"tune.keras_tuner.oracle": "bayesian"}),
    ("keras-tuner", {"tune.keras_tuner.oracle": "hyperband"}),
]
OTHER_SPACE = {"tune.space": {"train.learning_rate": {"type": "float", "low": 0.001, "high": 0.5, "log": True}}}
every_tuner = pytest.mark.parametrize(("name", "settings"), TUNERS, ids=lambda value: str(value).split("'")[-2:-1])
one_of_each = pytest.mark.parametrize("name", ["optuna", "keras-tuner"])


def quiet(text: str) -> None:
    """Told what a user would read."""


def run(name: str, search: Search, objective: Objective) -> Tuner:
    tuner = open_search(name, search)
    tuner.run(objective, say=quiet)
    return tuner


@every_tuner
def test_search_ends_after_the_trials_asked_for_with_settings_from_the_space(
    make_search: MakeSearch, objective: Objective, name: str, settings: dict[str, Scalar]
) -> None:
    records = run(name, make_search(trials=6, settings=settings), objective).records()
    assert [record.number for record in records] == list(range(6))
    for record in records:
        assert record.state == COMPLETE
        assert 0.001 <= float(record.settings["train.learning_rate"]) <= 0.1
        assert type(record.settings["train.learning_rate"]) is float
        assert type(record.settings["network.depth"]) is int
        assert record.settings["network.depth"] in (1, 2, 3, 4)
        assert record.settings["train.schedule"] in ("cosine", "constant")
    best = best_record(records, greater_is_better=True)
    assert best.outcome.value == max(float(record.outcome.value or 0.0) for record in records)


@one_of_each
def test_failed_trials_are_recorded_and_the_search_goes_on(
    make_search: MakeSearch, objective: Objective, name: str
) -> None:
    bad = {0: FAILED, 1: OUT_OF_MEMORY, 2: FAILED, 3: FAILED, 4: FAILED}

    def often_bad(proposal: Proposal, report: Report) -> Outcome:
        state = bad.get(proposal.number)
        return Outcome(state, error=f"trial {proposal.number}") if state else objective(proposal, report)

    records = run(name, make_search(trials=7), often_bad).records()
    assert [record.state for record in records[:5]] == list(bad.values())
    assert records[1].outcome.error == "trial 1"
    assert Counter(record.state for record in records[5:]).total() == 2
    assert best_record(records, greater_is_better=True).number in (5, 6)


@one_of_each
def test_interrupted_search_goes_on_where_it_was(make_search: MakeSearch, objective: Objective, name: str) -> None:
    proposed: list[dict[str, Scalar]] = []

    def interrupted(proposal: Proposal, report: Report) -> Outcome:
        proposed.append(proposal.settings)
        if len(proposed) == 3:
            raise KeyboardInterrupt
        return objective(proposal, report)

    first = open_search(name, make_search(trials=4))
    first.join(lambda known: known or "the run")
    with pytest.raises(KeyboardInterrupt):
        first.run(interrupted, say=quiet)
    del first

    second = open_search(name, make_search(trials=4))
    assert second.join(lambda known: known or "another run") == "the run"
    second.run(interrupted, say=quiet)
    assert len(proposed) == 5
    assert proposed[3] == proposed[2]
    ended = [record for record in second.records() if record.state in (COMPLETE, PRUNED)]
    assert len(ended) == 4
    assert len({str(record.settings) for record in ended}) == 4


@one_of_each
def test_finished_search_runs_nothing_more_until_more_trials_are_asked_for(
    make_search: MakeSearch, objective: Objective, name: str
) -> None:
    run(name, make_search(trials=2), objective)
    again = run(name, make_search(trials=2), objective)
    assert len(again.records()) == 2
    del again
    assert len(run(name, make_search(trials=3), objective).records()) == 3


@one_of_each
def test_what_ends_a_worker_is_not_taken_for_a_failed_trial(make_search: MakeSearch, name: str) -> None:
    def without_server(proposal: Proposal, report: Report) -> Outcome:
        raise NanonucleiError("the tracking server is away")

    with pytest.raises(NanonucleiError, match="the tracking server is away"):
        run(name, make_search(), without_server)


@one_of_each
def test_study_with_another_space_is_refused_and_the_difference_shown(
    make_search: MakeSearch, objective: Objective, name: str
) -> None:
    run(name, make_search(trials=1), objective)
    with pytest.raises(ConfigError) as caught:
        open_search(name, make_search(settings=OTHER_SPACE))
    lines = str(caught.value).splitlines()
    assert "  tune.space.train.learning_rate: 0.001..0.1 log in the study, 0.001..0.5 log here" in lines
    assert "  tune.space.network.depth: 1..4 in the study, not there here" in lines


@one_of_each
@pytest.mark.parametrize("failed", [0, 2])
def test_study_without_a_trial_that_could_be_compared_is_begun_anew_with_the_corrected_settings(
    make_search: MakeSearch, objective: Objective, name: str, failed: int
) -> None:
    first = open_search(name, make_search(trials=failed))
    assert first.join(lambda known: known or "the run") == "the run"
    if failed:
        first.run(lambda proposal, report: Outcome(FAILED, error="all is NaN"), say=quiet)
    del first

    corrected = make_search(trials=2, settings=OTHER_SPACE)
    check_study(corrected, name)
    second = open_search(name, corrected)
    assert second.join(lambda known: known or "another run") == "another run"
    second.run(lambda proposal, report: Outcome(COMPLETE, 1.0), say=quiet)
    assert [record.state for record in second.records()] == [COMPLETE] * 2
    with pytest.raises(ConfigError, match="exists with another space"):
        check_study(make_search(), name)


def test_worker_whose_study_another_one_has_begun_anew_is_told_before_its_first_trial(
    make_search: MakeSearch, objective: Objective
) -> None:
    first = open_search("optuna", make_search())
    open_search("optuna", make_search(settings=OTHER_SPACE))
    with pytest.raises(ConfigError, match="exists with another space"):
        first.run(objective, say=quiet)
    with pytest.raises(ConfigError, match="exists with another space"):
        first.join(lambda known: known or "the run")


def test_same_seed_proposes_the_same(make_search: MakeSearch, objective: Objective) -> None:
    first, second = (run("optuna", make_search(study=study), objective).records() for study in ("one", "two"))
    assert [record.settings for record in first] == [record.settings for record in second]


@pytest.mark.parametrize("name", ["optuna", "keras-tuner"])
def test_searches_with_neighbouring_seeds_have_no_proposal_in_common(
    make_search: MakeSearch, objective: Objective, name: str
) -> None:
    settings = {"tune.optuna.sampler": "random", "tune.optuna.pruner": "none", "tune.keras_tuner.oracle": "random"}
    rates = []
    for seed in (7, 8):
        search = dataclasses.replace(make_search(trials=6, settings=settings, study=f"seed{seed}"), seed=seed)
        rates.append({record.settings["train.learning_rate"] for record in run(name, search, objective).records()})
    assert len(rates[0]) == len(rates[1]) == 6
    assert not rates[0] & rates[1]


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_hopeless_trials_are_pruned_and_recorded_as_such(make_search: MakeSearch, pruner: str) -> None:
    def good_at_first(proposal: Proposal, report: Report) -> Outcome:
        value = 1.0 if proposal.number < 4 else 0.1
        for epoch in range(1, 5):
            report(epoch, value)
        return Outcome(COMPLETE, value)

    def objective(proposal: Proposal, report: Report) -> Outcome:
        try:
            return good_at_first(proposal, report)
        except PrunedError:
            return Outcome(PRUNED, 0.1)

    settings = {"tune.optuna.pruner": pruner, "tune.epochs": 4}
    records = run("optuna", make_search(trials=12, settings=settings), objective).records()
    assert {record.state for record in records[:4]} == {COMPLETE}
    assert PRUNED in {record.state for record in records[4:]}


def test_median_pruner_leaves_epochs_and_trials_alone_as_its_settings_say(make_search: MakeSearch) -> None:
    def objective(proposal: Proposal, report: Report) -> Outcome:
        epoch = 0
        try:
            for epoch in range(1, 5):
                report(epoch, 1.0 - 0.1 * proposal.number)
        except PrunedError:
            return Outcome(PRUNED, 0.1, figures={"num_epochs": float(epoch)})
        return Outcome(COMPLETE, 1.0)

    settings = {"tune.epochs": 4, "tune.num_warmup_epochs": 2, "tune.optuna.num_unpruned_trials": 2}
    records = run("optuna", make_search(trials=5, settings=settings), objective).records()
    assert [record.state for record in records] == [COMPLETE] * 2 + [PRUNED] * 3
    assert [record.outcome.figures["num_epochs"] for record in records[2:]] == [3.0] * 3


def test_oracle_with_a_gaussian_process_finds_the_best_settings(make_search: MakeSearch, objective: Objective) -> None:
    settings = {"tune.keras_tuner.oracle": "bayesian", "tune.num_startup_trials": 5}
    best = best_record(
        run("keras-tuner", make_search(trials=12, settings=settings), objective).records(), greater_is_better=True
    )
    assert (best.settings["network.depth"], best.settings["train.schedule"]) == (3, "cosine")


def test_second_worker_of_keras_tuner_is_refused(make_search: MakeSearch) -> None:
    first = open_search("keras-tuner", make_search())
    with pytest.raises(NanonucleiError, match="is being searched by another process"):
        open_search("keras-tuner", make_search())
    assert first.records() == ()


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("mysql://user@host/database", "storage must read postgresql://"),
        ("redis", "got one that begins with 'redis'"),
        ("postgresql://user:hidden@host", "storage must read"),
    ],
)
def test_storage_of_another_kind_is_refused(make_search: MakeSearch, storage: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        open_search("optuna", make_search(storage=storage))
    assert "hidden" not in str(caught.value)


def test_keras_tuner_takes_no_storage(make_search: MakeSearch) -> None:
    with pytest.raises(ConfigError, match="which tuner=optuna has"):
        open_search("keras-tuner", make_search(storage="postgresql://user@host/database"))


def test_storage_that_cannot_be_reached_is_tried_again_and_then_told_in_one_line(
    make_search: MakeSearch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("nanonuclei.tune.storage.FIRST_PATIENCE", 1.0)
    with pytest.raises(NanonucleiError) as caught:
        open_search("optuna", make_search(storage="postgresql://user:hidden@127.0.0.1:1/database"))
    message = str(caught.value)
    assert "the storage postgresql://user:***@127.0.0.1:1/database cannot be reached" in message
    assert "hidden" not in message
    assert "\n" not in message
    assert "trying again" in caplog.text


def test_unknown_tuner_is_refused_with_the_nearest_name(make_search: MakeSearch) -> None:
    with pytest.raises(ConfigError, match=r"unknown tuner 'optima'\. Did you mean optuna"):
        open_search("optima", make_search())


def test_no_finished_trial_means_no_best_one(make_search: MakeSearch, tmp_path: Path) -> None:
    tuner = run("optuna", make_search(trials=2), lambda proposal, report: Outcome(FAILED, error="all is NaN"))
    with pytest.raises(NanonucleiError, match=r"no trial was finished \(2 failed\)") as caught:
        best_record(tuner.records(), greater_is_better=True)
    assert str(caught.value).count("all is NaN") == 1


def test_trial_whose_worker_dies_again_and_again_is_given_up(make_search: MakeSearch) -> None:
    search = make_search(trials=1, settings={"tune.max_retries": 1, "tune.heartbeat": 1, "tune.grace": 2})
    from nanonuclei.tune.storage import open_storage
    from nanonuclei.tune.study import SharedStudy

    storage = open_storage(None, folder=search.folder, config=search.config)
    study = SharedStudy(search, storage)
    for _ in range(2):
        taken = study.take(quiet)
        assert taken is not None
        with storage.optuna.engine.begin() as connection:  # as if the worker had been killed before its first sign
            connection.exec_driver_sql("delete from trial_heartbeats")
    assert study.take(quiet) is None
    assert [record.state for record in study.records()] == ["died", "died"]
