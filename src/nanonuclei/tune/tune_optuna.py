"""Optuna as a tuner: TPE or random, with pruning, on any number of machines."""

from __future__ import annotations

from collections.abc import Callable

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from sqlalchemy.exc import OperationalError

from nanonuclei.tune.base import Objective, Proposal, PrunedError, Search, TakenOverError, TrialRecord, UnreachableError
from nanonuclei.tune.reaching import unreachable
from nanonuclei.tune.storage import open_storage, patiently
from nanonuclei.tune.study import SharedStudy

STORAGE_ERRORS = (StorageInternalError, OperationalError)


class OptunaSearch:
    """A search with Optuna; see `tune.base.Tuner`."""

    def __init__(self, search: Search) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._storage = open_storage(search.storage, folder=search.folder, config=search.config)
        self._study = SharedStudy(search, self._storage)

    def join(self, make: Callable[[str | None], str]) -> str:
        """Returns the id of the shared record, made by the first worker."""
        return self._study.join(make)

    def run(self, objective: Objective, *, say: Callable[[str], None]) -> None:
        """Runs trials until all are done, here and elsewhere."""
        try:
            while trial := self._study.take(say):
                self._run(trial, objective, say)
        except STORAGE_ERRORS as error:
            raise unreachable(self._storage.shown, error) from error

    def records(self) -> tuple[TrialRecord, ...]:
        """Returns every trial."""
        return self._study.records()

    def _run(self, trial: optuna.Trial, objective: Objective, say: Callable[[str], None]) -> None:
        def report(epoch: int, value: float) -> None:
            try:
                patiently(lambda: trial.report(value, epoch))
                hopeless = trial.should_prune()
            except UpdateFinishedTrialError as error:
                raise TakenOverError from error
            except STORAGE_ERRORS as error:
                raise unreachable(self._storage.shown, error) from error
            if hopeless:
                raise PrunedError

        try:
            with self._study.alive(trial):
                outcome = objective(Proposal(trial.number, trial.params, trial.user_attrs.get("retry_of")), report)
            self._study.end(trial, outcome)
        except (TakenOverError, UpdateFinishedTrialError):
            say(f"Trial {trial.number} was taken over by another worker: this one had given no sign of life.")
        except (UnreachableError, *STORAGE_ERRORS):
            raise
        except BaseException:
            self._study.free(trial)
            raise


open_search = OptunaSearch
"""See `tune.base.open_search`."""
