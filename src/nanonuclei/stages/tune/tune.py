"""Tune: searches for better settings; one run for the search, one below it per trial, the best as a recipe."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable
from pathlib import Path

import mlflow

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import flatten, to_yaml
from nanonuclei.data.catalog import Catalog
from nanonuclei.errors import TrackingError
from nanonuclei.models.encoders import weights_path
from nanonuclei.stages.new_folder import one_at_a_time
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.stages.tune.finished import BEST, Finished, closing, remember
from nanonuclei.stages.tune.plan import TuneOptions, plan
from nanonuclei.stages.tune.report import best_recipe, log_search, search_table, trials_view
from nanonuclei.stages.tune.trial import TrackedObjective
from nanonuclei.tracking.inputs import log_splits
from nanonuclei.tracking.runs import existing_run, identity_tags, log_settings, stage_run
from nanonuclei.tracking.trials import close_dead_trials
from nanonuclei.tracking.views import share_view
from nanonuclei.tune.base import RUNNING, Search, Tuner, another_study, best_record, open_search, worker_name
from nanonuclei.tune.pretrained import check_weights
from nanonuclei.writing import write_text

OF_A_BUDGET = ("train.epochs", "train.steps_per_epoch", "train.batch_size")
"""Settings that say how long a trial is, which a search may choose."""
SEEN = ("train", "val")
"""Splits that a search may see."""


def tune(
    config: ExperimentConfig,
    *,
    options: TuneOptions,
    prepared: bool = False,
    say: Callable[[str], None] = print,
) -> str:
    """Searches until there are as many trials as asked for; a search that was cut off goes on.

    Args:
        config: With `data.dataset` decided; `tune` says what is searched.
        options: Tuner, number of trials, where they are shared.
        prepared: Whether the images have been prepared and told of just now.
        say: Told what the user should read.

    Returns:
        The id of the search's run.

    Raises:
        ConfigError: The space is not legal, a name or number not valid, or the study exists with another space.
        DataError: See `stages.prepare.prepared_dataset`.
        NanonucleiError: The storage cannot be reached, or no trial was finished.
    """
    search = plan(config, options)
    check_weights(config, look=weights_path)
    with one_at_a_time():
        catalog, source = prepared_dataset(config, say=(lambda _: None) if prepared else say)
    tuner = open_search(options.tuner, search)  # not before: broken images must leave no study
    tags = {**identity_tags(config, recipe=options.recipe_called), "tuner": options.tuner, "study": search.study}
    with contextlib.ExitStack() as held:

        def enter(known: str | None) -> str:
            if known is not None:
                _check_split(known, catalog, study=search.study)
            run_id = held.enter_context(
                stage_run("tune", name=f"tune {search.study}", tags=tags, resume=known, system_metrics=known is None)
            )
            if known is None:
                _log_inputs(config, catalog, source)
            return run_id

        parent = tuner.join(enter)
        say(f"Search {search.study}: run {parent}, worker {worker_name()}")
        say(_begins(config, search))
        _close_dead(parent, tuner)
        objective = TrackedObjective(
            config, catalog, parent=parent, folder=search.folder, recipe=options.recipe_called, say=say
        )
        tuner.run(objective, say=say)
        _close_dead(parent, tuner)
        records = tuner.records()
        best = best_record(records, greater_is_better=search.greater_is_better)
        path = search.folder / BEST
        write_text(path, best_recipe(config, best, search=search, path=path))
        mlflow.log_artifact(str(path))
        shares = log_search(config, search, records=records, best=best)
        table = search_table(search, records, best=best)
        say(table)
        if objective.overheads:
            overhead = statistics.median(objective.overheads)
            mlflow.log_metric("trial_overhead_seconds", overhead)
            say(f"\nA trial took {overhead:.2f} s beside its training (median of {len(objective.overheads)} here).")
        view = share_view(parent, trials_view(search, parent, shares))
        finished = Finished(parent, search.trials, table, tuple(best.settings), view)
        say(closing(config, options, finished, folder=search.folder))
    remember(finished, search, tuner=options.tuner)  # not before: one whose run did not end is not finished
    return parent


def _begins(config: ExperimentConfig, search: Search) -> str:
    """Returns how many trainings a search is made of, and how long each is."""
    budget = config.train.model_copy(update={"epochs": search.config.epochs}).budget
    chosen = [name for name in OF_A_BUDGET if name in search.config.space]
    but = f", but for {' and '.join(chosen)}, which the search chooses" if chosen else ""
    return f"Trials: {search.trials} in all, each {budget}{but}."


def _check_split(run_id: str, catalog: Catalog, *, study: str) -> None:
    recorded = existing_run(run_id).data.tags.get("split.fingerprint")
    if recorded != catalog.split_fingerprint():
        raise TrackingError(
            f"the data is not that of the search so far: its split has fingerprint {recorded}, the data here "
            f"{catalog.split_fingerprint()}. Put the same data here, or begin another search with "
            f"`{another_study(study)}`"
        )


def _log_inputs(config: ExperimentConfig, catalog: Catalog, source: Path) -> None:
    """Logs what all trials have in common; of the data, only what they see."""
    log_settings(mlflow.active_run().info.run_id, flatten(config))
    log_splits(catalog, source, SEEN)
    mlflow.log_text(to_yaml(config), "config.yaml")


def _close_dead(parent: str, tuner: Tuner) -> None:
    close_dead_trials(parent, running=lambda: [r.number for r in tuner.records() if r.state == RUNNING])
