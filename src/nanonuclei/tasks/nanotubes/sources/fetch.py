"""Puts a dataset of nanotubes in place, as one zip with always the same bytes, whatever form it comes in."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import tifffile

from nanonuclei.data.archives import Files, content_of, file_sha256, open_files, place_of, write_zip
from nanonuclei.data.catalog import BadSample
from nanonuclei.data.corrected.label_studio import file_of
from nanonuclei.data.files.content import Content, Place, check_inside
from nanonuclei.data.files.reading import read_channels, read_values
from nanonuclei.data.files.source import check_archive
from nanonuclei.data.problems import Fetched, bad_ids, problems_table
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Image
from nanonuclei.tasks.dataset import SIMULATED
from nanonuclei.tasks.nanotubes.data_config import SimulatedNanotubesConfig
from nanonuclei.tasks.nanotubes.sources.annotations import json_kind, load_json
from nanonuclei.tasks.nanotubes.sources.images import ARCHIVE_LIMITS, TNT_ARCHIVE, open_tnt, simulated_tubes, tnt_source
from nanonuclei.tasks.nanotubes.sources.layout import PARSERS, Layout, find_layout
from nanonuclei.tasks.nanotubes.sources.samples import TubeSample
from nanonuclei.writing import whole_file

MEMBRANES, NUCLEI = "membranes", "nuclei"
"""Names of the channels of simulated images."""


def fetch_tnt(
    source: str,
    data: Path,
    *,
    simulated: SimulatedNanotubesConfig,
    seed: int,
    report: Callable[[str], None] = print,
) -> Fetched:
    """Puts ``tnt/tnt.zip`` below the data folder in place.

    What was there is replaced at the end, once the new dataset has been read whole and holds an image that can be read.

    The zip holds the files of the dataset as they are, without the folders that all of them lie in, and without what
    does not belong to it, such as images that nobody has looked at.

    Args:
        source: Path of a folder or a zip in one of the forms of `tube_layout`, of a JSON file of annotations whose
            images lie beside it, or ``simulated``.
        data: The data folder.
        simulated: What ``simulated`` draws.
        seed: Its seed.
        report: Takes one line per step.

    Returns:
        The zip, and what cannot be used of it, as far as its layout and its images tell; masks are read when it is
        prepared.

    Raises:
        DataError: The source does not exist, is unsafe or damaged, or is no dataset of nanotubes, or the disk is full.
            Nothing is left behind.
    """
    target = data / TNT_ARCHIVE
    unread: list[BadSample] = []
    if source == SIMULATED:
        report(f"drawing {simulated.num_images} images")
        with whole_file(target) as temporary:
            write_zip(temporary, _drawn(simulated, seed))
    else:
        path = tnt_source(source)
        if target.is_file() and path.samefile(target):
            report(f"{target} is the source itself: nothing to do")
            unread = _check(target, source=path)
        else:
            report(f"packing {path}")
            unread = _pack(path, target)
    with open_tnt(target) as (_, layout):
        for note in layout.notes:
            report(note)
        problems = (*layout.problems, *unread)
        if problems:
            report(problems_table(problems))
            report("Mend them and fetch again; data.on_bad_sample=skip goes on without them")
        size = target.stat().st_size / 1e6
        report(f"{target}: {describe(layout)}, {size:.1f} MB, sha256 {file_sha256(target)[:12]}")
        good = frozenset(entry.sample_id for entry in layout.entries) - bad_ids(problems)
    return Fetched(target, good, problems)


def check_tnt(path: Path) -> None:
    """Makes sure by names and text files that a source tells of an image where nanotubes are; no image is read.

    Raises:
        DataError: It does not, or is another kind of file.
    """
    if path.suffix.lower() != ".json":
        check_archive(path, "the path of a folder, a zip or a JSON file of annotations beside its images")
    with _opened(path) as files:
        layout = find_layout(files)
    if not layout.entries:
        raise _tells_nothing(path, layout.problems, layout.notes)


def _tells_nothing(path: Path, problems: Sequence[BadSample], notes: Sequence[str]) -> DataError:
    why = problems_table(problems) if problems else "; ".join(notes) or "no annotation is finished"
    return DataError(
        f"{path} must tell of an image where nanotubes are, but tells of none: {why}. Mark nanotubes, export what you "
        "marked as JSON, and fetch the file of that export"
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Files]:
    if path.is_file() and path.suffix.lower() == ".json":
        yield _beside(path)
    else:
        with open_files(path, limits=ARCHIVE_LIMITS) as files:
            yield files


def _pack(path: Path, target: Path) -> list[BadSample]:
    with whole_file(target) as temporary:
        with _opened(path) as files:
            _pack_files(files, temporary)
        return _check(temporary, source=path)


def _check(packed: Path, *, source: Path) -> list[BadSample]:
    """Returns the images that cannot be read; refuses a packed dataset of which none can be."""
    unread = []
    with open_tnt(packed) as (files, layout):
        for entry in layout.entries:
            content = content_of(files, entry.file)
            try:
                _check_readable(content)
            except DataError as error:
                unread.append(BadSample(entry.sample_id, entry.file, str(error)))
        if layout.entries and len(unread) == len(layout.entries):
            raise DataError(
                f"{source} must hold an image that can be read, but holds none. What was there is kept. "
                f"{unread[0].file}: {unread[0].problem}"
            )
    return unread


def _check_readable(content: Content) -> None:
    """Refuses an image that cannot be read; one of many channels is read by the first of them."""
    try:
        read_values(content)
    except DataError:
        read_channels(content, [0])


def _pack_files(files: Files, target: Path) -> None:
    layout = find_layout(files)
    top = _common_folder(layout.files)
    write_zip(target, ((name[len(top) :], files.read(name)) for name in layout.files))


def _common_folder(names: tuple[str, ...]) -> str:
    """The folders that all files lie in, with a ``/``; ``positive`` and the like are no such folders."""
    folders = os.path.commonpath([PurePosixPath(name).parent.as_posix() for name in names]) if names else ""
    parts = [part for part in folders.split("/") if part not in ("", ".")]
    while parts and parts[-1].lower() in ("images", "masks", "cells", "positive", "negative"):
        parts.pop()
    return "/".join(parts) + "/" if parts else ""


class _Gathered:
    """Files from here and there under names of a dataset."""

    def __init__(self, path: Path, files: dict[str, Path]) -> None:
        self.path = path
        self.names = tuple(sorted(files))
        self._files = files

    def read(self, name: str) -> bytes:
        file = self._files[name]
        try:
            return file.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {file}: {error.strerror or error}. Give yourself the right to") from error

    def place(self, name: str) -> Place | None:
        return place_of(self._files[name])


def _beside(annotations: Path) -> Files:
    """Gathers a JSON file and the images that it refers to, from its folder or a folder ``images`` there."""
    try:
        tree = load_json(annotations.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {annotations}: {error.strerror or error}. Give yourself the right to") from error
    kind = json_kind(tree)
    if not kind:
        raise DataError(
            f"{annotations} must be annotations of COCO, LabelMe or Label Studio, or centre lines, but is none of "
            f"these. Export them again as JSON"
        )
    folder = annotations.parent
    files = {annotations.name: annotations}
    parsed = PARSERS[kind](tree, annotations.name)
    if not parsed.marks:
        raise _tells_nothing(annotations, parsed.problems, parsed.notes)
    references = [file_of(mark.image) for mark in parsed.marks]
    for reference in references:
        base = PurePosixPath(reference).name
        safe = not PurePosixPath(reference).is_absolute() and ".." not in PurePosixPath(reference).parts
        places = [folder / reference] if safe else []
        found = next((file for file in (*places, folder / "images" / base, folder / base) if file.is_file()), None)
        if found is not None:
            check_inside(found, folder)
            files[f"images/{reference if safe else base}"] = found
    if references and len(files) == 1:
        raise DataError(
            f"the images of {annotations} must lie beside it, but none does: no {references[0]} is in {folder} or "
            f"{folder / 'images'}. Copy them there, or put both into one folder and fetch that"
        )
    return _Gathered(annotations, files)


def _drawn(config: SimulatedNanotubesConfig, seed: int) -> Iterator[tuple[str, bytes]]:
    for sample in simulated_tubes(config, seed=seed):
        yield f"images/{sample.sample_id}.tif", _tiff(sample)
        yield f"masks/{sample.sample_id}.png", _png(sample.truth.labels)
        if sample.cells is not None:
            yield f"cells/{sample.sample_id}.png", _png(sample.cells)


def _tiff(sample: TubeSample) -> bytes:
    """Returns an image of two named channels as ImageJ writes it, without a date, so that its bytes repeat."""
    planes = {MEMBRANES: sample.image} | ({} if sample.nuclei is None else {NUCLEI: sample.nuclei})
    with io.BytesIO() as stream:
        metadata = {"axes": "CYX", "Labels": list(planes)}
        tifffile.imwrite(stream, np.stack(list(planes.values())), imagej=True, metadata=metadata)
        return stream.getvalue()


def _png(labels: Image) -> bytes:
    _, data = cv2.imencode(".png", labels)
    return data.tobytes()


def describe(layout: Layout) -> str:
    """Returns in one line what a dataset holds."""
    masks = sum(entry.mask is not None for entry in layout.entries)
    drawn = [entry.marks for entry in layout.entries if entry.marks is not None]
    marks = [mark for mark in drawn if mark.lines is None]
    lines = [mark for mark in drawn if mark.lines is not None]
    patches = [entry.patch for entry in layout.entries if entry.patch is not None]
    parts = []
    if masks:
        parts.append(f"{masks:,} images with masks")
    if marks:
        parts.append(f"{len(marks):,} images with {sum(len(mark.boxes) for mark in marks):,} boxes")
    if lines:
        sure, doubtful = sum(len(mark.lines or ()) for mark in lines), sum(len(mark.doubtful) for mark in lines)
        parts.append(f"{len(lines):,} images with {sure:,} centre lines and {doubtful:,} doubtful ones")
    if patches:
        parts.append(f"{sum(patches):,} positive and {len(patches) - sum(patches):,} negative patches")
    return ", ".join(parts) or "no usable image"
