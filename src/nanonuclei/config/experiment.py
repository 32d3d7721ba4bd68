"""What every experiment decides, whichever task it is for, and the config model of a task by its name.

A config has no defaults: `params.yaml` holds every value, so that DVC tracks all of them. Each task adds its own
sections in its folder's `config.py`.
"""

from __future__ import annotations

import importlib
from typing import Annotated, ClassVar

from pydantic import Field

from nanonuclei.config.section import Section, Seed
from nanonuclei.config.shared import DataConfig, EvaluateConfig, InferenceConfig, NormalizeConfig, TrainConfig
from nanonuclei.config.tune import TuneConfig

REGISTRY = "nanonuclei.tasks"
"""The module that knows the tasks by name; imported when a config is read, because `config` lies below it."""


class ExperimentConfig(Section):
    """Everything that decides the result of a task; a task's own model narrows these sections and adds others.

    Attributes:
        task: Name of the task.
        seed: Of the weights, the batches, the bootstrap, and of images drawn for figures.
        data: Which images, and how they are dealt to train, val and test.
        normalize: How grey values become network input.
        network: The network.
        train: The optimisation.
        windows: How the network is run over full images.
        evaluate: How a score is taken.
        tune: The search for better settings.
    """

    task: Annotated[str, Field(min_length=1)]
    seed: Seed
    data: DataConfig
    normalize: NormalizeConfig
    network: Section
    train: TrainConfig
    windows: InferenceConfig
    evaluate: EvaluateConfig
    tune: TuneConfig

    simulated_modalities: ClassVar[tuple[str, ...]] = ()
    """Kinds of images that the task's simulator draws, where settings choose among kinds."""

    @property
    def trained_modality(self) -> str:
        """The modality that is trained and validated on; ``all``, unless a task lets its settings choose."""
        return "all"


def experiment_names() -> tuple[str, ...]:
    """Returns the names of the tasks, each the name of its section in `params.yaml`."""
    names: tuple[str, ...] = importlib.import_module(REGISTRY).task_names()
    return names


def experiment_model(task: str) -> type[ExperimentConfig]:
    """Returns the config model of a task.

    Raises:
        ConfigError: There is no such task.
    """
    model: type[ExperimentConfig] = importlib.import_module(REGISTRY).experiment_model(task)
    return model
