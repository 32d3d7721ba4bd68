"""What counts in a folder that `correct` wrote, and which image a file of lines belongs to."""

from __future__ import annotations

from pathlib import PurePosixPath

from nanonuclei.data.archives import Files
from nanonuclei.data.corrected.manifest import MANIFEST, PICTURES, PREDICTED, read_manifest
from nanonuclei.data.files.reading import stem


def names_of(files: Files) -> tuple[list[str], bool]:
    """Returns the files that count, and whether `correct` wrote the folder.

    Of such a folder the predicted objects, the pictures to look at, and whatever nobody saved since do not count.

    Raises:
        DataError: What the folder tells of itself is damaged.
    """
    if MANIFEST not in files.names:
        return list(files.names), False
    manifest = read_manifest(files.read(MANIFEST))
    names = [name for name in files.names if name != MANIFEST and name.split("/")[0] not in (PREDICTED, PICTURES)]
    kept = [n for n in names if n not in manifest.written or not manifest.is_untouched(n, files.read(n))]
    return kept, True


def belongs(name: str, image: str) -> bool:
    """Whether a file of lines is called as an image, and lies beside it."""
    return PurePosixPath(name).with_suffix("").as_posix() == (PurePosixPath(image).parent / stem(image)).as_posix()
