"""Recipes by their names: one way to name them for all commands."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from nanonuclei.config.experiment import experiment_names
from nanonuclei.config.params import Scalar, flatten, load_experiment, nearest_path, read_yaml
from nanonuclei.errors import ConfigError, nearest_name
from nanonuclei.packaged import with_shipped

DEFAULT = "default"
"""The recipe that changes nothing: `params.yaml` alone, whatever the data."""

FOUND_RECIPES = "scratch/tune"
"""Where searches write the best recipes that they find, each in a folder of its own."""

RECIPES = Path("recipes")
MOST_HINTS = 10
"""Unknown settings of a recipe that are told."""


def recipe_path(name: str) -> Path | None:
    """Returns the file of a recipe; None for ``default``.

    Args:
        name: A name such as ``unet``, which stands for ``recipes/unet.yaml``; the path of a file; or ``default``.
    """
    if name == DEFAULT:
        return None
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return Path(name)
    return RECIPES / f"{name}.yaml"


def recipe_name(name: str) -> str:
    """Returns what a recipe is called in names of runs, tables and metrics: the name of its file, or ``default``."""
    path = recipe_path(name)
    return DEFAULT if path is None else path.stem


def read_recipe(name: str, *, task: str, params: Path) -> Mapping[str, Scalar]:
    """Returns the settings of a recipe.

    Args:
        name: See `recipe_path`.
        task: Name of the task that it is for.
        params: The `params.yaml` that says which settings there are.

    Raises:
        ConfigError: There is no such recipe, or it holds settings that the task does not have, as a recipe for
            another task does.
    """
    path = recipe_path(name)
    if path is None:
        return {}
    if path != Path(name) and Path(name).is_file() and not with_shipped(path).is_file():
        raise ConfigError(
            f"a recipe must be a YAML file, whose name ends in .yaml, but {name} is none. Name another file"
        )
    settings = load_recipe(path)
    if sections := {setting.partition(".")[0] for setting in settings} & set(experiment_names()):
        raise ConfigError(
            f"recipe {path} must hold the settings that it changes, such as `train.epochs: 5`, but has a section "
            f"{min(sections)} as params.yaml has. Name a recipe, or copy from that section only what you change"
        )
    known = flatten(load_experiment(task, path=params))
    if wrong := [setting for setting in settings if setting not in known]:
        for other in experiment_names():
            if other != task and _fits(settings, task=other, params=params):
                raise ConfigError(
                    f"recipe {path} is for {other}, not for {task}. Name a recipe for {task}, or the task {other}"
                )
        hints = [f"recipe {path}: unknown setting {one!r}. {nearest_path(one, known)}" for one in wrong[:MOST_HINTS]]
        more = [f"and {len(wrong) - MOST_HINTS} more"] if len(wrong) > MOST_HINTS else []
        raise ConfigError("\n".join([*hints, *more]))
    return settings


def load_recipe(path: Path) -> dict[str, Scalar]:
    """Reads a recipe: a YAML mapping of settings, nested or with dotted paths.

    Raises:
        ConfigError: The file is missing, with the nearest recipe's name, or is not a mapping of settings.
    """
    if not with_shipped(path).is_file():
        raise ConfigError(f"no recipe at {path}. {_nearest_recipe(path)}")
    tree = read_yaml(path)
    if not isinstance(tree, dict) or not tree:
        raise ConfigError(f"recipe {path} must be a YAML mapping of settings, such as `train: {{epochs: 5}}`")
    return flatten(tree)


def _nearest_recipe(path: Path) -> str:
    """Returns a hint: what the folder that was named holds, or recipes of the same name that searches have written."""
    if path.is_dir():
        return nearest_name(path.as_posix(), (entry.as_posix() for entry in path.glob("*.yaml")))
    if found := sorted(entry.as_posix() for entry in Path(FOUND_RECIPES).glob(f"*/{path.stem}.yaml")):
        return nearest_name(path.as_posix(), found)
    folder = path.parent if path.parent != Path() and path.parent.is_dir() else Path("recipes")
    if folder == Path("recipes") and get_close_matches(path.stem, [DEFAULT], cutoff=0.7):
        return f"Did you mean {DEFAULT}?"
    known = [(folder / entry.name).as_posix() for entry in with_shipped(folder).glob("*.yaml")]
    return nearest_name((folder / path.stem).as_posix() + ".yaml", known)


def _fits(settings: Mapping[str, Scalar], *, task: str, params: Path) -> bool:
    """Tells whether a task has all settings of a recipe; a task without a section in `params.yaml` has none."""
    try:
        return set(settings) <= set(flatten(load_experiment(task, path=with_shipped(params))))
    except ConfigError:
        return False
