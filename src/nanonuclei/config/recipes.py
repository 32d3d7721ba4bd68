"""Recipes by their names: one way to name them for all commands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nanonuclei.config.experiment import experiment_names
from nanonuclei.config.params import DEFAULT, Scalar, flatten, load_experiment, load_recipe, nearest_path
from nanonuclei.errors import ConfigError
from nanonuclei.packaged import with_shipped

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


def _fits(settings: Mapping[str, Scalar], *, task: str, params: Path) -> bool:
    """Tells whether a task has all settings of a recipe; a task without a section in `params.yaml` has none."""
    try:
        return set(settings) <= set(flatten(load_experiment(task, path=with_shipped(params))))
    except ConfigError:
        return False
