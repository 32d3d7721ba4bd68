"""A study that workers share: trials are given out under a lock, as many as asked for; a dead worker's come back."""

from __future__ import annotations

import contextlib
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from nanonuclei.tune import base
from nanonuclei.tune.base import Outcome, Search, TrialRecord
from nanonuclei.tune.optuna_parts import create_pruner, create_sampler, distributions
from nanonuclei.tune.storage import Heartbeat, Storage

POLL = 1.0
"""Seconds between two looks at the trials of others."""
ENDS = {base.COMPLETE: TrialState.COMPLETE, base.PRUNED: TrialState.PRUNED}
STATES = {"COMPLETE": base.COMPLETE, "PRUNED": base.PRUNED, "RUNNING": base.RUNNING, "WAITING": base.WAITING}


class SharedStudy:
    """A study of Optuna.

    Raises:
        ConfigError: It exists with another identity.
    """

    def __init__(self, search: Search, storage: Storage) -> None:
        self._search = search
        self._storage = storage
        self._space = distributions(search.config.space)
        self._identity = json.loads(json.dumps(search.identity))
        with storage.exclusive(search.study):
            self._drop_if_nothing_would_be_compared()
            self._study = optuna.create_study(
                storage=storage.optuna,
                study_name=search.study,
                direction="maximize" if search.greater_is_better else "minimize",
                pruner=create_pruner(search.config),
                load_if_exists=True,
            )
            known = self._study.user_attrs.get("identity", self._identity)
            base.check_identity(search.study, known, self._identity)
            self._study.set_user_attr("identity", self._identity)

    def join(self, make: Callable[[str | None], str]) -> str:
        """Returns the id of the shared record, made by the first worker."""
        with self._storage.exclusive(self._search.study):
            self._check_kept()
            record = make(self._study.user_attrs.get("record"))
            self._study.set_user_attr("record", record)
        return record

    def take(self, say: Callable[[str], None]) -> optuna.Trial | None:
        """Returns a trial to run; waits while there is none but others run, whose workers may die."""
        told = False
        while True:
            with self._storage.exclusive(self._search.study), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # heartbeats are experimental, and meant for `optimize`
                self._check_kept()
                trials = self._revived()
                fresh = sum("retry_of" not in trial.user_attrs for trial in trials)
                states = {trial.state for trial in trials}
                if TrialState.WAITING in states or fresh < self._search.trials:
                    self._study.sampler = create_sampler(
                        self._search.config, seed=_mixed(self._search.seed, len(trials))
                    )
                    taken = self._study.ask(self._space)
                    self._storage.optuna.record_heartbeat(taken._trial_id)
                    taken.set_user_attr("worker", base.worker_name())
                    return taken
            if TrialState.RUNNING not in states:
                return None
            if not told:
                running = ", ".join(str(trial.number) for trial in trials if trial.state == TrialState.RUNNING)
                say(f"Waiting for trials that run elsewhere and may have to be run again: {running}")
                told = True
            time.sleep(POLL)

    def alive(self, trial: optuna.Trial) -> Heartbeat:
        """Returns a context that gives signs of life for a trial."""
        return Heartbeat(self._storage.optuna, trial._trial_id)

    def end(self, trial: optuna.Trial, outcome: Outcome) -> None:
        """Stores how a trial ended."""
        trial.set_user_attr("outcome", asdict(outcome))
        value = outcome.value if outcome.state == base.COMPLETE else None
        self._study.tell(trial.number, value, state=ENDS.get(outcome.state, TrialState.FAIL))

    def free(self, trial: optuna.Trial) -> None:
        """Gives a trial back that is not the reason why its worker ends."""
        with contextlib.suppress(Exception):  # where this fails too, its signs of life end
            trial.set_user_attr("interrupted", True)
            self._study.tell(trial.number, state=TrialState.FAIL)

    def records(self) -> tuple[TrialRecord, ...]:
        """Returns every trial."""
        return tuple(_record(trial) for trial in self._study.get_trials(deepcopy=False))

    def _drop_if_nothing_would_be_compared(self) -> None:
        """Deletes a study of another identity whose trials all failed, or that has none: it began with a mistake."""
        name, storage = self._search.study, self._storage.optuna
        try:
            there = optuna.load_study(study_name=name, storage=storage)
        except KeyError:
            return
        failed = all(trial.state == TrialState.FAIL for trial in there.get_trials(deepcopy=False))
        if failed and there.user_attrs.get("identity", self._identity) != self._identity:
            optuna.delete_study(study_name=name, storage=storage)

    def _check_kept(self) -> None:
        """Makes sure that no other worker has begun the study anew, before it had a trial.

        Raises:
            ConfigError: One has, with another identity.
        """
        try:
            there = self._study.user_attrs.get("identity", {})
        except KeyError:  # it has another number now
            there = optuna.load_study(study_name=self._search.study, storage=self._storage.optuna).user_attrs
            there = there.get("identity", {})
        base.check_identity(self._search.study, there, self._identity)

    def _revived(self) -> list[FrozenTrial]:
        """Returns the trials, after those of dead workers were put back. All of it may be cut off and repeated."""
        running = {t._trial_id: t.number for t in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))}
        for trial_id in self._storage.without_heartbeat(set(running)):  # its worker died while it took the trial
            self._study.tell(running[trial_id], state=TrialState.FAIL)
        optuna.storages.fail_stale_trials(self._study)
        trials = self._study.get_trials(deepcopy=False)
        retried = {trial.user_attrs.get("retry_of") for trial in trials}
        for trial in trials:
            deaths = trial.user_attrs.get("deaths", 0) + ("interrupted" not in trial.user_attrs)
            died = _record(trial).state == base.DIED and trial.number not in retried
            if died and deaths <= self._search.config.max_retries:
                self._study.add_trial(
                    optuna.create_trial(
                        state=TrialState.WAITING,
                        params=trial.params,
                        distributions=trial.distributions,
                        user_attrs={"retry_of": trial.number, "deaths": deaths},
                    )
                )
        return self._study.get_trials(deepcopy=False)


def _mixed(seed: int, number: int) -> int:
    """Returns a seed of its own for each trial of each search: a sum would give neighbouring searches the same ones."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _record(trial: FrozenTrial) -> TrialRecord:
    stored = trial.user_attrs.get("outcome")
    outcome = Outcome(**stored) if stored else Outcome(base.DIED)
    failed = outcome.state if outcome.state in (base.FAILED, base.OUT_OF_MEMORY) else base.DIED
    state = STATES.get(trial.state.name, failed)
    return TrialRecord(trial.number, dict(trial.params), state, trial.user_attrs.get("worker", ""), outcome)
