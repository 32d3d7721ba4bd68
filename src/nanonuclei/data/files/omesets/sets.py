"""Which files make one image: OME's metadata in one of them, or in a companion file, name the files of all planes.

Names are taken from metadata that anybody may have written: they stay within the folder, and no link is followed out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree

import tifffile

from nanonuclei.data.files.content import check_inside, is_sound
from nanonuclei.data.files.tiff_metadata import planes_counted
from nanonuclei.errors import DataError

COMPANION = ".companion.ome"
"""Names of files that hold OME's metadata alone end so."""

SUFFIXES = (".tif", ".tiff", ".btf", ".tf2", ".tf8", COMPANION)
"""Names of files that may belong to a set end so, in small or capital letters."""

MOST_BYTES = 2**26
"""Largest companion file that is read, bytes."""

_REMEDY = "Put all files of the image into one folder, under the names that they were saved with"

Place = TypeVar("Place")


@dataclass(frozen=True)
class OmeSet:
    """Files that make one image.

    Attributes:
        lead: The file that the image is called after: the companion file, or the first one in the metadata.
        opened: The TIFF with which reading begins; it holds the metadata, unless `text` does.
        files: All that are there, the companion file among them.
        text: Metadata of a companion file; None where they are in `opened`.
        problem: Why the set cannot be read, as a sentence with its remedy; empty where nothing is wrong.
    """

    lead: Path
    opened: Path
    files: tuple[Path, ...]
    text: str | None = None
    problem: str = ""

    @property
    def tiffs(self) -> tuple[Path, ...]:
        """The files with planes."""
        return tuple(file for file in self.files if not is_companion(file.name))

    @property
    def num_bytes(self) -> int:
        """Bytes of the files with planes."""
        return sum(file.stat().st_size for file in self.tiffs)

    @property
    def state(self) -> str:
        """What changes with any of the files: their number, their bytes, the last change, and a digest of each."""
        stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in self.files]
        digest = hashlib.sha256(repr(stats).encode()).hexdigest()[:8]
        size, changed = sum(size for _, size, _ in stats), max((changed for *_, changed in stats), default=0)
        return f"{len(stats)} files, {size} bytes, changed {changed}, {digest}"


def is_companion(name: str) -> bool:
    """Returns whether a file holds OME's metadata alone, by its name."""
    return name.lower().endswith(COMPANION)


def find_set(path: Path) -> OmeSet | None:
    """Returns the set that a file belongs to; None where it is an image by itself, or cannot be read.

    A file that holds all planes is an image by itself, whatever names stand in its metadata, as copies keep these.

    Args:
        path: A file, or a place where none is.
    """
    if not path.name.lower().endswith(SUFFIXES) or not path.is_file():
        return None
    text, master = _text_of(path), path
    root = _parsed(text)
    only = None if root is None else root.find("{*}BinaryOnly")
    if only is not None:
        name = only.get("MetadataFile", "")
        master, wrong = _beside(path.parent, name)
        if wrong:
            return OmeSet(path, path, (path,), problem=f"its metadata are in the file {wrong}. {_REMEDY}")
        if not master.is_file():
            return OmeSet(master, path, (path,), problem=f"its metadata are in {name}, which is missing. {_REMEDY}")
        text = _text_of(master)
        root = _parsed(text)
    if root is None or root.find("{*}BinaryOnly") is not None:
        if not is_companion(master.name) and master == path:
            return None
        problem = f"{master.name} holds no metadata of OME. Copy it again"
        return OmeSet(master, path, (path,), problem=problem)
    return _set_of(path, master, root, text)


def without_parts(found: Mapping[str, Place]) -> dict[str, Place]:
    """Leaves out the files that belong to a set, but for the one that its image is called after.

    Args:
        found: Files by any names; those that are no `Path` are kept.
    """
    there: set[Path] = {place for place in found.values() if isinstance(place, Path)}
    sets: dict[Path, OmeSet] = {place: one for place in there if (one := find_set(place)) is not None}
    parts: set[Path] = set()
    for path, one in sets.items():
        if path == one.lead:
            parts |= {file for file in one.files if file != path and _follows(file, one, sets)}
    kept: dict[str, Place] = {}
    seen: set[Path] = set()
    for name, place in found.items():
        led = sets.get(place) if isinstance(place, Path) else None
        if place in parts or (led is not None and led.lead in seen):
            continue
        if led is not None and led.lead not in there:
            seen.add(led.lead)
        kept[name] = place
    return kept


def _follows(file: Path, led: OmeSet, sets: Mapping[Path, OmeSet]) -> bool:
    """Returns whether a file says, too, that it belongs to a set, or says nothing."""
    own = sets[file] if file in sets else find_set(file)
    return own.lead == led.lead if own is not None else _parsed(_text_of(file)) is None


def _set_of(path: Path, master: Path, root: ElementTree.Element, text: str) -> OmeSet | None:
    """Returns the set that metadata describe, see `find_set`.

    Args:
        path: The file that was asked for.
        master: The file with the metadata.
        root: The metadata.
        text: The same as text.
    """
    names, missing, problem = _names(root, master), [], ""
    alone = is_companion(master.name)
    if not alone and (set(names) <= {master.name} or _is_whole(master, root)):
        return None
    if path != master and path.name not in names:
        return None
    files = [master] if alone or master.name not in names else []
    for name in names:
        file, wrong = _beside(master.parent, name)
        if wrong:
            problem = problem or f"its metadata name the file {wrong}"
        elif file.is_file():
            files.append(file)
        else:
            missing.append(name)
    if len(names) == len(missing) == 1 and not alone and root.get("UUID") is None:
        return None  # a file by itself that was renamed
    if missing:
        more = f", and {len(missing) - 1:,} more," if len(missing) > 1 else ""
        problem = problem or f"it is an image in {len(names):,} files, of which {missing[0]}{more} is missing"
    tiffs = [file for file in files if not is_companion(file.name)]
    if not names:
        problem = "its metadata name no file with pixels"
    lead = master if alone or not tiffs else tiffs[0]
    return OmeSet(
        lead,
        (tiffs or [path])[0] if alone else master,
        tuple(files),
        text if alone else None,
        f"{problem}. {_REMEDY}" if problem else "",
    )


def _names(root: ElementTree.Element, master: Path) -> tuple[str, ...]:
    """Returns the names of the files with planes, each once, in the order of the metadata."""
    own, names = root.get("UUID"), dict[str, None]()
    for element in root.iter():
        tag = str(element.tag)
        if tag.endswith("UUID") and own is not None and element.text == own:
            names[master.name] = None
        elif tag.endswith("UUID") and "FileName" in element.attrib:
            names[element.attrib["FileName"]] = None
        elif tag.endswith("TiffData") and not len(element) and not is_companion(master.name):
            names[master.name] = None
    return tuple(names)


def _is_whole(master: Path, root: ElementTree.Element) -> bool:
    """Returns whether a file holds as many pages as its metadata count planes."""
    planes = sum(map(planes_counted, root.findall("{*}Image/{*}Pixels")))
    try:
        with tifffile.TiffFile(master, _multifile=False) as tiff:
            return len(tiff.pages) >= planes
    except Exception:  # damaged, as its reader will tell
        return False


def _beside(folder: Path, name: str) -> tuple[Path, str]:
    """Returns the file of a name in a folder, and what is wrong with the name, as the rest of a sentence."""
    shown = ascii(name[:100]) if not is_sound(name) else name[:100]
    if not name or not is_sound(name) or name in (".", "..") or any(sign in name for sign in "/\\:"):
        return folder, f"{shown!r}, which is no name of a file beside it"
    file = folder / name
    try:
        check_inside(file, folder)
    except DataError as error:
        return file, f"{shown}, but {error}"
    return file, ""


def _text_of(path: Path) -> str:
    """Returns OME's metadata in a file as text; empty where it holds none, or is damaged, as its reader will tell."""
    try:
        if is_companion(path.name):
            with path.open("rb") as stream:
                return stream.read(MOST_BYTES).decode("utf-8", "replace")
        with tifffile.TiffFile(path, _multifile=False) as tiff:
            text = tiff.ome_metadata or ""
    except Exception:
        return ""
    return text if "BinaryOnly" in text or "FileName" in text else ""


def _parsed(text: str) -> ElementTree.Element | None:
    try:
        return ElementTree.fromstring(text) if text else None
    except (ElementTree.ParseError, ValueError):
        return None
