"""Prepare, for nanotubes: a dataset of any form becomes images, label maps, lines and boxes, a table and a split."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from nanonuclei.config.nanotube_data import NanotubeDataConfig
from nanonuclei.data.catalog import (
    BadSample,
    Catalog,
    SampleRef,
    content_fingerprint,
    image_path,
    labels_path,
    load_catalog,
    sample_digest,
    save_catalog,
)
from nanonuclei.data.fields import find_fields
from nanonuclei.data.modality import guess_modality
from nanonuclei.data.overlaps import find_overlaps
from nanonuclei.data.sources import locate_dataset, problems_table
from nanonuclei.data.tube_sources import num_labels, read_tnt, simulated_tubes
from nanonuclei.data.tube_splits import TubeFacts, cut_quadrants, missing_classes, split_tubes
from nanonuclei.data.tubes import TubeSample, write_tube_sample
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Image
from nanonuclei.stages.new_folder import is_whole, put
from nanonuclei.stages.places import DATA, prepared_folder
from nanonuclei.stages.prepare import PROBLEMS
from nanonuclei.writing import being_made

LAYOUT = "3"
"""Changes whenever prepared files of older code must not be used any more."""


@dataclass(frozen=True)
class Wanted:
    """What decides the prepared files.

    Attributes:
        data: Dataset, channels, splits, what to do about broken samples; with the dataset decided.
        seed: Of the simulation and of the split.
        window: Side of a window, px: no image may be smaller, and quadrants are so far apart.
    """

    data: NanotubeDataConfig
    seed: int
    window: int


@dataclass
class _Gone:
    """What has been written and found while a dataset is gone through."""

    rows: list[dict[str, object]] = field(default_factory=list)
    facts: list[TubeFacts] = field(default_factory=list)
    patches: list[Image] = field(default_factory=list)
    problems: list[BadSample] = field(default_factory=list)


def prepared_nanotubes(wanted: Wanted, *, say: Callable[[str], None] = print) -> tuple[Catalog, Path]:
    """Returns the prepared dataset, making it first where it is not there.

    Returns:
        The catalog, and the archive or folder that it comes from.

    Raises:
        DataError: As in `prepare_nanotubes`.
    """
    name = wanted.data.dataset
    source = locate_dataset(name, DATA) if name != "simulated" else None
    folder = prepared_folder(f"nanotubes-{name}", _key(wanted, source))
    if is_whole(folder):
        say(f"Prepared images: {folder} (from before)")
        return load_catalog(folder), source or folder
    say(f"Preparing {name} nanotubes in {folder} ...")
    catalog = prepare_nanotubes(wanted, source=source, output=folder, cached=True)
    say(f"Prepared {len(catalog.samples)} images, {sum(s.num_objects for s in catalog.samples)} nanotubes.")
    return catalog, source or folder


def prepare_nanotubes(wanted: Wanted, *, source: Path | None, output: Path, cached: bool = False) -> Catalog:
    """Reads a dataset in one pass and writes it in the form that training reads.

    Args:
        wanted: What decides the result.
        source: The archive or folder; None for simulated images.
        output: Folder to make; it appears when everything is written.
        cached: Whether a folder that has appeared there meanwhile is taken, see `stages.new_folder.put`.

    Raises:
        DataError: Samples are broken and `data.on_bad_sample` is ``fail``, none is left, they cannot be dealt to three
            splits, or a split lacks a class. All problems are in one message.
    """
    with being_made(output) as partial:
        gone = _Gone()
        for item in _parts(wanted, source):
            if isinstance(item, BadSample):
                gone.problems.append(item)
            else:
                _take(item, gone, partial)
        fields, splits, unfit = _deal(wanted, gone)
        _refuse(wanted, source, gone, unfit)
        catalog = _catalog(wanted, gone, fields, splits, output)
        pd.DataFrame([dataclasses.asdict(problem) for problem in gone.problems]).to_csv(partial / PROBLEMS, index=False)
        save_catalog(catalog, partial)
        return catalog if put(partial, output, cached=cached) else load_catalog(output)


def _parts(wanted: Wanted, source: Path | None) -> Iterator[TubeSample | BadSample]:
    """Yields the images, or their quadrants, that windows fit into."""
    data, window = wanted.data, wanted.window
    items = simulated_tubes(data.simulated, seed=wanted.seed) if source is None else read_tnt(source, data.channels)
    for item in items:
        if isinstance(item, BadSample):
            yield item
            continue
        file = item.file or item.sample_id
        try:
            parts = cut_quadrants(item, gap=window) if data.split_by == "quadrant" else (item,)
        except DataError as error:
            yield BadSample(item.sample_id, file, str(error))
            continue
        height, width = parts[0].image.shape[:2]
        is_patch, what = item.truth.kind == "patch", "quadrants have" if len(parts) > 1 else "has"
        if min(height, width) < window:
            problem = (
                f"{what} {width}x{height} px, less than a window of {window}. Lower train.patch_size, or leave it out"
            )
            yield BadSample(item.sample_id, file, problem)
        elif is_patch and max(height, width) > window:
            problem = (
                f"a patch of {width}x{height} px, more than a window of {window}: the nanotube may be anywhere. "
                f"Set train.patch_size to the side of the patches"
            )
            yield BadSample(item.sample_id, file, problem)
        else:
            yield from parts


def _take(sample: TubeSample, gone: _Gone, folder: Path) -> None:
    write_tube_sample(folder, sample)
    num_tubes = num_labels(sample.truth.labels) if sample.truth.kind != "boxes" else len(sample.truth.boxes)
    gone.facts.append(
        TubeFacts(
            sample.sample_id, sample.group, sample_digest(sample.image, sample.image[:0]), sample.truth.kind, num_tubes
        )
    )
    if sample.truth.kind == "patch":
        gone.patches.append(sample.image)
    gone.rows.append(
        {
            "height": sample.image.shape[0],
            "width": sample.image.shape[1],
            "modality": guess_modality(sample.image),
            "digest": sample.digest(),
        }
    )


def _deal(wanted: Wanted, gone: _Gone) -> tuple[list[int], list[str], list[BadSample]]:
    """Returns fields, splits, and what is wrong with them; patches that continue or overlap each other are together."""
    found = (find_fields(gone.patches).tolist(), find_overlaps(gone.patches).tolist()) if gone.patches else ((), ())
    numbers = zip(*found, strict=True)
    facts = list(gone.facts)
    for place, one in enumerate(facts):
        if one.kind == "patch":
            neighbours, overlapping = next(numbers)
            facts[place] = dataclasses.replace(one, neighbours=neighbours, overlapping=overlapping)
    try:
        fields, splits = split_tubes(facts, shares=wanted.data.split, seed=wanted.seed)
    except DataError as error:
        shared = len(gone.patches) - len(set(found[1]))
        hint = ". Patches that share pixels are of one field: cut them out of more images" if shared else ""
        return [], [], [BadSample("split", "splits", f"{error}{hint}")]
    return fields, splits, missing_classes(facts, splits)


def _refuse(wanted: Wanted, source: Path | None, gone: _Gone, unfit: list[BadSample]) -> None:
    """Stops where samples are broken, or what is left cannot be dealt out."""
    told = gone.problems if wanted.data.on_bad_sample == "fail" or not gone.facts else []
    if told or unfit:
        remedy = "Mend them, or go on without them with data.on_bad_sample=skip" if told and gone.facts else "Mend them"
        raise DataError(
            f"{source or 'the simulated dataset'} cannot be used as it is:\n{problems_table([*told, *unfit])}\n{remedy}"
        )


def _catalog(wanted: Wanted, gone: _Gone, fields: list[int], splits: list[str], output: Path) -> Catalog:
    refs = [
        SampleRef(
            sample_id=fact.sample_id,
            image_path=image_path(output, fact.sample_id),
            labels_path=labels_path(output, fact.sample_id),
            num_objects=fact.num_tubes,
            field=number,
            split=split,  # type: ignore[arg-type]
            **row,  # type: ignore[arg-type]
        )
        for fact, row, number, split in zip(gone.facts, gone.rows, fields, splits, strict=True)
    ]
    fingerprint = content_fingerprint((ref.sample_id, ref.digest) for ref in refs)
    return Catalog(wanted.data.dataset, fingerprint, tuple(sorted(refs, key=lambda ref: ref.sample_id)))


def _key(wanted: Wanted, source: Path | None) -> str:
    """Returns 12 hex digits over everything that the prepared files depend on."""
    data = wanted.data
    parts: dict[str, object] = {
        "layout": LAYOUT,
        "seed": wanted.seed,
        "window": wanted.window,
        "split": data.split.model_dump(),
        "split_by": data.split_by,
    }
    if source is None:
        parts["simulated"] = data.simulated.model_dump()
    else:
        stat = source.stat()
        parts["source"] = [source.name, stat.st_size, stat.st_mtime_ns]
        parts |= {"bad": data.on_bad_sample, "channels": data.channels.model_dump()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
