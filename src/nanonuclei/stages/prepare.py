"""Prepare: a dataset as distributed becomes one image and one label map per sample, a table and a split."""

from __future__ import annotations

import csv
import hashlib
import inspect
import json
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.counted import counted
from nanonuclei.data.catalog import (
    BadSample,
    Catalog,
    SampleRef,
    content_fingerprint,
    image_path,
    labels_path,
    load_catalog,
    save_catalog,
)
from nanonuclei.data.problems import left_out, problems_csv, problems_table
from nanonuclei.errors import DataError
from nanonuclei.invocation import PARENT_VARIABLE
from nanonuclei.stages.new_folder import is_whole, put
from nanonuclei.stages.places import DATA, prepared_folder
from nanonuclei.tasks import create_dataset
from nanonuclei.tasks.dataset import SIMULATED, Dataset, Dealt, Facts
from nanonuclei.writing import being_made, remove_leftovers

GENERAL_CODE = ("data", "stages/prepare.py", "tasks/dataset.py")
"""Code that decides what is prepared, below the package, beside a task's own: files of another version of it are not
used any more."""

PROBLEMS = "problems.csv"

NUM_WRITERS, MAX_WAITING = 2, 4
"""Threads that write samples, and samples that wait for them."""


def prepared_dataset(config: ExperimentConfig, *, say: Callable[[str], None] = print) -> tuple[Catalog, Path]:
    """Returns the prepared dataset of a config, making it first where it is not there.

    Args:
        config: With `data.dataset` decided.
        say: Told what is done.

    Returns:
        The catalog, and the archive or folder that it comes from.

    Raises:
        DataError: As in `prepare`.
    """
    dataset, name = create_dataset(config), config.data.dataset
    source = dataset.locate(name, DATA) if name != SIMULATED else None
    if source is None and name != SIMULATED:
        raise DataError(
            f"this needs the images of {name}, but {DATA}/{dataset.locations[name]} is missing. Get them with "
            f"`{dataset.fetch_command(name)}`"
        )
    folder = prepared_folder(f"{config.task}-{name}", _key(dataset, source))
    if is_whole(folder):
        catalog = load_catalog(folder)
        if PARENT_VARIABLE not in os.environ:  # who started this one has said it
            say(f"Prepared images: {folder} (from before)")
            say_left_out(catalog, folder, say=say)
        return catalog, source or folder
    for leftover in remove_leftovers(folder.parent):
        say(f"Removed {leftover}, which a process that was killed had left behind.")
    say(f"Preparing {name} {config.task} in {folder} ...")
    catalog = prepare(config, source=source, output=folder, cached=True)
    num_objects = sum(sample.num_objects for sample in catalog.samples)
    say(f"Prepared {counted(len(catalog.samples), 'image')}, {dataset.noun.count(num_objects)}.")
    say_left_out(catalog, folder, say=say)
    return catalog, source or folder


def say_left_out(catalog: Catalog, folder: Path, *, say: Callable[[str], None]) -> None:
    """Tells how many samples of a prepared dataset were left out, and where they are listed; nothing where none was.

    Raises:
        DataError: The list is gone or damaged.
    """
    try:
        with (folder / PROBLEMS).open(encoding="utf-8-sig", newline="") as table:
            problems = [BadSample(**row) for row in csv.DictReader(table)]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise DataError(
            f"{folder / PROBLEMS} must list the samples that are left out, but is gone or was changed. Remove "
            f"{folder}, and its images are prepared again"
        ) from error
    if told := left_out(len(catalog.samples), problems):
        say(f"Warning: {told} and are left out, as data.on_bad_sample is skip: see {folder / PROBLEMS}.")


def prepare(config: ExperimentConfig, *, source: Path | None, output: Path, cached: bool = False) -> Catalog:
    """Reads a dataset in one pass and writes it in the form that training reads.

    Args:
        config: The experiment.
        source: The archive or folder; None for simulated images.
        output: Folder to make; it appears when everything is written.
        cached: Whether a folder that has appeared there meanwhile is taken, see `stages.new_folder.put`.

    Raises:
        DataError: Samples are broken and `data.on_bad_sample` is ``fail``, none is left, or they cannot be dealt to
            train, val and test. All problems are in one message.
    """
    dataset = create_dataset(config)
    with being_made(output) as partial:
        facts, problems = _write(dataset, dataset.samples(source), partial)
        broken = problems if config.data.on_bad_sample == "fail" or not facts else []
        dealt = dataset.deal(facts)
        if broken or dealt.problems or not facts:
            remedy = "Mend them"
            if broken and facts:
                remedy += ", or go on without them with data.on_bad_sample=skip"
            raise DataError(
                f"{source or 'the simulated dataset'} cannot be used as it is:\n"
                f"{problems_table([*broken, *dealt.problems])}\n{remedy}"
            )
        catalog = _catalog(config, facts, dealt, output)
        (partial / PROBLEMS).write_text(problems_csv(problems), encoding="utf-8")
        save_catalog(catalog, partial)
        return catalog if put(partial, output, cached=cached) else load_catalog(output)


def _write(dataset: Dataset, items: Iterable[Any], folder: Path) -> tuple[list[Facts], list[BadSample]]:
    """Writes the good samples as they come; returns what is kept of them, and the bad ones."""
    facts: list[Facts] = []
    problems: list[BadSample] = []
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(NUM_WRITERS, thread_name_prefix="write") as threads:
        for item in items:
            if isinstance(item, BadSample):
                problems.append(item)
                continue
            waiting.append(threads.submit(dataset.write, folder, item))
            facts.append(dataset.facts(item))
            if len(waiting) > MAX_WAITING:
                waiting.popleft().result()
        for write in waiting:
            write.result()
    return facts, problems


def _catalog(config: ExperimentConfig, facts: list[Facts], dealt: Dealt, output: Path) -> Catalog:
    refs = [
        SampleRef(
            sample_id=one.sample_id,
            image_path=image_path(output, one.sample_id),
            labels_path=labels_path(output, one.sample_id),
            height=one.height,
            width=one.width,
            modality=one.modality,
            num_objects=one.num_objects,
            field=int(field),
            split=split,  # type: ignore[arg-type]
            digest=one.digest,
        )
        for one, field, split in zip(facts, dealt.fields, dealt.splits, strict=True)
    ]
    fingerprint = content_fingerprint((ref.sample_id, ref.digest) for ref in refs)
    return Catalog(config.data.dataset, fingerprint, tuple(sorted(refs, key=lambda ref: ref.sample_id)))


def _code_digest(dataset: Dataset) -> str:
    package, own = Path(__file__).parents[1], Path(inspect.getfile(type(dataset)))
    places = [*(package / name for name in GENERAL_CODE), own, *(own.parent / name for name in dataset.code)]
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*.py")))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _key(dataset: Dataset, source: Path | None) -> str:
    """Returns 12 hex digits over everything that the prepared files depend on."""
    parts: dict[str, object] = {"code": _code_digest(dataset), **dataset.shaping()}
    if source is not None:
        stat = source.stat()
        parts["source"] = [source.name, stat.st_size, stat.st_mtime_ns]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
