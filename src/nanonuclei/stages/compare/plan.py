"""What a comparison is asked to do, checked before anything heavy is imported."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.recipes import DEFAULT, recipe_name, recipe_path
from nanonuclei.counted import counted
from nanonuclei.errors import ConfigError, TrackingError
from nanonuclei.invocation import option
from nanonuclei.stages.settings import Choices, resolve
from nanonuclei.tracking.database import full_run_id
from nanonuclei.tracking.early.runs import check_compared, tags_of

MAX_SEEDS = 100


@dataclass(frozen=True)
class CompareOptions:
    """What is compared.

    Attributes:
        recipes: Names or files separated by white space; ``default`` is `params.yaml` alone. The first is what the
            others are compared with.
        seeds: How many trainings each recipe gets; their seeds count up from the config's.
        runs: ``NAME=RUN,RUN`` separated by white space: finished trainings to take for a recipe, or as one more.
        allow_different_splits: Whether runs of different splits may be compared.
    """

    recipes: str = ""
    seeds: int = 3
    runs: str = ""
    allow_different_splits: bool = False


@dataclass(frozen=True)
class Plan:
    """A comparison whose parts have been checked.

    Attributes:
        order: Names of all recipes; the first is what the others are compared with.
        choices: Of each recipe that is to be trained, by its name.
        configs: Their configs.
        runs: Ids of the runs that are taken for a recipe, by its name.
    """

    order: tuple[str, ...]
    choices: Mapping[str, Choices]
    configs: Mapping[str, ExperimentConfig]
    runs: Mapping[str, list[str]]


def once(say: Callable[[str], None]) -> Callable[[str], None]:
    """Returns what tells each line that it is given the first time only."""
    told: set[str] = set()

    def tell(line: str) -> None:
        if line not in told:
            told.add(line)
            say(line)

    return tell


def plan(choices: Choices, options: CompareOptions, *, say: Callable[[str], None] = print) -> Plan:
    """Checks what a comparison is asked to do.

    Args:
        choices: Task, dataset, and settings on top of every recipe; no recipe.
        options: Recipes, runs, number of seeds.
        say: Told which dataset is used, and which runs stand in several recipes.

    Raises:
        ConfigError: A name, number, recipe or setting is not valid, or the recipes train for different times.
        TrackingError: There is no such run.
    """
    names, named = recipe_names(options.recipes), named_runs(options.runs)
    order = tuple(dict.fromkeys([*names, *named]))
    if len(order) < 2:
        raise ConfigError(
            f"a comparison needs two recipes or more, got {len(order)}. Give "
            f"`{option('recipes', 'unet recipes/unet-tuned.yaml')}`, or `{option('runs', 'NAME=RUN,RUN NAME=RUN,RUN')}`"
        )
    if not 1 <= options.seeds <= MAX_SEEDS:
        raise ConfigError(f"seeds must be a number of trainings from 1 to {MAX_SEEDS}, got {options.seeds}")
    runs = {name: [full_run_id(run) for run in ids] for name, ids in named.items()}
    for name, ids in runs.items():
        for run_id in ids:
            check_compared(run_id, task=choices.task)
        if len(set(ids)) < len(ids):  # shortened ids may be of one run
            raise ConfigError(
                f"runs must read NAME=RUN,RUN with each run once, but {name} names one twice. Leave it out"
            )
    if set(order) == set(runs) and len(same_runs(runs)) == len(order) - 1:
        raise ConfigError(
            f"recipes that are compared must have runs that differ, but {', '.join(order)} have the same: "
            f"{', '.join(runs[order[0]])}. Name other runs for all but one"
        )
    check_splits(early_splits(runs), allowed=options.allow_different_splits)
    wanted = {name: replace(choices, recipe=word) for name, word in names.items() if name not in named}
    tell = once(say)
    configs = {name: resolve(one, say=tell) for name, one in wanted.items()}
    check_budgets(configs)
    if twice := shared_runs(runs):  # before hours of training
        say(f"Note: {told_twice(twice)}")
    return Plan(order, wanted, configs, runs)


def early_splits(runs: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Returns the fingerprints of the splits of runs, by what names a run, as far as one look at the database tells."""
    found = {f"{name}, run {run_id}": tags_of(run_id) for name, ids in runs.items() for run_id in ids}
    return {who: tags["split.fingerprint"] for who, tags in found.items() if tags and "split.fingerprint" in tags}


def check_splits(splits: Mapping[str, str], *, allowed: bool) -> None:
    """Makes sure that all are scored on the same test images.

    Args:
        splits: Fingerprint by who has it.
        allowed: Whether others will do.

    Raises:
        TrackingError: The fingerprints differ.
    """
    if len(set(splits.values())) > 1 and not allowed:
        told = "\n".join(f"  {name}: {split or 'unknown'}" for name, split in splits.items())
        raise TrackingError(
            "runs that are compared must have the same split, but their fingerprints differ: a difference could come "
            "from easier test images, and some may have been trained on test images of the others\n"
            f"{told}\nTake runs of one split, or compare on the test images that all share with "
            f"`{option('allow_different_splits', 'true')}`"
        )


def recipe_names(text: str) -> dict[str, str]:
    """Returns each recipe, as it was given, by its name; see `config.recipes`.

    Files of one name in different folders, such as the ``best.yaml`` of two searches, have the folder before it.

    Raises:
        ConfigError: The text has an open quotation mark, or a recipe stands twice.
    """
    try:
        words = [word or DEFAULT for word in shlex.split(text)]
    except ValueError as error:
        raise ConfigError(
            f"recipes must be names or files separated by spaces, got {text!r}: {error}. Put a name that holds a space "
            "or a quotation mark in quotes of the other kind"
        ) from error
    files = Counter(map(recipe_name, {recipe_path(word): word for word in words}.values()))
    found: dict[str, str] = {}
    for word in words:
        name, path = recipe_name(word), recipe_path(word)
        if path and files[name] > 1:
            name = f"{path.parent.name or 'this-folder'}-{name}"
        name = name.replace(" ", "_")
        _check_name(name)
        if name in found:
            raise ConfigError(
                f"each recipe has a name of its own, but {name!r} is given twice. Rename one of the files"
            )
        found[name] = word
    return found


def named_runs(text: str) -> dict[str, list[str]]:
    """Returns the run ids of each name in ``NAME=RUN,RUN NAME=RUN``.

    Raises:
        ConfigError: The text is not of that form, or a name or run stands twice.
    """
    found: dict[str, list[str]] = {}
    for word in text.split():
        name, _, ids = word.partition("=")
        runs = [run for run in ids.split(",") if run]
        if not name or not runs or name in found or len(set(runs)) < len(runs):
            raise ConfigError(f"runs must read NAME=RUN,RUN with each name and run once, got {word!r}")
        _check_name(name)
        found[name] = runs
    return found


def shared_runs(arms: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Returns the runs that stand in more than one recipe, with the names of these.

    Args:
        arms: Ids of runs by recipe.
    """
    places = {run: tuple(name for name, ids in arms.items() if run in ids) for ids in arms.values() for run in ids}
    return {run: names for run, names in places.items() if len(names) > 1}


def same_runs(arms: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Returns the recipes that have the very runs of the first one."""
    first, *others = arms
    return tuple(name for name in others if set(arms[name]) == set(arms[first]))


def told_twice(shared: Mapping[str, Sequence[str]]) -> str:
    """Returns what the runs of `shared_runs` do to a comparison, and how to compare without them."""
    told = "; ".join(f"run {run[:8]} in {', '.join(names)}" for run, names in shared.items())
    return (
        f"The same run stands in several recipes: {told}. It does not differ from itself, so that it is no evidence "
        "and draws differences towards 0. Leave it out of all but one to compare the others"
    )


def check_budgets(configs: Mapping[str, ExperimentConfig]) -> None:
    """Makes sure that recipes train for the same number of epochs and steps.

    Raises:
        ConfigError: They do not.
    """
    budgets = {name: (config.train.epochs, config.train.steps_per_epoch) for name, config in configs.items()}
    if len(set(budgets.values())) > 1:
        told = ", ".join(
            f"{name} {counted(epochs, 'epoch')} of {counted(steps, 'step')}"
            for name, (epochs, steps) in budgets.items()
        )
        epochs, steps = next(iter(budgets.values()))
        raise ConfigError(
            f"recipes that are compared must train equally long, but have: {told}. Give all the same, such as "
            f"`{option('set', f'train.epochs={epochs} train.steps_per_epoch={steps}')}`"
        )


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        remedy = "Put spaces between names" if "," in name else "Rename it"
        raise ConfigError(f"a recipe's name appears in metrics: letters, digits, dots, - and _, got {name!r}. {remedy}")
