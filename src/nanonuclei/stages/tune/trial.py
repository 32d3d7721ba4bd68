"""A trial of a search as a tracked run: settings, curve, state, duration, worker."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.data.catalog import Catalog
from nanonuclei.errors import TrackingError
from nanonuclei.stages.samples import training_samples, validation_samples
from nanonuclei.tracking.metrics import MetricSender
from nanonuclei.tracking.runs import identity_tags
from nanonuclei.tracking.trials import close_trial, open_trial
from nanonuclei.tune.base import DIED, Outcome, Proposal, Report, worker_name
from nanonuclei.tune.objective import TrialData, run_trial

VALUE = "value"
"""The metric at its best epoch, as the run of a trial has it."""


class TrackedObjective:
    """The one objective of all tuners.

    Attributes:
        overheads: Seconds of each trial so far beside its training, with what the tuner did before it.

    Args:
        config: What a trial's settings go on top of.
        catalog: Of its images, train and val are seen.
        parent: Id of the search's run.
        folder: Where a trial's checkpoints go while it runs.
        recipe: Name of the recipe that the config was made with; empty where it is not known.
        say: Told how each trial begins and ends.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        catalog: Catalog,
        *,
        parent: str,
        folder: Path,
        recipe: str = "",
        say: Callable[[str], None],
    ) -> None:
        self._config = config
        self._data = trial_data(catalog, config)
        self._parent = parent
        self._folder = folder
        self._tags = identity_tags(config, recipe=recipe)
        self._say = say
        self._since = time.perf_counter()
        self.overheads: list[float] = []

    def __call__(self, proposal: Proposal, report: Report) -> Outcome:
        """Runs a trial; see `tune.base.Objective`.

        Raises:
            TrackingError: The tracking server refuses.
            TakenOverError: See `Report`, as UnreachableError.
        """
        retry = {} if proposal.retry_of is None else {"retry_of": str(proposal.retry_of)}
        tags = {"worker": worker_name(), **self._tags, **retry}
        self._say(f"Trial {proposal.number}: {' '.join(f'{k}={_short(v)}' for k, v in proposal.settings.items())}")
        run_id = open_trial(self._parent, number=proposal.number, settings=proposal.settings, tags=tags)
        try:
            with MetricSender(run_id) as sender:
                outcome = run_trial(
                    self._config,
                    proposal,
                    self._data,
                    folder=self._folder / f"trial{proposal.number}-{os.getpid()}",
                    report=report,
                    on_epoch=sender.send,
                )
        except BaseException:
            with contextlib.suppress(TrackingError):
                close_trial(run_id, state=DIED, metrics={})
            raise
        value = {} if outcome.value is None else {VALUE: outcome.value}
        close_trial(run_id, state=outcome.state, metrics={**value, **outcome.figures}, error=outcome.error)
        reached = "" if outcome.value is None else f", {self._config.tune.metric} {outcome.value:.4f}"
        self._say(f"Trial {proposal.number} {outcome.state}{reached}{f': {outcome.error}' if outcome.error else ''}")
        now = time.perf_counter()
        self.overheads.append(now - self._since - outcome.figures.get("fit_seconds", 0.0))
        self._since = now
        return outcome


def trial_data(catalog: Catalog, config: ExperimentConfig) -> TrialData:
    """Returns what trials see: the images of a training, for measuring `tune.max_val_samples` of them at most.

    The part is drawn by `data.seed`: it is the same for all trials and workers.

    Raises:
        DataError: No image is of the wanted modality.
    """
    val = validation_samples(catalog, config)
    wanted = config.tune.max_val_samples
    if 0 < wanted < len(val):
        drawn = np.random.default_rng(config.data.seed).choice(len(val), wanted, replace=False)
        val = tuple(val[place] for place in sorted(drawn))
    return TrialData(training_samples(catalog, config), val)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
