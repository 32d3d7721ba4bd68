"""From a command line to the experiment config that a stage gets: parameters, recipe, settings, and which dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import Scalar, flatten, load_experiment, nearest_path, parse_settings, told, with_settings
from nanonuclei.config.problems import SETTING
from nanonuclei.config.recipes import DEFAULT, read_recipe, recipe_name, recipe_path
from nanonuclei.config.section import Role, paths_of, sections_of
from nanonuclei.errors import ConfigError, DataError, nearest_name
from nanonuclei.invocation import option
from nanonuclei.stages.places import DATA, PARAMS, RECIPES
from nanonuclei.tasks import dataset_type, task_names
from nanonuclei.tasks.dataset import SIMULATED

USED = (Role.READING, Role.SCORING)
"""Roles of the settings that say how a trained model is used, not how it was made."""


@dataclass(frozen=True)
class Choices:
    """What a command line chose; None means not given.

    Attributes:
        task: Name of the task.
        dataset: ``auto`` or a dataset's name.
        recipe: Name or file of a recipe, or ``default``, see `config.recipes`.
        settings: Texts ``path=value``.
    """

    task: str
    dataset: str | None = None
    recipe: str | Path | None = None
    settings: Sequence[str] = ()


def resolve(choices: Choices, *, say: Callable[[str], None] = print) -> ExperimentConfig:
    """Returns the config of an experiment with its dataset decided: ``auto`` never comes out.

    Where no recipe is given and the images are simulated, the task's recipe for them, if it has one, makes the
    network small enough for a first look; settings go on top of it.

    Args:
        choices: What the command line said.
        say: Told in one line which dataset is used, when that was not named or brings its own network; and where this
            folder is no project.

    Raises:
        ConfigError: A file, path, value or name is not valid.
        DataError: The dataset that was named is not there.
    """
    given = parse_settings(choices.settings)
    if choices.dataset is not None:
        known = {"auto", SIMULATED, *dataset_type(choices.task).locations}
        if choices.dataset not in known:
            of = next((task for task in task_names() if choices.dataset in dataset_type(task).locations), "")
            hint = f"It is one of {of}, not of {choices.task}." if of else nearest_name(choices.dataset, known)
            raise ConfigError(f"unknown dataset {choices.dataset!r}. {hint}")
        given["data.dataset"] = choices.dataset
    recipe = dict(_recipe(choices, choices.recipe)) if choices.recipe else {}
    defaults = load_experiment(choices.task, path=PARAMS)
    asked = with_settings(defaults, _only({**recipe, **given}, "data.dataset")).data.dataset
    name = _present_dataset(choices.task, asked)
    small = _small_recipe(choices.task) if name == SIMULATED and choices.recipe is None else None
    if small:
        recipe = dict(_recipe(choices, small))
    settings = {**recipe, **given, "data.dataset": name}
    origin = f"recipe {recipe_path(str(choices.recipe or small))}" if recipe else ""
    origins = {path: SETTING if path in given else origin for path in settings if path in recipe or path in given}
    config = load_experiment(choices.task, path=PARAMS, settings=settings, origins=origins)
    if not PARAMS.is_file():
        say(_elsewhere())
    if asked == "auto" or name == SIMULATED:
        shown = None if _begins_with_model(settings) else small
        say(_chosen(choices.task, name, asked=asked, small=shown))
    return config


def _begins_with_model(settings: Mapping[str, Scalar]) -> bool:
    """Tells whether the weights that a training begins with are a model's, whose network is taken with them."""
    if not isinstance(weights := settings.get("network.weights"), str):
        return False
    from nanonuclei.serving.named import names_model

    return names_model(weights)


def recipe_of(choices: Choices, config: ExperimentConfig) -> str:
    """Returns the name of the recipe that a config was made with, for names and tags of runs."""
    if choices.recipe is not None:
        return recipe_name(str(choices.recipe))
    small = _small_recipe(choices.task) if config.data.dataset == SIMULATED else None
    return small.stem if small else DEFAULT


def changed_by(settings: Sequence[str]) -> str:
    """Returns the settings that were given beside a recipe, but seed and dataset, which have tags of their own.

    Args:
        settings: Texts ``path=value``.
    """
    given = parse_settings(settings)
    return told({path: value for path, value in given.items() if path not in ("seed", "data.dataset")})


def _recipe(choices: Choices, recipe: str | Path) -> Mapping[str, Scalar]:
    return read_recipe(str(recipe), task=choices.task, params=PARAMS)


def _only(settings: Mapping[str, Scalar], path: str) -> dict[str, Scalar]:
    return {path: settings[path]} if path in settings else {}


def _present_dataset(task: str, asked: str) -> str:
    if asked == SIMULATED:
        return asked
    dataset = dataset_type(task)
    known = [name for name in dataset.locations if name not in dataset.by_name] if asked == "auto" else [asked]
    there = [name for name in known if dataset.locate(name, DATA) is not None]
    if there:
        return there[0]
    if asked == "auto":
        return SIMULATED
    fetch, simulated = dataset.fetch_command(asked), option("dataset", SIMULATED)
    raise DataError(
        f"dataset {asked!r} must lie in {DATA}/{asked}, but is not there. Get it with `{fetch}`, or take simulated "
        f"images with `{simulated}`{wrong_folder()}"
    )


def wrong_folder() -> str:
    """Returns what ends a message about files that are missing in a folder which is no project; else nothing."""
    return (
        "" if PARAMS.is_file() else f". {Path.cwd()} has no {PARAMS}: change to your project's folder if it is another"
    )


def _elsewhere() -> str:
    """Returns what is told where a command works in a folder that is no project: perhaps it is the wrong one."""
    return (
        f"No {PARAMS} in {Path.cwd()}: settings are those that come along, and {DATA}/, runs and results are kept "
        "in this folder. Change to your project's folder if that is another."
    )


def _chosen(task: str, name: str, *, asked: str, small: Path | None) -> str:
    if name != SIMULATED:
        return f"Dataset: {name}, found in {DATA}/."
    network = f" and a small network ({small})" if small else ""
    if asked == SIMULATED:
        return f"Using simulated {task}{network}."
    public = [name for name in dataset_type(task).locations if name not in dataset_type(task).by_name]
    if not public:
        return f"Using simulated {task}{network}."
    return (
        f"No dataset in {DATA}/: using simulated {task}{network}. "
        + " or ".join(f"`{dataset_type(task).fetch_command(name)}`" for name in public)
        + " gets the real images."
    )


def check_changeable(
    config: ExperimentConfig, changed: Mapping[str, Scalar], *, roles: Sequence[Role], stage: str
) -> None:
    """Makes sure that settings of a trained model may be changed.

    Args:
        config: Of the model.
        changed: Settings by their paths.
        roles: The roles that may be changed.
        stage: Who changes them.

    Raises:
        ConfigError: There is no such setting, or one has another role.
    """
    free, known = set(paths_of(config, roles)), flatten(config)
    if unknown := [path for path in changed if path not in known]:
        changeable = {path: value for path, value in known.items() if path in free or path == "task"}
        raise ConfigError(f"unknown setting {unknown[0]!r}. {nearest_path(unknown[0], changeable)}")
    if fixed := [path for path in changed if path not in free]:
        sections = ", ".join(sections_of(config, roles))
        raise ConfigError(f"a trained model keeps its {', '.join(fixed)}; {stage} can change {sections}")


def _small_recipe(task: str) -> Path | None:
    name = dataset_type(task).simulated_recipe
    return RECIPES / f"{name}.yaml" if name else None
