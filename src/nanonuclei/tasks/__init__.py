"""The tasks by name. A task is one folder; its parts are imported when they are first used.

A package elsewhere adds a task by an entry point of the group `nanonuclei.tasks`: its name is the task's, its value
the package of the task, see `tasks.base`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanonuclei.errors import ConfigError, nearest_name
from nanonuclei.heavy import heavy_imports

if TYPE_CHECKING:
    from nanonuclei.config.experiment import ExperimentConfig
    from nanonuclei.tasks.base import Reader, Task
    from nanonuclei.tasks.dataset import Dataset
    from nanonuclei.tasks.exchange import Exchange
    from nanonuclei.tasks.values import Control, Measure

GROUP = "nanonuclei.tasks"
"""The group of entry points by which other packages add tasks."""

OWN = {name: f"{__name__}.{name}" for name in ("nuclei", "nanotubes")}
"""The tasks of this package: name to package."""

_added: dict[str, str] = {}


def task_names() -> tuple[str, ...]:
    """Returns the names of all tasks, those of this package first."""
    return tuple({**OWN, **_elsewhere(), **_added})


def task_package(task: str) -> str:
    """Returns the package of a task.

    Raises:
        ConfigError: There is no such task.
    """
    packages = {**OWN, **_added}
    if task not in packages:
        packages |= _elsewhere()
    if task not in packages:
        raise ConfigError(f"unknown task {task!r}. {nearest_name(task, packages)}")
    return packages[task]


def add_task(task: str, package: str) -> None:
    """Makes a task known that has no entry point here, as where a stored model is loaded with its task's code."""
    _added[task] = package


def experiment_model(task: str) -> type[ExperimentConfig]:
    """Returns the config model of a task."""
    model: type[ExperimentConfig] = _part(task, "EXPERIMENT")
    return model


def create_dataset(config: ExperimentConfig) -> Dataset:
    """Returns what is known of the datasets of the task that a config is for; imports no Keras."""
    dataset: Dataset = dataset_type(config.task)(config)
    return dataset


def dataset_type(task: str) -> type[Dataset]:
    """Returns the class of a task's datasets."""
    kind: type[Dataset] = _part(task, "DATASET")
    return kind


def check_can_be_fetched(task: str, name: str, source: str, *, data: Path) -> None:
    """Makes sure that the server of a dataset answers, as far as the task says how that is seen.

    Args:
        task: The task.
        name: Of one of its datasets.
        source: See `Dataset.fetch`.
        data: The data folder.

    Raises:
        DataError: It does not answer, or there are no credentials for it.
    """
    if _has(task, "FETCH_CHECK"):
        _part(task, "FETCH_CHECK")(name, source, data=data)


def create_reader(config: ExperimentConfig) -> Reader:
    """Returns the reader of the task that a config is for; imports no Keras."""
    reader: Reader = _part(config.task, "READER")(config)
    return reader


def controls_of(task: str) -> Mapping[str, Control]:
    """Returns how a person changes the parameters of a task's reader, by name; empty where the task says nothing."""
    found: Mapping[str, Control] = _part(task, "CONTROLS") if _has(task, "CONTROLS") else {}
    return found


def measure_texts_of(task: str) -> Mapping[str, str]:
    """Returns what people call the numbers of an image in `Objects.measures`, by name; those that are shown to them."""
    return {name: measure.text for name, measure in _measures_of(task).items()}


def measure_meanings_of(task: str) -> Mapping[str, str]:
    """Returns what the numbers of an image in `Objects.measures` are, by name, for the reader of a table."""
    return {name: measure.meaning for name, measure in _measures_of(task).items()}


def _measures_of(task: str) -> Mapping[str, Measure]:
    found: Mapping[str, Measure] = _part(task, "MEASURES") if _has(task, "MEASURES") else {}
    return found


def create_task(config: ExperimentConfig) -> Task:
    """Returns the task that a config is for; imports Keras, with the messages of its libraries hidden."""
    with heavy_imports():
        kind = _part(config.task, "TASK")
    task: Task = kind(config)
    return task


def create_exchange(config: ExperimentConfig) -> Exchange:
    """Returns how the networks of a task are described to tools of others; imports no Keras."""
    if _has(config.task, "EXCHANGE"):
        own: Exchange = _part(config.task, "EXCHANGE")(config)
        return own
    from nanonuclei.tasks.exchange import Exchange

    return Exchange(config)


def _has(task: str, name: str) -> bool:
    return hasattr(importlib.import_module(task_package(task)), name)


def _part(task: str, name: str) -> Any:
    """Imports a part of a task; its package says under `name` where that is, as ``module:attribute``."""
    module, _, attribute = getattr(importlib.import_module(task_package(task)), name).partition(":")
    return getattr(importlib.import_module(module), attribute)


@functools.cache
def _elsewhere() -> dict[str, str]:
    return {entry.name: entry.value for entry in entry_points(group=GROUP)}
