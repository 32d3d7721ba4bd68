"""From a command line to the experiment config that a stage gets: parameters, recipe, settings, and which dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import Scalar, load_experiment, load_recipe, parse_settings, with_settings
from nanonuclei.data.sources import locate_dataset
from nanonuclei.errors import ConfigError, DataError, nearest_name
from nanonuclei.stages.places import DATA, PARAMS, REAL_DATASETS, RECIPES

SIMULATED_RECIPES = {"nuclei": RECIPES / "simulated.yaml"}
"""Settings of a task for a first look at simulated images; a task without has its own made for them."""


@dataclass(frozen=True)
class Choices:
    """What a command line chose; None means not given.

    Attributes:
        task: Name of the task.
        dataset: ``auto`` or a dataset's name.
        recipe: File of settings.
        settings: Texts ``path=value``.
    """

    task: str
    dataset: str | None = None
    recipe: Path | None = None
    settings: Sequence[str] = ()


def resolve(choices: Choices, *, say: Callable[[str], None] = print) -> ExperimentConfig:
    """Returns the config of an experiment with its dataset decided: ``auto`` never comes out.

    Where no recipe is given and the images are simulated, `recipes/simulated.yaml` makes the network small enough for
    a first look; settings go on top of it.

    Args:
        choices: What the command line said.
        say: Told in one line which dataset is used, when that was not named or brings its own network.

    Raises:
        ConfigError: A file, path, value or name is not valid.
        DataError: The dataset that was named is not there.
    """
    given = parse_settings(choices.settings)
    if choices.dataset is not None:
        known = {"auto", "simulated", *REAL_DATASETS.values()}
        if choices.dataset not in known:
            raise ConfigError(f"unknown dataset {choices.dataset!r}. {nearest_name(choices.dataset, known)}")
        given["data.dataset"] = choices.dataset
    recipe = load_recipe(choices.recipe) if choices.recipe else {}
    defaults = load_experiment(choices.task, path=PARAMS)
    asked = with_settings(defaults, _only({**recipe, **given}, "data.dataset")).data.dataset
    name = _present_dataset(choices.task, asked)
    small = SIMULATED_RECIPES.get(choices.task) if name == "simulated" and choices.recipe is None else None
    if small:
        recipe = load_recipe(small)
    settings = {**recipe, **given, "data.dataset": name}
    config = load_experiment(choices.task, path=PARAMS, settings=settings)
    if asked == "auto" or name == "simulated":
        say(_chosen(choices.task, name, asked=asked, small=small))
    return config


def _only(settings: Mapping[str, Scalar], path: str) -> dict[str, Scalar]:
    return {path: settings[path]} if path in settings else {}


def _present_dataset(task: str, asked: str) -> str:
    if asked == "simulated":
        return asked
    real = REAL_DATASETS[task]
    if locate_dataset(real, DATA) is not None:
        return real
    if asked == "auto":
        return "simulated"
    raise DataError(
        f"dataset {asked!r} must lie in {DATA}/{asked}, but is not there. Get it with "
        f"`mlflow run . -e fetch -P dataset={asked}`, or train on simulated images with `-P dataset=simulated`"
    )


def _chosen(task: str, name: str, *, asked: str, small: Path | None) -> str:
    if name != "simulated":
        return f"Dataset: {name}, found in {DATA}/."
    network = f" and a small network ({small})" if small else ""
    if asked == "simulated":
        return f"Using simulated {task}{network}."
    return (
        f"No dataset in {DATA}/: using simulated {task}{network}. "
        f"`mlflow run . -e fetch -P dataset={REAL_DATASETS[task]}` gets the real images."
    )
