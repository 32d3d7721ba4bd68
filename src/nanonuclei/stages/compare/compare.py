"""Compare: trains recipes with the same split, epochs and seeds, or takes runs that exist, and says which is better."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlflow.tracking import MlflowClient

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import with_settings
from nanonuclei.errors import ConfigError, NanonucleiError, TrackingError
from nanonuclei.stages.compare.report import log_comparison
from nanonuclei.stages.compare.runs import ComparedRun, broken_off_run, finished_run, read_run
from nanonuclei.stages.places import RECIPES
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.stages.settings import Choices, resolve
from nanonuclei.stages.train import run_name
from nanonuclei.tracking.children import run_child
from nanonuclei.tracking.runs import existing_run, stage_run

DEFAULT = "default"
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
class Planned:
    """A training that a comparison needs."""

    choices: Choices
    config: ExperimentConfig
    split: str


def compare(choices: Choices, options: CompareOptions, *, say: Callable[[str], None] = print) -> str:
    """Compares recipes on the test images.

    A training that exists with the same settings, seed and split is taken; one that was cut off here goes on.

    Args:
        choices: Task, dataset, and settings on top of every recipe; no recipe.
        options: Recipes, runs, number of seeds.
        say: Told what the user should read.

    Returns:
        The id of the comparison's run.

    Raises:
        ConfigError: A name, number, recipe or setting is not valid, or the recipes train for different times.
        TrackingError: A named run cannot be taken, or the splits differ.
        NanonucleiError: A training failed.
    """
    names, named = recipe_names(options.recipes), named_runs(options.runs)
    order = list(dict.fromkeys([*names, *named]))
    if len(order) < 2:
        raise ConfigError(
            f"a comparison needs two recipes or more, got {len(order)}. Give "
            'recipes="unet recipes/unet-tuned.yaml", or runs="NAME=RUN,RUN NAME=RUN,RUN"'
        )
    if not 1 <= options.seeds <= MAX_SEEDS:
        raise ConfigError(f"seeds must be a number of trainings from 1 to {MAX_SEEDS}, got {options.seeds}")
    wanted = {name: replace(choices, recipe=path) for name, path in names.items() if name not in named}
    configs = {name: resolve(one, say=say) for name, one in wanted.items()}
    check_budgets(configs)
    taken = {name: [read_run(run, task=choices.task) for run in ids] for name, ids in named.items()}
    splits = {name: prepared_dataset(config, say=say)[0].split_fingerprint() for name, config in configs.items()}
    check_splits({**splits, **_splits_of(taken)}, allowed=options.allow_different_splits)
    tags = {"task": choices.task, "arms": " ".join(order)}
    with stage_run("compare", name=f"compare {' '.join(order)}", tags=tags) as parent:
        for name, config in configs.items():
            plans = _plans(wanted[name], config, split=splits[name], num=options.seeds)
            ids = [_trained(plan, name, parent=parent, say=say) for plan in plans]
            taken[name] = [read_run(run_id, task=choices.task) for run_id in ids]
        arms = {name: taken[name] for name in order}
        _tag(arms, parent)
        log_comparison(arms, parent=parent, say=say)
    return parent


def recipe_names(text: str) -> dict[str, Path | None]:
    """Returns the file of each recipe by its name; None for `params.yaml` alone.

    Raises:
        ConfigError: The text has an open quotation mark, or two recipes have one name.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"recipes must be names or files separated by spaces, got {text!r}: {error}") from error
    found: dict[str, Path | None] = {}
    for word in words:
        if word in ("", DEFAULT):
            name, path = DEFAULT, None
        else:
            path = Path(word) if word.endswith(".yaml") or "/" in word else RECIPES / f"{word}.yaml"
            name = path.stem
        _check_name(name)
        if name in found:
            raise ConfigError(
                f"each recipe has a name of its own, but {name!r} is given twice. Rename one of the files"
            )
        found[name] = path
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


def check_budgets(configs: Mapping[str, ExperimentConfig]) -> None:
    """Makes sure that recipes train for the same number of epochs and steps.

    Raises:
        ConfigError: They do not.
    """
    budgets = {name: (config.train.epochs, config.train.steps_per_epoch) for name, config in configs.items()}
    if len(set(budgets.values())) > 1:
        told = ", ".join(f"{name} {epochs} epochs of {steps} steps" for name, (epochs, steps) in budgets.items())
        epochs, steps = next(iter(budgets.values()))
        raise ConfigError(
            f"recipes that are compared must train equally long, but have: {told}. Give all the same, such as "
            f'set="train.epochs={epochs} train.steps_per_epoch={steps}"'
        )


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
            "allow-different-splits=true"
        )


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise ConfigError(
            f"a recipe's name appears in metrics: letters, digits, dots, - and _, got {name!r}. Rename it"
        )


def _splits_of(taken: Mapping[str, Sequence[ComparedRun]]) -> dict[str, str]:
    return {f"{name}, run {run.run_id}": run.split for name, runs in taken.items() for run in runs}


def _plans(choices: Choices, config: ExperimentConfig, *, split: str, num: int) -> list[Planned]:
    """Returns the trainings of a recipe: the seed moves weights and patches, the data keeps its own."""
    found = []
    for seed in range(config.seed, config.seed + num):
        one = replace(choices, dataset=config.data.dataset, settings=(*choices.settings, f"seed={seed}"))
        found.append(Planned(one, with_settings(config, {"seed": seed}), split))
    return found


def _trained(plan: Planned, name: str, *, parent: str, say: Callable[[str], None]) -> str:
    """Returns the id of a finished training, which is made or gone on with where there is none."""
    seed = plan.config.seed
    if known := finished_run(plan.config, split=plan.split):
        say(f"{name}, seed {seed}: run {known} (from before)")
        return known
    begun = broken_off_run(plan.config, split=plan.split)
    say(f"{name}, seed {seed}: {f'going on with run {begun}' if begun else 'training'} ...")
    code = run_child(["nanonuclei", "train", *_words(plan.choices, begun)], parent)
    found = finished_run(plan.config, split=plan.split)
    if code or found is None:
        raise NanonucleiError(
            f"the training of {name} with seed {seed} failed; its message stands above. Mend it and compare again: "
            "finished trainings are kept"
        )
    return found


def _words(choices: Choices, begun: str | None) -> list[str]:
    if begun:
        return [choices.task, "--resume", begun]
    recipe = ["--recipe", str(choices.recipe)] if choices.recipe else []
    return [choices.task, "--dataset", str(choices.dataset), *recipe, "--set", " ".join(choices.settings)]


def _tag(arms: Mapping[str, Sequence[ComparedRun]], parent: str) -> None:
    """Tags the runs, so that one filter of the UI finds them, and names those that nobody has named."""
    client = MlflowClient()
    for name, runs in arms.items():
        for run in runs:
            client.set_tag(run.run_id, "recipe", name)
            client.set_tag(run.run_id, "compared_in", parent)
            if existing_run(run.run_id).info.run_name == run_name(run.config):
                client.set_tag(run.run_id, "mlflow.runName", f"{name} seed {run.seed}")
