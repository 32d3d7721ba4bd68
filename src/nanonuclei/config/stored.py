"""The experiment that is stored with a model: a `config.yaml` with one section, that of the model's task."""

from __future__ import annotations

from pathlib import Path

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import load_experiment, read_yaml
from nanonuclei.errors import ConfigError


def stored_config(path: Path) -> ExperimentConfig:
    """Reads the experiment that is stored with a model.

    Raises:
        ConfigError: The file is missing or not valid.
    """
    return load_experiment(stored_task(path), path=path, stored=True)


def stored_task(path: Path) -> str:
    """Returns the task of an experiment that is stored with a model: the one section of the file.

    Raises:
        ConfigError: The file holds no such section.
    """
    tree = read_yaml(path)
    if not isinstance(tree, dict) or len(tree) != 1:
        raise ConfigError(
            f"{path} must hold one section, that of its task, got {list(tree or ())}. Log the model again"
        )
    return str(next(iter(tree)))
