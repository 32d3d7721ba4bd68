"""What a search is asked to do, checked before anything heavy is imported, read or stored."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.legal import check_space
from nanonuclei.config.params import flatten, told
from nanonuclei.config.recipes import load_recipe, recipe_name
from nanonuclei.config.section import Role, paths_of
from nanonuclei.errors import ConfigError, without_password
from nanonuclei.invocation import command, option
from nanonuclei.stages.places import study_folder
from nanonuclei.stages.settings import Choices, resolve
from nanonuclei.tune.base import Search, another_study, check_identity, check_shared, check_tuner, wrong_storage
from nanonuclei.tune.notes import PROJECT, identity_in_files

NOT_SHARED = (Role.SEARCH, Role.SCORING, Role.MACHINE)
"""Roles of the settings that workers of one search may have otherwise, or that decide no trial."""
OF_A_WORKER = ("train.epochs", "train.keep", "train.precision")
"""Single settings of that kind."""
OF_A_COMPARISON = ("train.epochs", "train.steps_per_epoch")
"""Settings beside those of the data that recipes must share to be compared."""


@dataclass(frozen=True)
class TuneOptions:
    """What a command line says about a search beside the config.

    Attributes:
        tuner: ``optuna`` or ``keras-tuner``.
        trials: How many there are to be in the end.
        storage: URL of a database that workers share.
        study: Name of the search; made of task, dataset and tuner where None.
        recipe: Name or file of the recipe that the config was made with; the best settings are compared with it.
    """

    tuner: str
    trials: int
    storage: str | None = None
    study: str | None = None
    recipe: str = ""

    @property
    def recipe_called(self) -> str:
        """What the recipe is called; empty where it is not known."""
        return recipe_name(self.recipe) if self.recipe else ""


def plan(config: ExperimentConfig, options: TuneOptions) -> Search:
    """Returns a search whose parts have been checked, before anything is read or stored."""
    check_tuner(options.tuner)
    check_no_password(options.storage)
    check_kind(options.storage)
    check_shared(options.tuner, options.storage)
    if options.trials < 1:
        raise ConfigError(f"a search must have at least one trial, got trials={options.trials}")
    study = options.study or f"{config.task}-{config.data.dataset}-{options.tuner}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", study):
        raise ConfigError(f"a study names a folder and must be of letters, digits, dots, - and _, got {study!r}")
    check_space(config)
    tune_config = config.tune
    free = {*OF_A_WORKER, *paths_of(config, NOT_SHARED), *_of_objects(config)}
    identity = {path: value for path, value in flatten(config).items() if path not in free}
    decisive = ("metric", "epochs", "max_val_samples")
    identity |= {f"tune.{name}": getattr(tune_config, name) for name in decisive}
    identity |= {f"tune.space.{path}": str(span) for path, span in tune_config.space.items()}
    return Search(
        study=study,
        config=tune_config,
        identity=identity,
        trials=options.trials,
        seed=config.seed,
        folder=study_folder(study),
        storage=options.storage,
    )


def _of_objects(config: ExperimentConfig) -> tuple[str, ...]:
    """Returns the settings by which objects are read: a trial is measured without them, but not without windows."""
    return tuple(path for path in paths_of(config, (Role.READING,)) if not path.startswith("windows."))


def comparison(task: str, dataset: str, recipes: tuple[str, str], *, searched: Collection[str]) -> str:
    """Returns the command that compares two recipes, to be printed: alike in budget, data, and what was not searched.

    Args:
        task: Name of the task.
        dataset: Its name.
        recipes: What the search began with, and what it found; `compare` asks that both train equally long, on one
            split.
        searched: Settings that the search chose.
    """
    configs = [resolve(Choices(task, dataset, recipe), say=lambda _: None) for recipe in recipes]
    before, found = (flatten(config) for config in configs)
    alike = {*OF_A_COMPARISON, *paths_of(configs[1], (Role.DATA,))}
    alike |= set(load_recipe(Path(recipes[1]))) - set(searched)
    changed = {path: value for path, value in found.items() if path in alike and value != before[path]}
    return command("compare", task=task, dataset=dataset, recipes=shlex.join(recipes), set=told(changed))


def check_study(search: Search, tuner: str) -> None:
    """Makes sure that a study which this machine keeps is a tuner's own and has the settings of a search.

    One without a trial, or whose trials all failed, began with a mistake: it is begun anew.

    Raises:
        ConfigError: The study exists with another space or other settings, or is of another tuner alone.
    """
    here = json.loads(json.dumps(search.identity))
    kept = {"optuna": _of_database(search), PROJECT: identity_in_files(search.folder / PROJECT)}
    there = kept[tuner]
    if there is None and (others := [name for name, known in kept.items() if known is not None]):
        raise ConfigError(
            f"study {search.study!r} is a search of {others[0]}, and {tuner} would begin another one below its name. "
            f"Go on with it by `{option('tuner', others[0])}`, or begin another search with "
            f"`{another_study(search.study)}`"
        )
    if there is not None:  # the tuner adds a setting of its own, and looks at that itself
        own = {name: value for name, value in there.items() if name in here or not name.startswith("tune.keras_tuner.")}
        check_identity(search.study, own, here)


def check_no_password(storage: str | None) -> None:
    """Refuses a URL with a password, which MLflow would store as a parameter, and shells in their history.

    Raises:
        ConfigError: The URL has a password.
    """
    if storage and storage != without_password(storage):
        raise ConfigError(
            f"storage must be a URL without a password, got {without_password(storage)}. Leave the password out and "
            "give it by PGPASSWORD, or in a file that PGPASSFILE names. Where `mlflow run` was given it, its run has "
            "stored it: delete that run, and change the password"
        )


def check_kind(storage: str | None) -> None:
    """Refuses a URL that is none of a database which a search can be kept in; `tune.storage` reads it whole.

    Raises:
        ConfigError: The URL is of another kind.
    """
    if storage and not re.fullmatch(r"(postgresql(\+\w+)?://[^/]*/|sqlite:///)[^/?].*|sqlite:////.+", storage):
        raise wrong_storage(storage)
    if storage and storage.startswith("sqlite:///"):
        folder = Path(storage.removeprefix("sqlite:///").partition("?")[0]).parent
        if not folder.is_dir():
            raise ConfigError(f"the storage must lie in a folder, but {folder} is not there. Make it, or name another")


def _of_database(search: Search) -> Mapping[str, Any] | None:
    """Returns the identity of a study of Optuna in a file of this machine; None where no trials could be compared."""
    file = search.folder / "study.db"
    if search.storage or not file.is_file():
        return None
    query = (
        "select a.value_json from study_user_attributes a join studies s on s.study_id = a.study_id "
        "where s.study_name = ? and a.key = 'identity' "
        "and exists (select 1 from trials t where t.study_id = s.study_id and t.state != 'FAIL')"
    )
    with contextlib.suppress(sqlite3.Error, ValueError):  # the search itself will tell
        database = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
        try:
            row = database.execute(query, (search.study,)).fetchone()
        finally:
            database.close()
        return json.loads(row[0]) if row else None
    return None
