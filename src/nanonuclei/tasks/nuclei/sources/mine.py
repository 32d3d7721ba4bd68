"""A user's own corrected images: an archive with a label image per image, and the table of which are held out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nanonuclei.data.archives import open_files
from nanonuclei.data.catalog import BadSample, Sample
from nanonuclei.data.corrected.held_out import SPLITS, parse_splits
from nanonuclei.data.files.source import existing_source
from nanonuclei.errors import DataError
from nanonuclei.invocation import command
from nanonuclei.tasks.nuclei.sources.dsb2018 import read_dsb2018

MINE = "mine"
MINE_ARCHIVE = f"{MINE}/images.zip"
"""Where the images lie below the data folder: ``<id>/images/<id>.png``, ``<id>/masks/labels.png``, and `SPLITS`."""


def mine_source(source: str) -> Path:
    """Returns the path of corrected images.

    Raises:
        DataError: It does not exist.
    """
    return existing_source(source, "the path of a folder or zip of corrected images")


@dataclass(frozen=True)
class DealtSample(Sample):
    """A sample whose field of view and split are known.

    Attributes:
        field: Number of the field of view.
        split: ``train``, ``val`` or ``test``.
    """

    field: int = 0
    split: str = "train"


def read_mine(path: Path) -> Iterator[DealtSample | BadSample]:
    """Reads the archive that `fetch` made of corrected images.

    Raises:
        DataError: It cannot be read, or lacks its table.
    """
    dealt = read_splits(path)
    for sample in read_dsb2018(path, masks="labels"):
        if isinstance(sample, BadSample):
            yield sample
        elif sample.sample_id in dealt:
            field, split = dealt[sample.sample_id]
            yield DealtSample(sample.sample_id, sample.image, sample.labels, field, split)
        else:
            yield BadSample(sample.sample_id, SPLITS, "the image is not in the table of splits. Fetch it again")


def read_splits(path: Path) -> dict[str, tuple[int, str]]:
    """Returns field of view and split of each image by its id.

    Raises:
        DataError: The archive cannot be read or lacks the table.
    """
    with open_files(path) as files:
        if SPLITS not in files.names:
            again = command("fetch", dataset="mine", source="FOLDER_OR_ZIP")
            raise DataError(f"{path} must hold {SPLITS}. Make it again with `{again}`")
        return parse_splits(files.read(SPLITS))
