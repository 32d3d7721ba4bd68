"""What a search is: the words that objective, tuners, records and figures share. No tuner is imported here."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from nanonuclei.config.params import Scalar, told
from nanonuclei.config.tune import TuneConfig
from nanonuclei.errors import ConfigError, NanonucleiError, nearest_name
from nanonuclei.invocation import option

TUNERS = {"optuna": "nanonuclei.tune.tune_optuna", "keras-tuner": "nanonuclei.tune.tune_keras_tuner"}
"""Module of each tuner; it has a function `open_search`."""

COMPLETE, PRUNED, FAILED, OUT_OF_MEMORY = "complete", "pruned", "failed", "out of memory"
"""How a trial ends."""
RUNNING, WAITING, DIED = "running", "waiting", "died"
"""A trial that has not ended; one whose worker died."""


def wrong_storage(url: str) -> ConfigError:
    """Returns the error that tells that a search cannot be kept at a URL, of which only the kind is shown."""
    return ConfigError(
        "storage must read postgresql://USER@HOST/DATABASE (workers on many machines) or sqlite:///FILE (this "
        f"machine), got one that begins with {url.partition(':')[0]!r}"
    )


@dataclass(frozen=True)
class Search:
    """What is asked for.

    Attributes:
        study: Its name: the same name is the same search, gone on with.
        config: The section `tune`.
        identity: Setting to value of all that trials must have in common to be compared, the space included.
        trials: How many there are to be in the end, over all workers.
        seed: Of the proposals.
        folder: Where this machine keeps files of the study.
        storage: URL of a database that workers share; None for a file in `folder`.
    """

    study: str
    config: TuneConfig
    identity: Mapping[str, Any]
    trials: int
    seed: int
    folder: Path
    storage: str | None = None

    @property
    def greater_is_better(self) -> bool:
        """Whether the metric is to be raised."""
        return self.config.metric != "val/loss"


@dataclass(frozen=True)
class Proposal:
    """Settings that a tuner wants to know the value of.

    Attributes:
        number: Of the trial, from 0.
        settings: Dotted path to value; one of them may be ``train.epochs``.
        retry_of: The trial whose worker died, if this one repeats it.
    """

    number: int
    settings: dict[str, Scalar]
    retry_of: int | None = None


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        state: ``complete``, ``pruned``, ``failed`` or ``out of memory``.
        value: The metric at its best epoch; None where there is none.
        error: One line, where the trial failed.
        figures: More numbers: ``best_epoch``, ``seconds``, ``fit_seconds``, and of complete trials ``num_params`` and
            ``inference_ms``.
    """

    state: str
    value: float | None = None
    error: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialRecord:
    """A trial as the study knows it; `state` may also be ``running``, ``waiting`` or ``died``."""

    number: int
    settings: dict[str, Scalar]
    state: str
    worker: str = ""
    outcome: Outcome = field(default_factory=lambda: Outcome(DIED))


class PrunedError(Exception):
    """The tuner sees no hope for a trial."""


class TakenOverError(Exception):
    """The worker was taken for dead, and its trial is another's now."""


class UnreachableError(NanonucleiError):
    """The storage does not answer. No fault of the trial, which another worker or a later call runs again."""


Report = Callable[[int, float], None]
"""Told an epoch, from 1, and the metric; raises `PrunedError`, `TakenOverError` or `UnreachableError`."""

Objective = Callable[[Proposal, Report], Outcome]
"""Trains. What a trial does wrong is its outcome; what is raised ends the worker, but `TakenOverError` the trial."""


class Tuner(Protocol):
    """An open search. One process runs one trial at a time; others may do so on the same study."""

    def join(self, make: Callable[[str | None], str]) -> str:
        """Returns the id of the record that all workers share: `make` gets the known one, or None and makes it."""

    def run(self, objective: Objective, *, say: Callable[[str], None]) -> None:
        """Runs trials until there are as many as asked for, and none is left running, here or elsewhere."""

    def records(self) -> tuple[TrialRecord, ...]:
        """Returns every trial, in order."""


def open_search(tuner: str, search: Search) -> Tuner:
    """Opens or makes a study.

    Raises:
        ConfigError: The tuner is unknown, or the study exists with another space or other settings.
        NanonucleiError: The storage cannot be reached.
    """
    check_tuner(tuner)
    opened: Tuner = import_module(TUNERS[tuner]).open_search(search)
    return opened


def check_tuner(tuner: str) -> None:
    """Raises a `ConfigError` where a tuner is unknown."""
    if tuner not in TUNERS:
        raise ConfigError(f"unknown tuner {tuner!r}. {nearest_name(tuner, TUNERS)}")


def check_shared(tuner: str, storage: str | None) -> None:
    """Raises a `ConfigError` where a storage is given to a tuner that has one worker."""
    if storage and tuner != "optuna":
        raise ConfigError(
            f"storage is for many workers, which tuner=optuna has; tuner={tuner} runs one. Leave storage out"
        )


def check_identity(study: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Refuses to mix trials that cannot be compared.

    Raises:
        ConfigError: The identities differ; the message shows where.
    """
    names = [*there, *(name for name in here if name not in there)]
    other = [name for name in names if there.get(name) != here.get(name)]
    if other:
        lines = [
            f"  {name}: {there.get(name, 'not there')} in the study, {here.get(name, 'not there')} here"
            for name in other
        ]
        back = {name: there[name] for name in other if name in there and _can_be_set(name, there[name])}
        how = f"Take them back with `{option('set', told(back))}`" if len(back) == len(other) else "Take them back"
        raise ConfigError(
            f"study {study!r} exists with another space or other settings, and its trials would not compare:\n"
            + "\n".join(lines)
            + f"\n{how}, or begin another search with `{another_study(study)}`"
        )


def another_study(study: str) -> str:
    """Returns the parameter that begins another search than one of this name."""
    return option("study", f"{study}-2")


def _can_be_set(name: str, value: object) -> bool:
    """Tells whether a part of an identity is a setting of one word; the space, task and dataset are given otherwise."""
    return not name.startswith(("tune.space.", "data.dataset", "task")) and not re.search(r"\s", str(value))


def best_record(records: Sequence[TrialRecord], *, greater_is_better: bool) -> TrialRecord:
    """Returns the complete trial with the best value; of equals the earliest.

    Raises:
        NanonucleiError: No trial is complete.
    """
    complete = [record for record in records if record.state == COMPLETE and record.outcome.value is not None]
    if not complete:
        counts = {state: sum(record.state == state for record in records) for state in {r.state for r in records}}
        ended = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none was begun"
        errors = dict.fromkeys(record.outcome.error for record in records if record.outcome.error)
        raise NanonucleiError(
            "\n".join([f"no trial was finished ({ended}), so that there is no best one and no best.yaml", *errors])
        )
    sign = -1.0 if greater_is_better else 1.0
    return min(complete, key=lambda record: (sign * float(record.outcome.value or 0.0), record.number))


def worker_name() -> str:
    """Returns who this process is, such as ``node3:4711``."""
    return f"{socket.gethostname()}:{os.getpid()}"
