"""Fetch: puts a real dataset below data/."""

from __future__ import annotations

from collections.abc import Callable

from nanonuclei.data.fetch import fetch_dsb2018
from nanonuclei.errors import ConfigError, nearest_name
from nanonuclei.stages.pinned import data_state
from nanonuclei.stages.places import DATA
from nanonuclei.tracking.runs import stage_run

FETCHED = {"dsb2018": fetch_dsb2018}


def fetch(dataset: str, *, source: str = "public", say: Callable[[str], None] = print) -> None:
    """Gets a dataset from its public archive, from Kaggle, or from a zip or folder.

    Raises:
        ConfigError: There is no such dataset.
        DataError: It cannot be had, or is not what it should be.
    """
    if dataset not in FETCHED:
        raise ConfigError(f"unknown dataset {dataset!r}. {nearest_name(dataset, FETCHED)}")
    with stage_run("fetch", name=f"fetch {dataset}", tags={"dataset.name": dataset}):
        FETCHED[dataset](source, DATA, report=say)
    say(data_state())
