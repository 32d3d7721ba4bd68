"""Puts a user's images with corrected centre lines in place: checked, dealt to splits, added to those of before."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from shapely.geometry import LineString

from nanonuclei.config.channels import NO_CHANNEL
from nanonuclei.data.archives import Files, open_files, write_zip
from nanonuclei.data.catalog import BadSample
from nanonuclei.data.corrected.changes import Changes, line_changes
from nanonuclei.data.corrected.held_out import FEWEST, Dealing, deal
from nanonuclei.data.corrected.manifest import MANIFEST, PREDICTED, check_is_whole, read_manifest
from nanonuclei.data.files.reading import stem
from nanonuclei.data.files.source import existing_source
from nanonuclei.data.problems import Fetched, problems_table
from nanonuclei.errors import DataError
from nanonuclei.tasks.nanotubes.data_config import ChannelsConfig
from nanonuclei.tasks.nanotubes.lines.line import Line
from nanonuclei.tasks.nanotubes.sources.annotations import Polyline
from nanonuclei.tasks.nanotubes.sources.drawn.archive import ARCHIVE, AS_STORED, MINE, Kept, entries, kept_before, twin
from nanonuclei.tasks.nanotubes.sources.drawn.folder import names_of
from nanonuclei.tasks.nanotubes.sources.drawn.strokes import READERS
from nanonuclei.tasks.nanotubes.sources.images import ARCHIVE_LIMITS, read_entry
from nanonuclei.tasks.nanotubes.sources.layout import ImageEntry, Layout, find_layout
from nanonuclei.tasks.nanotubes.sources.splits import TubeFacts, unite
from nanonuclei.tasks.values import Noun
from nanonuclei.writing import whole_file

SHARES = {"test": 0.3, "val": 0.1}
"""Shares of the fields of view that do not train: an image holds few nanotubes, so that more are held out than of
images with many objects."""

SIMPLIFIED = 0.2
"""px that a centre line traced in a mask may move, so that it has fewer points."""

_IMAGES = Noun("image", "images")
_PICTURES = (".png", ".jpg", ".jpeg")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class _Read:
    kept: Kept
    file: str
    changed: Changes | None


def mine_source(source: str) -> Path:
    """Returns the path of images with corrected lines.

    Raises:
        DataError: It does not exist, or is a part of what `correct` wrote.
    """
    path = existing_source(source, "the path of a folder or zip of images with centre lines")
    check_is_whole(path)
    return path


def check_mine(path: Path) -> None:
    """Makes sure by names and text files that a source tells of images with lines; no image is read.

    Raises:
        DataError: It does not, or nothing in it was corrected.
    """
    with open_files(path, limits=ARCHIVE_LIMITS) as files:
        layout = _layout(path, files)
    if not layout.entries:
        raise _holds_none(path, layout.problems)


def fetch_mine(source: str, data: Path, *, channels: ChannelsConfig, report: Callable[[str], None] = print) -> Fetched:
    """Reads images with centre lines and adds them to `ARCHIVE` below the data folder.

    An image that is there already is replaced, and stays in its split; all others of before are kept. Where all are
    there already and unchanged, the archive stays as it is.

    Args:
        source: A folder or zip that `correct` wrote, or one in any form of `layout` that tells lines or masks.
        data: The data folder.
        channels: Which channel of files that hold several is seen; pictures are taken as they are.
        report: Takes one line per step.

    Returns:
        The archive, and what is left out of the images of this source.

    Raises:
        DataError: There is no image that can be used, nothing was corrected, or there are too few images to hold some
            out. The message lists files and remedies.
    """
    path, target = mine_source(source), data / ARCHIVE
    problems: list[BadSample] = []
    with open_files(path, limits=ARCHIVE_LIMITS) as files:
        layout = _layout(path, files)
        for note in layout.notes:
            report(note)
        problems += layout.problems
        spoilt = {name for problem in problems for name in (problem.file, problem.sample_id)}
        found: dict[str, _Read] = {}
        for entry in layout.entries:
            if spoilt & {entry.file, entry.sample_id, entry.marks.image if entry.marks is not None else entry.file}:
                continue
            read = _read(files, entry, channels, problems)
            if read is None:
                continue
            same = found.setdefault(read.kept.sample_id.lower(), read)
            if same is not read:
                stored = f"would be stored as {read.kept.sample_id}, as {same.file} is. Rename one of them"
                problems.append(BadSample(entry.sample_id, entry.file, stored))
    table = problems_table(problems) if problems else ""
    if not found:
        raise _holds_none(path, problems)
    if table:
        report(f"{table}\nMend them and fetch again; their images are left out")
    report(_changed(list(found.values())))
    told = [one.changed for one in found.values() if one.changed is not None]
    if len(told) == len(found) and not sum(told, Changes()).number:
        raise DataError(
            f"{path} holds no change against the prediction: there is nothing to learn from. Correct lines, save or "
            "export them into that folder, and fetch again"
        )
    _put([one.kept for one in found.values()], target, report)
    return Fetched(target, frozenset(one.kept.sample_id for one in found.values()), tuple(problems))


def _layout(path: Path, files: Files) -> Layout:
    """Returns what a source holds.

    Raises:
        DataError: It is as `correct` wrote it, or its annotations cannot be read.
    """
    if MANIFEST in files.names:
        read_manifest(files.read(MANIFEST)).check(MINE)
        if not _is_corrected(files):
            raise DataError(
                f"{path} is as it was written: nothing in it was corrected. Save or export what you corrected into "
                "that folder, and fetch again"
            )
    return find_layout(files)


def _holds_none(path: Path, problems: Sequence[BadSample]) -> DataError:
    table = problems_table(problems) if problems else ""
    return DataError(f"{path} must hold an image with centre lines that can be used, but holds none. {table}".strip())


def _read(files: Files, entry: ImageEntry, channels: ChannelsConfig, problems: list[BadSample]) -> _Read | None:
    """Reads one image; adds what is wrong with it."""
    picture = entry.file.lower().endswith(_PICTURES)
    seen = AS_STORED if picture else channels.model_copy(update={"nuclei": NO_CHANNEL})
    own: list[BadSample] = []
    sample = read_entry(files, entry, seen, own)
    if sample is not None and sample.truth.kind != "mask":
        kind = "boxes" if sample.truth.kind == "boxes" else "whole patches"
        wrong = f"is marked by {kind}, but needs lines. Draw them, or fetch it as the dataset tnt"
        own.append(BadSample(entry.sample_id, entry.file, wrong))
    problems += own
    if own or sample is None:
        return None
    marks = entry.marks
    lines = (marks.lines or ()) if marks is not None else tuple(map(_simple, sample.truth.lines))
    doubtful = marks.doubtful if marks is not None else ()
    key = _key(entry.file)
    name = _UNSAFE.sub("_", key).lstrip(".") or "image"
    group = name if entry.group == entry.sample_id else entry.group
    content = cv2.imencode(".png", sample.image)[1].tobytes()
    return _Read(Kept(name, content, lines, doubtful, group, twin(sample)), entry.file, _changes(files, key, lines))


def _key(file: str) -> str:
    """Returns the path of an image without suffix, and without the folder of all images."""
    parts = file.split("/")
    folders = parts[1:-1] if parts[0].lower() == "images" else parts[:-1]
    return "/".join([*folders, stem(file)])


def _changes(files: Files, key: str, lines: Sequence[Polyline]) -> Changes | None:
    name = f"{PREDICTED}/{key}.json"
    if name not in files.names:
        return None
    try:
        predicted = [np.array(line, np.float64).reshape(-1, 2) for line in json.loads(files.read(name))]
    except (ValueError, TypeError):
        return None
    return line_changes(predicted, [np.array(line) + 0.5 for line in lines])


def _simple(line: Line) -> Polyline:
    points = line.points[:, ::-1].astype(np.float64)
    points = np.concatenate([points, points[-1:] + 0.01]) if len(points) < 2 else points
    return tuple((float(x), float(y)) for x, y in LineString(points).simplify(SIMPLIFIED).coords)


def _is_corrected(files: Files) -> bool:
    """Returns whether a folder that `correct` wrote holds anything that tells lines and that somebody saved."""
    return any(name.lower().endswith((*READERS, ".json", ".csv")) for name in names_of(files)[0])


def _changed(found: Sequence[_Read]) -> str:
    """Returns what was changed against the prediction, a line per image where that is known."""
    lines = [f"Corrected: {_IMAGES.count(len(found))}"]
    told = [one for one in found if one.changed is not None]
    lines += [f"  {one.kept.sample_id}: {one.changed}" for one in told]
    if told:
        lines.append(f"in all: {sum((one.changed or Changes() for one in told), Changes())}")
    return "\n".join(lines)


def _put(new: Sequence[Kept], target: Path, report: Callable[[str], None]) -> None:
    replaced = {one.sample_id for one in new}
    before = kept_before(target)
    there = {one.sample_id: one for one in before}
    same = sum(_is_same(one, there.get(one.sample_id)) for one in new)
    if same == len(new):
        these = "this image" if same == 1 else f"these {same} images"
        report(f"{target} holds {these} already, unchanged: nothing to do. It holds {_IMAGES.count(len(before))}")
        return
    splits = {one.sample_id: one.split for one in before}
    kept = sorted([*(one for one in before if one.sample_id not in replaced), *new], key=lambda one: one.sample_id)
    dealt = deal_fields(kept, splits)
    with whole_file(target) as temporary:
        write_zip(temporary, entries(kept, dealt))
    counts = [split for _, split in dealt.values()]
    sure, doubtful = sum(len(one.lines) for one in kept), sum(len(one.doubtful) for one in kept)
    told = f"{len(new) - same} new or corrected again" + (f", {same} there already, unchanged" if same else "")
    said = f"{len(kept)} images ({told}), {sure:,} nanotubes and {doubtful:,} doubtful ones"
    train, val, test = (counts.count(split) for split in ("train", "val", "test"))
    report(f"{target}: {said}; {train} to train, {val} to say when to end, {test} held out")


def _is_same(new: Kept, old: Kept | None) -> bool:
    """Tells whether an image that is there is stored in the same bytes."""
    return old is not None and _stored(new) == _stored(old)


def _stored(one: Kept) -> list[tuple[str, bytes]]:
    return list(entries([one], {one.sample_id: (0, "train")}))


def deal_fields(kept: Sequence[Kept], before: dict[str, str]) -> dict[str, tuple[int, str]]:
    """Deals images to the splits: those of fields with nanotubes first, so that each split holds some.

    Args:
        kept: The images.
        before: Split of images that were dealt before, by id.

    Returns:
        Field of view and split by id.

    Raises:
        DataError: Too few fields of view show nanotubes.
    """
    fields = unite([TubeFacts(one.sample_id, one.group, one.twin, "mask", len(one.lines)) for one in kept])
    filled = {field for one, field in zip(kept, fields, strict=True) if one.lines}
    dealt: dict[str, tuple[int, str]] = {}
    for holds in (True, False):
        own = [(one.sample_id, field) for one, field in zip(kept, fields, strict=True) if (field in filled) == holds]
        fewest = FEWEST if holds else dict.fromkeys(FEWEST, 0)
        dealing = Dealing(fewest, SHARES, " with nanotubes" if holds else "")
        splits = deal([name for name, _ in own], [field for _, field in own], before, dealing=dealing)
        dealt |= {name: (field, split) for (name, field), split in zip(own, splits, strict=True)}
    return dealt
