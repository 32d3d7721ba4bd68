"""Prepared images that no settings lead to any more."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.errors import ConfigError, DataError
from nanonuclei.packaged import with_shipped
from nanonuclei.stages import prepare
from nanonuclei.stages.clean.leftover import Leftover, of_path
from nanonuclei.stages.places import DATA, RECIPES, prepared_folder
from nanonuclei.stages.settings import Choices, resolve
from nanonuclei.tasks import create_dataset, dataset_type, task_names
from nanonuclei.tasks.dataset import SIMULATED
from nanonuclei.writing import PARTIAL

REASON = "prepared images that params.yaml and the recipes do not lead to, and no run works with"


def unreferenced(working: Collection[tuple[str, str]] | None) -> list[Leftover]:
    """Returns the prepared folders that neither the current settings nor a run at work need.

    Args:
        working: Task and dataset of each run that may be at work; None where one does not tell, or runs are not known:
            then every folder may be needed.
    """
    place = prepared_folder("", "").parent
    folders = [path for path in sorted(place.glob("*")) if path.is_dir() and not path.name.startswith(PARTIAL)]
    if not folders or working is None:
        return []
    used = set(_used([path.name for path in folders]))
    busy = tuple(f"{task}-{dataset}-" for task, dataset in working)
    return [
        of_path("prepared", path, REASON)
        for path in folders
        if path.name not in used and not path.name.startswith(busy or ("\0",))
    ]


def folder_of(config: ExperimentConfig) -> Path | None:
    """Returns where the prepared images of a config lie; None where its dataset is not here."""
    dataset, name = create_dataset(config), config.data.dataset
    source = dataset.locate(name, DATA) if name != SIMULATED else None
    if source is None and name != SIMULATED:
        return None
    return prepared_folder(f"{config.task}-{name}", prepare._key(dataset, source))


def _used(names: Collection[str]) -> Iterator[str]:
    """Yields names of folders that `params.yaml` leads to, with every recipe and every dataset that is here.

    Args:
        names: Of the folders that there are; tasks and datasets that have none are passed over.
    """
    place = with_shipped(RECIPES / "nothing.yaml").parent
    recipes = [None, *sorted({*RECIPES.glob("*.yaml"), *place.glob("*.yaml")})]
    for task in task_names():
        datasets = (SIMULATED, *dataset_type(task).locations)
        for dataset in (one for one in datasets if any(name.startswith(f"{task}-{one}-") for name in names)):
            for recipe in recipes:
                try:
                    folder = folder_of(resolve(Choices(task, dataset, recipe), say=lambda _: None))
                except (ConfigError, DataError):
                    continue  # a recipe of another task, or a dataset that is not here
                if folder is not None:
                    yield folder.name
