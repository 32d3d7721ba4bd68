"""Drawn images whose answer is known: bright discs, and cells that a nanotube joins; and catalogs of them on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nanonuclei.data.catalog import (
    Catalog,
    Sample,
    SampleRef,
    content_fingerprint,
    image_path,
    labels_path,
    sample_digest,
    save_catalog,
    write_sample,
)
from nanonuclei.tasks.nanotubes.lines.line import Line, resample
from nanonuclei.tasks.nanotubes.sources.samples import TubeSample, TubeTruth, write_tube_sample


def disc_labels(shape: tuple[int, int], discs: list[tuple[float, float, float]]) -> NDArray[np.uint16]:
    """Draws discs (y, x, radius), labelled in order."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.uint16)
    for number, (cy, cx, radius) in enumerate(discs, start=1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = number
    return labels


def disc_sample(sample_id: str, *, seed: int, shape: tuple[int, int] = (48, 48)) -> Sample:
    """Draws bright discs on a dark, noisy ground."""
    rng = np.random.default_rng(seed)
    discs = [(rng.uniform(6, shape[0] - 6), rng.uniform(6, shape[1] - 6), rng.uniform(3, 6)) for _ in range(5)]
    labels = disc_labels(shape, discs)
    image = np.where(labels > 0, 160, 30) + rng.normal(0, 6, shape)
    return Sample(sample_id, np.clip(image, 0, 255).astype(np.uint8), labels)


@pytest.fixture(scope="session")
def draw_sample() -> Callable[..., Sample]:
    """Returns `disc_sample`."""
    return disc_sample


def sample_ref(folder: Path, sample: Sample, split: str, *, field: int, modality: str = "fluorescence") -> SampleRef:
    """Writes a sample and returns its row of a catalog."""
    write_sample(folder, sample)
    digest = sample_digest(sample.image, sample.labels)
    return _row(folder, sample, sample.labels, split=split, field=field, modality=modality, digest=digest)


def _row(folder: Path, sample: Sample | TubeSample, labels: NDArray[Any], **told: Any) -> SampleRef:
    """Returns the row of a catalog of a sample that is written."""
    height, width = sample.image.shape[:2]
    paths = image_path(folder, sample.sample_id), labels_path(folder, sample.sample_id)
    return SampleRef(sample.sample_id, *paths, height, width, num_objects=np.count_nonzero(np.unique(labels)), **told)


def catalog_of(name: str, refs: Sequence[SampleRef]) -> Catalog:
    """A dataset of what is already written."""
    return Catalog(name, content_fingerprint((ref.sample_id, ref.digest) for ref in refs), tuple(refs))


@pytest.fixture
def disc_catalog(tmp_path: Path) -> Catalog:
    """Twelve drawn images on disk: 6 train, 2 val, 4 test, two modalities."""
    folder = tmp_path / "prepared"
    refs = []
    for number in range(12):
        sample = disc_sample(f"disc{number:02}", seed=number, shape=(48, 40 + 4 * (number % 3)))
        split = "train" if number < 6 else "val" if number < 8 else "test"
        modality = "stained" if number % 4 == 3 else "fluorescence"
        refs.append(sample_ref(folder, sample, split, field=number, modality=modality))
    catalog = catalog_of("discs", refs)
    save_catalog(catalog, folder)
    return catalog


def tube_sample(sample_id: str, *, seed: int, kind: str = "mask") -> TubeSample:
    """Draws two cells on 96 x 128 px, joined by a horizontal nanotube in the upper half; odd seeds have none."""
    rng = np.random.default_rng(seed)
    cells = disc_labels((96, 128), [(24, 14, 10), (24, 114, 10)])
    row, labels = 24, np.zeros(cells.shape, np.uint16)
    grey = rng.normal(30.0, 3.0, cells.shape)
    if seed % 2 == 0:
        labels[row - 1 : row + 2, 25:104] = 1
        grey += 60.0 * (labels > 0)
    grey[cells > 0] = 180.0
    lines = (Line(resample(np.array([[row, 24.5], [row, 103.5]], np.float32)), 3.0),) * (seed % 2 == 0)
    truth = TubeTruth(
        kind=kind,  # type: ignore[arg-type]
        labels=labels,
        lines=lines if kind == "mask" else (),
        joins=((1, 2),) * len(lines) if kind == "mask" else (),
        pixel_size=0.5,
        num_cells=2,
        boxes=np.array([[row - 2, 24, row + 3, 105]] * (seed % 2 == 0 and kind == "boxes"), np.float32).reshape(-1, 4),
    )
    return TubeSample(sample_id, np.clip(grey, 0, 255).astype(np.uint8), truth, sample_id, cells=cells)


def tube_ref(folder: Path, sample: TubeSample, split: str) -> SampleRef:
    """Writes a sample and returns its row of a catalog."""
    write_tube_sample(folder, sample)
    told = {"modality": "fluorescence", "field": int(sample.sample_id[-2:]), "digest": sample.digest()}
    return _row(folder, sample, sample.truth.labels, split=split, **told)


@pytest.fixture
def tube_catalog(tmp_path: Path) -> Catalog:
    """Eight drawn images on disk, 4 train, 2 val, 2 test; every other one shows a nanotube."""
    folder = tmp_path / "tubes"
    refs = tuple(
        tube_ref(
            folder, tube_sample(f"tube{seed:02}", seed=seed), "train" if seed < 4 else "val" if seed < 6 else "test"
        )
        for seed in range(8)
    )
    return catalog_of("tubes", refs)
