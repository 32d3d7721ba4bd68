"""The images that a run reads, as MLflow's datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mlflow

from nanonuclei.data.catalog import Catalog
from nanonuclei.data.versions import dataset_md5
from nanonuclei.tracking.runs import DatasetInput, log_datasets

DATA = Path("data")
"""As `stages.places.DATA`: where datasets lie."""


def log_splits(catalog: Catalog, source: Path, splits: Sequence[str]) -> None:
    """Logs to the active run which splits of a dataset it reads, and the fingerprints by which these are told apart.

    Args:
        catalog: Of the dataset.
        source: The archive or folder that it comes from.
        splits: Names of the splits.
    """
    mlflow.set_tags({"dataset.fingerprint": catalog.fingerprint, "split.fingerprint": catalog.split_fingerprint()})
    version = dataset_md5(DATA, catalog.name)
    log_datasets(
        [DatasetInput(f"{catalog.name}-{split}", version or catalog.digest(split), split, source) for split in splits]
    )
