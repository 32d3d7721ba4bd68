"""Compare: trains recipes with the same split, epochs and seeds, or takes runs that exist, and says which is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mlflow.tracking import MlflowClient

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import with_settings
from nanonuclei.errors import NanonucleiError
from nanonuclei.stages.compare.plan import CompareOptions, check_splits, once, plan
from nanonuclei.stages.compare.report import log_comparison
from nanonuclei.stages.compare.runs import ComparedRun, broken_off_run, finished_run, read_run
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.stages.settings import Choices
from nanonuclei.tracking.children import run_child
from nanonuclei.tracking.runs import CHANGED, existing_run, run_name, stage_run


@dataclass(frozen=True)
class Planned:
    """A training that a comparison needs."""

    choices: Choices
    config: ExperimentConfig
    split: str


def compare(
    choices: Choices, options: CompareOptions, *, prepared: bool = False, say: Callable[[str], None] = print
) -> str:
    """Compares recipes on the test images.

    A training that exists with the same settings, seed and split is taken; one that was cut off here goes on.

    Args:
        choices: Task, dataset, and settings on top of every recipe; no recipe.
        options: Recipes, runs, number of seeds.
        prepared: Whether the images have been prepared, and all told that comes before, just now.
        say: Told what the user should read.

    Returns:
        The id of the comparison's run.

    Raises:
        ConfigError: A name, number, recipe or setting is not valid, or the recipes train for different times.
        TrackingError: A named run cannot be taken, or the splits differ.
        NanonucleiError: A training failed.
    """
    begin: Callable[[str], None] = (lambda _: None) if prepared else once(say)
    planned = plan(choices, options, say=begin)
    order, wanted, configs = planned.order, planned.choices, planned.configs
    taken = {name: [read_run(run, task=choices.task) for run in ids] for name, ids in planned.runs.items()}
    splits = {name: prepared_dataset(config, say=begin)[0].split_fingerprint() for name, config in configs.items()}
    check_splits({**splits, **_splits_of(taken)}, allowed=options.allow_different_splits)
    shown = [*configs.values(), *(run.config for runs in taken.values() for run in runs)][0]
    seeds = {run.seed for runs in taken.values() for run in runs}
    seeds |= {seed for config in configs.values() for seed in _seeds(config, options.seeds)}
    arms = {"arms": " ".join(order), "recipe": " ".join(order), "seed": " ".join(map(str, sorted(seeds)))}
    tags = {"task": choices.task, "dataset.name": shown.data.dataset, **arms}
    with stage_run("compare", name=f"compare {choices.task} {' '.join(order)}", tags=tags) as parent:
        trainings = {
            name: _plans(wanted[name], config, split=splits[name], num=options.seeds)
            for name, config in configs.items()
        }
        if trainings:
            say(_begins(trainings))
        for name, plans in trainings.items():
            ids = [_trained(plan, name, parent=parent, say=say) for plan in plans]
            taken[name] = [read_run(run_id, task=choices.task) for run_id in ids]
        log_comparison({name: taken[name] for name in order}, parent=parent, say=say)
    return parent


def _splits_of(taken: Mapping[str, Sequence[ComparedRun]]) -> dict[str, str]:
    return {f"{name}, run {run.run_id}": run.split for name, runs in taken.items() for run in runs}


def _plans(choices: Choices, config: ExperimentConfig, *, split: str, num: int) -> list[Planned]:
    """Returns the trainings of a recipe: the seed moves weights and patches, the data keeps its own."""
    found = []
    for seed in _seeds(config, num):
        one = replace(choices, dataset=config.data.dataset, settings=(*choices.settings, f"seed={seed}"))
        found.append(Planned(one, with_settings(config, {"seed": seed}), split))
    return found


def _seeds(config: ExperimentConfig, num: int) -> range:
    return range(config.seed, config.seed + num)


def _begins(trainings: Mapping[str, Sequence[Planned]]) -> str:
    """Returns how many trainings are about to be made, and how long each is."""
    waiting = {
        name: sum(finished_run(plan.config, split=plan.split) is None for plan in plans)
        for name, plans in trainings.items()
    }
    num_all, num_waiting = sum(map(len, trainings.values())), sum(waiting.values())
    if not num_waiting:
        return f"Trainings to make: none, all {num_all} are there from before."
    budgets = {name: trainings[name][0].config.train.budget for name, count in waiting.items() if count}
    each = f"each {next(iter(budgets.values()))}"
    if len(set(budgets.values())) > 1:
        each = "; ".join(f"{name} {budget}" for name, budget in budgets.items())
    counts = ", ".join(f"{name} {count}" for name, count in waiting.items())
    return f"Trainings to make: {num_waiting} of {num_all} ({counts}), {each}."


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
    _tag(found, name, plan.config, parent=parent)
    return found


def _words(choices: Choices, begun: str | None) -> list[str]:
    if begun:
        return [choices.task, "--resume", begun]
    recipe = ["--recipe", str(choices.recipe)] if choices.recipe else []
    return [choices.task, "--dataset", str(choices.dataset), *recipe, "--set", " ".join(choices.settings)]


def _tag(run_id: str, name: str, config: ExperimentConfig, *, parent: str) -> None:
    """Tags a training that this comparison made; runs that it only takes stay as they are, being of others too."""
    client, run = MlflowClient(), existing_run(run_id)
    client.set_tag(run_id, "compared_in", parent)
    called, changed = run.data.tags.get("recipe", ""), run.data.tags.get(CHANGED, "")
    if called != name:  # its file has the name of another
        client.set_tag(run_id, "recipe", name)
    if run.info.run_name == run_name(config, called, changed):  # nobody has named it
        client.set_tag(run_id, "mlflow.runName", run_name(config, name, changed))
