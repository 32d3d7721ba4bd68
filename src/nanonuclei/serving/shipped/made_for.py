"""Which task a folder of models is for, looked at before a model is written there."""

from __future__ import annotations

from pathlib import Path

from nanonuclei.errors import TrackingError
from nanonuclei.serving.shipped.places import MODELS
from nanonuclei.serving.shipped.provenance import PROVENANCE, read_provenance
from nanonuclei.tasks import task_names
from nanonuclei.tasks.dataset import SIMULATED


def check_place(name: str, task: str, *, dataset: str = "", models: Path = MODELS) -> None:
    """Makes sure that a model does not take the name of another task, or the place of a model that is worth more.

    Args:
        name: By which the model is to be asked for; its task's where empty.
        task: Of the model; empty where it is not known yet.
        dataset: That it was trained on; empty where it is not known yet.
        models: Folder of the models.

    Raises:
        TrackingError: It does.
    """
    if not task:
        return
    folder = models / (name or task)
    there = read_provenance(folder) if (folder / PROVENANCE).is_file() else None
    made = there.task if there else name if name in task_names() else task
    if made != task:
        raise TrackingError(f"{folder} is for a model of {made}, but this is one of {task}. Give another name")
    if there and there.data.real and dataset == SIMULATED:
        raise TrackingError(
            f"{folder} holds a model that was trained on real images, but this one was trained on simulated ones. Give "
            "another name"
        )
