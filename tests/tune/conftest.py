"""Searches over two settings whose best value is known, and a real PostgreSQL server where its programs are there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from postgresql_server import NoServerError, server

from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tune.base import COMPLETE, PRUNED, Objective, Outcome, Proposal, PrunedError, Report, Search

SPACE = {
    "train.learning_rate": {"type": "float", "low": 0.001, "high": 0.1, "log": True},
    "network.depth": {"type": "int", "low": 1, "high": 4, "step": 1, "log": False},
    "train.schedule": {"type": "choice", "values": ["cosine", "constant"]},
}
QUICK = {
    "tune.epochs": 4,
    "tune.num_startup_trials": 3,
    "tune.num_warmup_epochs": 1,
    "tune.heartbeat": 1,
    "tune.grace": 2,
    "tune.space": SPACE,
    "train.patch_size": 32,
    "windows.size": 32,
    "windows.stride": 32,
}


@pytest.fixture
def make_search(experiment: Callable[..., NucleiExperiment], tmp_path: Path) -> Callable[..., Search]:
    """Makes searches: `make_search(trials=5, settings={"tune.optuna.sampler": "random"})`."""

    def make(
        trials: int = 5, settings: dict[str, Any] | None = None, study: str = "study", storage: str | None = None
    ) -> Search:
        config = experiment({**QUICK, **(settings or {})})
        identity = {f"tune.space.{path}": str(span) for path, span in config.tune.space.items()}
        return Search(study, config.tune, identity, trials, seed=7, folder=tmp_path / study, storage=storage)

    return make


def value_of(proposal: Proposal) -> float:
    """The value a trial would reach: depth 3 and schedule cosine are best, at any rate."""
    return (
        1.0
        - 0.1 * abs(int(proposal.settings["network.depth"]) - 3)
        - 0.05 * (proposal.settings["train.schedule"] != "cosine")
    )


@pytest.fixture
def objective() -> Objective:
    """Trains nothing: a curve of four epochs that rises to a value known from the settings."""

    def run(proposal: Proposal, report: Report) -> Outcome:
        value = value_of(proposal)
        for epoch in range(1, 5):
            try:
                report(epoch, value * epoch / 4)
            except PrunedError:
                return Outcome(PRUNED, value * epoch / 4)
        return Outcome(COMPLETE, value)

    return run


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a database on a server of its own; skipped where its programs are not installed."""
    with contextlib.ExitStack() as held:
        try:
            url = held.enter_context(server())
        except NoServerError as error:
            pytest.skip(str(error))
        yield url
