"""The file or folder that a user names as the source of a dataset, told what is wrong before it is opened."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from nanonuclei.data.files.listing import is_image
from nanonuclei.errors import DataError, check_local, similar_name

ANNOTATIONS = (".json", ".geojson", ".csv", ".roi", ".xml")
PACKED = (".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
"""How files are called that hold annotations, or files packed otherwise than in a zip."""

MOST_BESIDE = 1000
"""Files of a folder among which a mistyped name is looked for."""


def existing_source(source: str, forms: str, *, words: Sequence[str] = (), hint: str = "") -> Path:
    """Returns the path of a dataset that a user brings along, ``~`` being the home folder.

    Args:
        source: As the user wrote it.
        forms: What a source may be, for the message.
        words: Sources that are no paths.
        hint: Ends the message, where nothing of a similar name is there.

    Raises:
        DataError: It does not exist, or is an address.
    """
    check_local("source", source)
    path, beside = Path(source), list[str]()
    with contextlib.suppress(OSError, RuntimeError):  # a name that is too long, or of a user who is not there
        path = path.expanduser()
        if path.exists():
            return path
        beside = [path.with_name(entry.name).as_posix() for entry in islice(path.parent.iterdir(), MOST_BESIDE)]
    hint = similar_name(source, [*words, *beside]) or hint
    told = f"source must be {forms}, got {source[:200]!r}, which does not exist"
    raise DataError(f"{told}. {hint}" if hint else told)


def check_archive(path: Path, forms: str, *, hint: str = "") -> None:
    """Makes sure that a source is a folder or a zip, and tells what it is instead.

    Args:
        path: That exists.
        forms: What a source may be, for the message.
        hint: Ends the message, where the source is a file of annotations.

    Raises:
        DataError: It is another kind of file. What calls itself a zip is opened, and told by `open_files`.
    """
    lower = path.name.lower()
    if not path.is_file() or lower.endswith(".zip") or zipfile.is_zipfile(path):
        return
    if lower.endswith(ANNOTATIONS):
        what, remedy = "a file of annotations", "Put it into one folder with the images that it tells of, and name that"
        remedy = f"{remedy}. {hint}" if hint else remedy
    elif is_image(path.name):
        what, remedy = "one image", "Name the folder that holds the images and what was drawn on them"
    elif lower.endswith(PACKED):
        what, remedy = "packed in another way", "Unpack it and name the folder, or pack it as a zip"
    else:
        what, remedy = "another kind of file", "Name a folder or a zip"
    raise DataError(f"source must be {forms}, but {path} is {what}. {remedy}")
