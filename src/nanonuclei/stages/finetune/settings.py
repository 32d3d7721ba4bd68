"""The settings of a fine-tuning: those of the model, changed by the recipe of its task and by the user."""

from __future__ import annotations

from collections.abc import Mapping

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import Scalar, with_settings
from nanonuclei.config.recipes import read_recipe
from nanonuclei.config.section import Role
from nanonuclei.errors import ConfigError, nearest_name
from nanonuclei.invocation import command
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.settings import check_changeable
from nanonuclei.tasks import create_dataset, dataset_type
from nanonuclei.tasks.dataset import SIMULATED

CHANGEABLE = (Role.DATA, Role.TRAINING, Role.MACHINE, Role.READING, Role.SCORING)
"""Roles of the settings that may be changed: all but those of the network and its loss."""


def finetuning(config: ExperimentConfig, dataset: str, given: Mapping[str, Scalar], *, model: str) -> ExperimentConfig:
    """Returns the experiment of a fine-tuning.

    Args:
        config: Of the model.
        dataset: Name of the new images.
        given: The user's settings.
        model: What the model is called.

    Raises:
        ConfigError: There is no such dataset, models of the task have no recipe, or a setting is not one that may be
            changed or does not fit.
    """
    task, known = config.task, {SIMULATED, *dataset_type(config.task).locations}
    if dataset not in known:
        raise ConfigError(f"unknown dataset {dataset!r} of {task}. {nearest_name(dataset, known)}")
    recipe = dataset_type(task).finetune_recipe
    if not recipe:
        begin = command("train", task=task, set=f"network.weights={model}")
        raise ConfigError(f"models of {task} have no recipe of a fine-tuning. Begin a training with {model}: `{begin}`")
    check_changeable(config, given, roles=CHANGEABLE, stage="finetune")
    changed = {**read_recipe(recipe, task=task, params=PARAMS), **create_dataset(config).on_other_images()}
    return with_settings(config, {**changed, "data.dataset": dataset, **given})
