"""The tasks by name."""

from __future__ import annotations

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.tasks.base import Task
from nanonuclei.tasks.nanotubes import NanotubeTask
from nanonuclei.tasks.nuclei import NucleiTask

TASKS: dict[str, type[NucleiTask] | type[NanotubeTask]] = {"nuclei": NucleiTask, "nanotubes": NanotubeTask}


def create_task(config: ExperimentConfig) -> Task:
    """Returns the task that a config is for."""
    return TASKS[config.task](config)  # type: ignore[arg-type]
