"""Opens the files of an image, as its metadata name them, and sees that they are the ones that are meant."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator

import tifffile

from nanonuclei.data.files.content import Content, handle
from nanonuclei.data.files.omesets.sets import OmeSet
from nanonuclei.data.files.tiff_metadata import num_recordings, ome_planes
from nanonuclei.errors import DataError

_OWN = re.compile(r"<(?:\w+:)?OME\b[^>]*?\bUUID=[\"']([^\"']*)[\"']")
"""The number of a file in its own metadata."""

_HEAD = 4096
"""Characters of metadata in which it stands."""


@contextlib.contextmanager
def opened_set(content: Content, several: OmeSet | None) -> Iterator[tifffile.TiffFile]:
    """Opens a TIFF.

    Micro-Manager's index of planes is passed over, since by it tifffile looks for other files.

    Args:
        content: The file.
        several: Its set, without a problem, of which tifffile opens the others once their planes are listed; None: no
            other file is read.
    """
    text = None if several is None else several.text
    with (
        handle(content if several is None else several.opened) as source,
        tifffile.TiffFile(source, omexml=text, _multifile=several is not None, is_mmstack=False) as tiff,
    ):
        yield tiff


def count_pages(several: OmeSet | None) -> int:
    """Returns how many pages the files of a set hold, before tifffile loads them; 0 where there is no set.

    Raises:
        DataError: One of them is no readable TIFF.
    """
    total = 0
    for file in () if several is None else several.tiffs:
        try:
            with tifffile.TiffFile(file, _multifile=False) as tiff:
                total += len(tiff.pages)
        except Exception as error:  # damaged files make it raise nearly anything
            raise DataError(
                f"is an image in several files, of which {file.name} is no readable TIFF. Copy it again"
            ) from error
    return total


def check_set(tiff: tifffile.TiffFile, several: OmeSet, *, check: Callable[[tifffile.TiffFile], None]) -> None:
    """Makes sure that the files that were opened make the image, and no others do.

    Args:
        tiff: Of which the series were asked for.
        several: Its set.
        check: Called with each of the other files while it is open; it may refuse it.

    Raises:
        DataError: A file is another than the metadata mean, or holds fewer planes, or the metadata are not valid.
    """
    if len(tiff.series) != num_recordings(tiff) or any(series.kind != "ome" for series in tiff.series):
        raise DataError("is an image in several files, of which the metadata do not fit the planes. Save it again")
    names = {file.name for file in several.tiffs}
    for uuid, member in tiff._files.items():
        file = member.filehandle
        if file.name not in names or file.dirname != tiff.filehandle.dirname:
            raise DataError(f"is an image in several files, but {file.name} is none of them. Save it again")
        if member is tiff:
            continue
        own = _OWN.search((member.ome_metadata or "")[:_HEAD])
        if uuid and own and own[1] != uuid:
            raise DataError(f"is an image in several files, but {file.name} is another one of this name. Copy it again")
        file.open()
        try:
            check(member)
        finally:
            file.close()


def alone(tiff: tifffile.TiffFile) -> str:
    """Returns what the user should know of a file that is read without the others of its image; else an empty text."""
    text = tiff.ome_metadata or ""
    part = ("FileName" in text and ome_planes(tiff) > len(tiff.pages)) or "BinaryOnly" in text[:_HEAD]
    return "one file of an image in several, read alone" if part else ""
