"""Which samples of a catalog a training sees, and what its model keeps of their look."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.data.catalog import Catalog, SampleRef
from nanonuclei.data.fingerprint.stored import measure_samples, write_fingerprint
from nanonuclei.errors import DataError
from nanonuclei.tasks import create_reader


def training_samples(catalog: Catalog, config: ExperimentConfig) -> tuple[SampleRef, ...]:
    """Returns the training split, of the wanted modality, or `data.max_train_samples` images of it.

    The seed draws the part.

    Raises:
        DataError: No image is of that modality.
    """
    samples = _of_modality(catalog, config, "train")
    wanted = config.data.max_train_samples
    if not 0 < wanted < len(samples):
        return samples
    drawn = np.random.default_rng(config.seed).choice(len(samples), wanted, replace=False)
    return tuple(samples[place] for place in sorted(drawn))


def validation_samples(catalog: Catalog, config: ExperimentConfig) -> tuple[SampleRef, ...]:
    """Returns the validation split, of the modality that is asked for.

    Raises:
        DataError: No image is of that modality.
    """
    return _of_modality(catalog, config, "val")


def keep_look(catalog: Catalog, config: ExperimentConfig, files: Path) -> None:
    """Writes the fingerprint of the images of a training into the folder of a model's files, to be logged with them."""
    samples = (*training_samples(catalog, config), *validation_samples(catalog, config))
    measured = measure_samples(samples, create_reader(config).network_input)
    write_fingerprint(measured, files, dataset=config.data.dataset)


def _of_modality(catalog: Catalog, config: ExperimentConfig, split: str) -> tuple[SampleRef, ...]:
    wanted = config.trained_modality
    samples = tuple(sample for sample in catalog.split(split) if wanted in ("all", sample.modality))
    if not samples:
        raise DataError(f"data.modality must be one that the {split} images have, got {wanted}. Take all, or another")
    return samples
