"""A user's own images with corrected centre lines: an archive of images and tables, one of what is held out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nanonuclei.config.channels import NO_CHANNEL
from nanonuclei.data.archives import open_files
from nanonuclei.data.catalog import BadSample, sample_digest
from nanonuclei.data.corrected.held_out import SPLITS, parse_splits, splits_table
from nanonuclei.data.files.planes.channels import BRIGHTEST
from nanonuclei.errors import DataError
from nanonuclei.invocation import command
from nanonuclei.tasks.nanotubes.data_config import ChannelsConfig
from nanonuclei.tasks.nanotubes.sources.annotations import Polyline
from nanonuclei.tasks.nanotubes.sources.images import ARCHIVE_LIMITS, open_tnt, read_entry
from nanonuclei.tasks.nanotubes.sources.names import FIELDS
from nanonuclei.tasks.nanotubes.sources.samples import TubeSample

MINE = "mine-tnt"
ARCHIVE = f"{MINE}/images.zip"
"""Where the images lie below the data folder: ``images/<id>.png``, `LINES`, `FIELDS` and `SPLITS`."""

LINES = "lines.csv"

AS_STORED = ChannelsConfig(tubes=BRIGHTEST, nuclei=NO_CHANNEL)
"""The archive holds the channel that the network sees, grey, or the image in colours."""


@dataclass(frozen=True)
class DealtTubes:
    """A sample whose field of view and split are known.

    Attributes:
        sample: The sample.
        field: Number of the field of view.
        split: ``train``, ``val`` or ``test``.
    """

    sample: TubeSample
    field: int
    split: str


@dataclass(frozen=True)
class Kept:
    """One image of the archive.

    Attributes:
        sample_id: Its name.
        content: The image file, PNG.
        lines: Centre lines of its nanotubes.
        doubtful: Centre lines of what may be one.
        group: Name of its field of view.
        twin: Digest of its pixels: equal images stay together.
        split: Where it was dealt before; empty for a new one.
    """

    sample_id: str
    content: bytes
    lines: tuple[Polyline, ...]
    doubtful: tuple[Polyline, ...]
    group: str
    twin: str
    split: str = ""


def read_archive(path: Path) -> Iterator[DealtTubes | BadSample]:
    """Reads the archive that `fetch` made of corrected images.

    Raises:
        DataError: It cannot be read, or lacks its table.
    """
    dealt = read_splits(path)
    with open_tnt(path) as (files, layout):
        yield from layout.problems
        for entry in layout.entries:
            problems: list[BadSample] = []
            sample = read_entry(files, entry, AS_STORED, problems)
            if entry.sample_id not in dealt:
                problems.append(BadSample(entry.sample_id, SPLITS, "the image is not in the table. Fetch it again"))
            yield from problems
            if sample is not None and not problems:
                yield DealtTubes(sample, *dealt[entry.sample_id])


def read_splits(path: Path) -> dict[str, tuple[int, str]]:
    """Returns field of view and split of each image by its id.

    Raises:
        DataError: The archive cannot be read or lacks the table.
    """
    with open_files(path, limits=ARCHIVE_LIMITS) as files:
        if SPLITS not in files.names:
            again = command("fetch", dataset=MINE, source="FOLDER_OR_ZIP")
            raise DataError(f"{path} must hold {SPLITS}. Make it again with `{again}`")
        return parse_splits(files.read(SPLITS))


def entries(kept: Sequence[Kept], dealt: Mapping[str, tuple[int, str]]) -> Iterator[tuple[str, bytes]]:
    """Yields the files of the archive.

    Args:
        kept: The images.
        dealt: Field of view and split of each by its id.
    """
    for one in kept:
        yield f"images/{one.sample_id}.png", one.content
    yield FIELDS, _table(["image", "field"], [[f"{one.sample_id}.png", one.group] for one in kept])
    rows = []
    for one in kept:
        drawn = [(line, 0) for line in one.lines] + [(line, 1) for line in one.doubtful]
        rows += [
            [f"{one.sample_id}.png", number, uncertain, json.dumps([[round(x, 3), round(y, 3)] for x, y in line])]
            for number, (line, uncertain) in enumerate(drawn, start=1)
        ]
        if not drawn:
            rows.append([f"{one.sample_id}.png", "", "", ""])
    yield LINES, _table(["image", "tube", "uncertain", "polyline"], rows)
    yield SPLITS, splits_table([(name, field, split) for name, (field, split) in dealt.items()])


def kept_before(path: Path) -> list[Kept]:
    """Reads the images of the archive as they are stored.

    Raises:
        DataError: It is damaged.
    """
    if not path.is_file():
        return []
    dealt, found = read_splits(path), []
    with open_tnt(path) as (files, layout):
        problems = list(layout.problems)
        for entry in layout.entries:
            sample = read_entry(files, entry, AS_STORED, problems)
            if sample is None or entry.marks is None or entry.sample_id not in dealt:
                continue
            lines, doubtful, split = entry.marks.lines or (), entry.marks.doubtful, dealt[entry.sample_id][1]
            found.append(
                Kept(entry.sample_id, files.read(entry.file), lines, doubtful, entry.group, twin(sample), split)
            )
    if problems:
        raise DataError(
            f"{path} must hold the images of before whole, but {problems[0].file}: {problems[0].problem}. Bring it "
            "back from a copy, or move it away to begin anew"
        )
    return found


def twin(sample: TubeSample) -> str:
    """Returns the digest of an image's pixels."""
    return sample_digest(sample.image, sample.image[:0])


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue().encode()
