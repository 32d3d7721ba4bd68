"""Fetch: puts a real dataset below data/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nanonuclei.config.experiment import NanotubeExperiment, NucleiExperiment
from nanonuclei.config.params import load_experiment
from nanonuclei.data.fetch import fetch_dsb2018
from nanonuclei.data.fetch_tnt import fetch_tnt
from nanonuclei.errors import ConfigError, nearest_name
from nanonuclei.stages.pinned import data_state
from nanonuclei.stages.places import DATA, PARAMS
from nanonuclei.tracking.runs import stage_run


def _fetch_tnt(source: str, data: Path, *, report: Callable[[str], None]) -> Path:
    config = load_experiment("nanotubes", path=PARAMS)
    if not isinstance(config, NanotubeExperiment):
        raise ConfigError(f"the section nanotubes of {PARAMS} must hold a nanotubes experiment. Restore it from git")
    return fetch_tnt(source, data, simulated=config.data.simulated, seed=config.data.seed, report=report)


def _fetch_dsb2018(source: str, data: Path, *, report: Callable[[str], None]) -> Path:
    config = load_experiment("nuclei", path=PARAMS)
    if not isinstance(config, NucleiExperiment):
        raise ConfigError(f"the section nuclei of {PARAMS} must hold a nuclei experiment. Restore it from git")
    return fetch_dsb2018(source, data, masks=config.data.masks, report=report)


FETCHED = {"dsb2018": _fetch_dsb2018, "tnt": _fetch_tnt}
"""How each dataset gets below `data/`."""


def fetch(dataset: str, *, source: str = "public", say: Callable[[str], None] = print) -> None:
    """Gets a dataset from its public archive, from Kaggle, or from a zip, a folder, or annotations beside their images.

    Raises:
        ConfigError: There is no such dataset.
        DataError: It cannot be had, or is not what it should be.
    """
    if dataset not in FETCHED:
        raise ConfigError(f"unknown dataset {dataset!r}. {nearest_name(dataset, FETCHED)}")
    with stage_run("fetch", name=f"fetch {dataset}", tags={"dataset.name": dataset}):
        FETCHED[dataset](source, DATA, report=say)
    say(data_state())
