"""The prepared dataset of any task's experiment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nanonuclei.data.catalog import Catalog
from nanonuclei.stages import prepare as nuclei
from nanonuclei.stages.prepare_nanotubes import Wanted, prepare_nanotubes, prepared_nanotubes

NANOTUBES = "nanotubes"


def prepared(config: Any, *, say: Callable[[str], None] = print) -> tuple[Catalog, Path]:
    """Returns the prepared dataset of an experiment, making it first where it is not there.

    Args:
        config: An experiment with `data.dataset` decided.
        say: Told what is done.

    Returns:
        The catalog, and the archive or folder that it comes from.

    Raises:
        DataError: The dataset is missing or broken.
    """
    if config.task == NANOTUBES:
        return prepared_nanotubes(Wanted(config.data, config.data.seed, config.train.patch_size), say=say)
    return nuclei.prepared(config, say=say)


def prepare(config: Any, *, source: Path | None, output: Path) -> Catalog:
    """Reads the dataset of an experiment in one pass and writes it in the form that training reads.

    Args:
        config: The experiment.
        source: The archive or folder; None for simulated images.
        output: Folder to make; it appears when everything is written.

    Raises:
        DataError: The dataset is broken.
    """
    if config.task == NANOTUBES:
        return prepare_nanotubes(
            Wanted(config.data, config.data.seed, config.train.patch_size), source=source, output=output
        )
    return nuclei.prepare(config, source=source, output=output)
