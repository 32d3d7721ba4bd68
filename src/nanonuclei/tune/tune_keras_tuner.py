"""Keras Tuner as a tuner: random, Bayesian or Hyperband, on one machine, trials in files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial
from keras_tuner.src import config as keras_tuner_config

from nanonuclei.errors import NanonucleiError
from nanonuclei.tune import base
from nanonuclei.tune.base import Objective, Outcome, Proposal, Search, TrialRecord
from nanonuclei.tune.keras_tuner_parts import create_oracle, trial_settings
from nanonuclei.tune.notes import PROJECT, Notes


class KerasTunerSearch:
    """A search with Keras Tuner; see `tune.base.Tuner`."""

    def __init__(self, search: Search) -> None:
        base.check_shared(PROJECT, search.storage)
        folder = search.folder / PROJECT
        identity = {**search.identity, "tune.keras_tuner.oracle": search.config.keras_tuner.oracle}
        self._notes = Notes(folder, study=search.study, identity=identity)
        self._space = search.config.space
        try:
            self._tuner = _Search(create_oracle(search), directory=str(search.folder), project_name=PROJECT)
        except (ValueError, RuntimeError) as error:
            raise NanonucleiError(
                f"{folder} holds a file that was cut off. Begin a search with `{base.another_study(search.study)}`"
            ) from error

    def join(self, make: Callable[[str | None], str]) -> str:
        """Returns the id of the record, made by the first call."""
        record = make(self._notes.record)
        self._notes.record = record
        return record

    def run(self, objective: Objective, *, say: Callable[[str], None]) -> None:
        """Runs trials until all are done."""
        keras_tuner_config.DEBUG = False  # or it prints a traceback of each failed trial
        self._tuner.call = lambda trial: objective(
            Proposal(int(trial.trial_id), trial_settings(trial, self._space)), lambda epoch, value: None
        )
        try:
            self._tuner.search(verbose=0)
        except _EndedError as error:
            raise error.args[0] from error

    def records(self) -> tuple[TrialRecord, ...]:
        """Returns every trial."""
        found = [self._record(trial) for trial in self._tuner.oracle.trials.values()]
        return tuple(sorted(found, key=lambda record: record.number))

    def _record(self, trial: Trial) -> TrialRecord:
        number, settings = int(trial.trial_id), trial_settings(trial, self._space)
        if not trial.message:
            return TrialRecord(number, settings, base.WAITING)
        worker, outcome = json.loads(trial.message)
        return TrialRecord(number, settings, outcome["state"], worker, Outcome(**outcome))


class _EndedError(keras_tuner.errors.FatalError):  # type: ignore[misc]
    """Carries what ends the worker past Keras Tuner, which takes other errors for a trial's."""


class _Search(BaseTuner):  # type: ignore[misc]
    """Hands trials to `call` and stores the outcome in the trial's own file."""

    call: Callable[[Trial], Outcome]

    def on_search_begin(self) -> None:
        """Stores that there is a search: without that, one cut off in its first trial would begin anew."""
        self.save()

    def run_trial(self, trial: Trial, **_: object) -> float:
        """Runs one trial."""
        try:
            outcome = self.call(trial)
        except Exception as error:
            raise _EndedError(error) from error
        self.told = json.dumps([base.worker_name(), asdict(outcome)])
        if outcome.state != base.COMPLETE or outcome.value is None:
            raise keras_tuner.errors.FailedTrialError(outcome.error)
        return outcome.value

    def on_trial_end(self, trial: Trial) -> None:
        """Puts the outcome where Keras Tuner keeps an error's message."""
        trial.message = self.told
        super().on_trial_end(trial)


open_search = KerasTunerSearch
"""See `tune.base.open_search`."""
