"""Prepare: a dataset as distributed becomes one image and one label map per sample, a table and a split."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.data.catalog import (
    BadSample,
    Catalog,
    Sample,
    SampleRef,
    content_fingerprint,
    image_path,
    labels_path,
    load_catalog,
    sample_digest,
    save_catalog,
    write_sample,
)
from nanonuclei.data.fields import find_fields
from nanonuclei.data.modality import guess_modality
from nanonuclei.data.simulate.nuclei import simulate_nuclei
from nanonuclei.data.sources import locate_dataset, problems_table, read_dsb2018
from nanonuclei.data.splits import split_by_field
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Image, Labels
from nanonuclei.stages.new_folder import being_made, is_whole, put
from nanonuclei.stages.places import DATA, prepared_folder

SHAPING = ("data/archives.py", "data/catalog.py", "data/fields.py", "data/files", "data/mask_files.py")
SHAPING += ("data/modality.py", "data/sample_files.py", "data/sources.py")
SHAPING += ("data/splits.py", "data/simulate", "stages/prepare.py")
"""Code that decides what is prepared, below the package: files of another version of it are not used any more."""

PROBLEMS = "problems.csv"


def prepared(config: ExperimentConfig, *, say: Callable[[str], None] = print) -> tuple[Catalog, Path]:
    """Returns the prepared dataset of a config, making it first where it is not there.

    Args:
        config: With `data.dataset` decided.
        say: Told what is done.

    Returns:
        The catalog, and the archive or folder that it comes from.

    Raises:
        DataError: The dataset is broken and `data.on_bad_sample` is ``fail``.
    """
    source = locate_dataset(config.data.dataset, DATA) if config.data.dataset != "simulated" else None
    folder = prepared_folder(config.data.dataset, _key(config, source))
    if is_whole(folder):
        say(f"Prepared images: {folder} (from before)")
        return load_catalog(folder), source or folder
    say(f"Preparing {config.data.dataset} in {folder} ...")
    catalog = prepare(config, source=source, output=folder, cached=True)
    say(f"Prepared {len(catalog.samples)} images, {sum(s.num_objects for s in catalog.samples)} nuclei.")
    return catalog, source or folder


def prepare(config: ExperimentConfig, *, source: Path | None, output: Path, cached: bool = False) -> Catalog:
    """Reads a dataset in one pass and writes it in the form that training reads.

    Args:
        config: Dataset, splits, seed and what to do about broken samples.
        source: The archive or folder; None for simulated images.
        output: Folder to make; it appears when everything is written.
        cached: Whether a folder that has appeared there meanwhile is taken, see `stages.new_folder.put`.

    Raises:
        DataError: Samples are broken and `data.on_bad_sample` is ``fail``, or none is left.
    """
    with being_made(output) as partial:
        samples, images, problems = _write(_read(config, source), partial)
        if problems and config.data.on_bad_sample == "fail":
            raise DataError(
                f"{source} holds samples that cannot be used:\n{problems_table(problems)}\n"
                "Mend them, or go on without them with data.on_bad_sample=skip"
            )
        if not samples:
            raise DataError(f"{source} holds no sample that can be used:\n{problems_table(problems)}")
        catalog = _catalog(config, samples, images, output)
        pd.DataFrame([dataclasses.asdict(problem) for problem in problems]).to_csv(partial / PROBLEMS, index=False)
        save_catalog(catalog, partial)
        return catalog if put(partial, output, cached=cached) else load_catalog(output)


def _read(config: ExperimentConfig, source: Path | None) -> Iterable[Sample | BadSample]:
    if source is None:
        simulated = config.data.simulated
        return simulate_nuclei(simulated.num_images, size=simulated.size, seed=config.data.seed)
    return read_dsb2018(source, masks=config.data.masks)


def _write(
    items: Iterable[Sample | BadSample], folder: Path
) -> tuple[list[tuple[str, str, int]], list[Image], list[BadSample]]:
    """Writes the good samples; returns (id, digest, objects) and image of each, and the bad ones."""
    samples, images, problems, writes = [], [], [], []
    with ThreadPoolExecutor(2, thread_name_prefix="write") as threads:
        for item in items:
            if isinstance(item, BadSample):
                problems.append(item)
                continue
            writes.append(threads.submit(write_sample, folder, item))
            samples.append((item.sample_id, sample_digest(item.image, item.labels), _num_objects(item.labels)))
            images.append(item.image)
        for write in writes:
            write.result()
    return samples, images, problems


def _catalog(
    config: ExperimentConfig, samples: list[tuple[str, str, int]], images: list[Image], output: Path
) -> Catalog:
    fields = find_fields(images)
    modalities = [guess_modality(image) for image in images]
    splits = split_by_field(fields, modalities, shares=config.data.split, seed=config.data.seed)
    refs = tuple(
        SampleRef(
            sample_id=sample_id,
            image_path=image_path(output, sample_id),
            labels_path=labels_path(output, sample_id),
            height=image.shape[0],
            width=image.shape[1],
            modality=modality,
            num_objects=num_objects,
            field=int(field),
            split=split,  # type: ignore[arg-type]
            digest=digest,
        )
        for (sample_id, digest, num_objects), image, field, modality, split in zip(
            samples, images, fields, modalities, splits, strict=True
        )
    )
    fingerprint = content_fingerprint((sample_id, digest) for sample_id, digest, _ in samples)
    return Catalog(config.data.dataset, fingerprint, refs)


def _num_objects(labels: Labels) -> int:
    return int(np.count_nonzero(np.bincount(labels.ravel())[1:]))


def _code_digest() -> str:
    package = Path(__file__).parents[1]
    named = (package / name for name in SHAPING)
    files = [file for path in named for file in ([path] if path.is_file() else sorted(path.glob("*.py")))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _key(config: ExperimentConfig, source: Path | None) -> str:
    """Returns 12 hex digits over everything that the prepared files depend on."""
    data = config.data
    parts: dict[str, object] = {"code": _code_digest(), "seed": config.data.seed, "split": data.split.model_dump()}
    if source is None:
        parts["simulated"] = data.simulated.model_dump()
    else:
        stat = source.stat()
        parts |= {"source": [source.name, stat.st_size, stat.st_mtime_ns], "bad": data.on_bad_sample}
        parts["masks"] = data.masks
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
