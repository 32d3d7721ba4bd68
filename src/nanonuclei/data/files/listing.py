"""Which files of a folder are images: without the junk of operating systems, and never outside of the folder."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from nanonuclei.data.files.content import UNSOUND, check_inside, head, is_sound
from nanonuclei.data.files.headers import foreign
from nanonuclei.data.files.omesets.sets import is_companion, without_parts
from nanonuclei.data.files.omezarr.layout import zarr_images
from nanonuclei.data.files.reading import read_format, stem
from nanonuclei.errors import DataError

TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".lsm", ".stk", ".svs", ".ndpi", ".scn", ".qptiff", ".flex")
"""Names of TIFF files and of what programs of microscopes build on TIFF end so."""

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".webp"),
    *(".jp2", ".j2k", ".jpx", ".jpc", ".j2c", ".jph", *TIFF_SUFFIXES),
)
"""Names of image files end so, in small or capital letters."""

ZARR = ".zarr"
"""Names of OME-Zarr folders end so."""

Place = TypeVar("Place")

JUNK_FOLDERS = frozenset(
    {"__macosx", ".git", ".ipynb_checkpoints", "@eadir", "$recycle.bin", ".trashes", ".spotlight-v100", ".fseventsd"}
)
JUNK_FILES = frozenset({".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", ".directory", "icon\r"})
"""What operating systems and programs leave in folders, in small letters."""

RECORD = "nanonuclei.json"
"""File that makes a folder one of results of `predict`: what it was made with. Images in it are passed over."""

_TIME, _SCENE = re.compile(r"_t\d{3,}$"), re.compile(r"_s\d+$")
"""What the results of one plane of a file have at the end of their name, see `axes.Plane.suffix`."""


@dataclass(frozen=True)
class Refused:
    """A file that is listed and not read, so that it costs no other file its result.

    Attributes:
        path: Within the input, with ``/``; of a name that is not sound what can be shown of it.
        why: A sentence.
    """

    path: str
    why: str


def is_junk(name: str) -> bool:
    """Returns whether a path within a dataset is a leftover of an operating system, such as ``a/._b.png``."""
    parts = [part.lower() for part in name.split("/")]
    return parts[-1] in JUNK_FILES or any(part in JUNK_FOLDERS or part.startswith("._") for part in parts)


def is_image(name: str) -> bool:
    """Returns whether a file is an image by its name."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not is_junk(name)


def _is_known(name: str) -> bool:
    return is_image(name) or (bool(foreign(name) or is_companion(name)) and not is_junk(name))


def list_files(folder: Path, *, refused: dict[str, Refused] | None = None) -> tuple[str, ...]:
    """Lists the files below a folder; links to folders are not followed.

    Args:
        folder: The folder.
        refused: Takes what must not be read, by its path, so that it costs no other file; where None, it is an error.

    Returns:
        Paths within it with ``/``, sorted, without junk and without folders of results in it.

    Raises:
        DataError: The folder cannot be listed, a link leads out of it, or a name is not sound.
    """
    names = sorted(name for name in _walk(folder, unlisted=refused) if not is_junk(name))
    results = tuple(name.removesuffix(RECORD) for name in names if name.endswith(f"/{RECORD}"))
    names = [name for name in names if not name.startswith(results)]
    for name in names:
        try:
            if not is_sound(name):
                raise DataError(
                    f"{folder} holds {name[:200]!a}, a name with control characters or not in UTF-8. Rename it"
                )
            check_inside(folder / name, folder)
        except DataError as error:
            if refused is None:
                raise
            shown = UNSOUND.sub("\N{REPLACEMENT CHARACTER}", name)
            refused[name] = Refused(shown, str(error))
    return tuple(name for name in names if name not in (refused or ()))


def list_images(place: Path | str) -> dict[str, Path | Refused]:
    """Lists images to work on.

    Args:
        place: An image, a folder that is searched with all its subfolders, an OME-Zarr folder, or a pattern such as
            ``plates/**/*.ome.tif``.

    Returns:
        Paths by names, sorted; those of formats that are known and not read, such as CZI, are among them, so that they
        are told of. A name is the path within the folder without its suffix, ``A01/site1``, so that outputs can mirror
        the folder; with its suffix where two images would share a name. Of an OME-Zarr plate there is one path per
        field, ``plate/A/1/0``; of an OME-TIFF in several files, the path of the one that its image is called after.
        What must not be read, such as a link that leads out of the folder, a pipe, or a file whose name is not sound,
        and a folder that cannot be listed is a `Refused`.

    Raises:
        DataError: There is no image, the place itself cannot be listed, or its name is not sound.
    """
    path = Path(place)
    if not is_sound(str(place)):
        raise DataError(f"{str(place)!a} is a name with control characters or not in UTF-8. Rename it")
    if path.is_file():
        if not _is_known(path.name):
            _check_begins_as_image(path)
        found: dict[str, Path | Refused] = {path.name: path}
    elif _is_zarr(path):
        found = dict(zarr_images(path, stem(path.name)))
    elif path.is_dir():
        unlisted: dict[str, Refused] = {}
        found = {}
        for name in _walk(path, unlisted=unlisted):
            if _is_known(name) or (name.lower().endswith(ZARR) and _is_zarr(path / name)):
                found |= _listed(name, path)
        found |= unlisted
    else:
        found = _matching(str(place))
    if not found:
        raise DataError(
            f"{place} holds no image ({', '.join((*IMAGE_SUFFIXES, ZARR))}). Name a folder of images, an image, or a "
            f"pattern such as 'plates/**/*.tif'"
        )
    return dict(sorted(unique_names(without_parts(found)).items()))


def _check_begins_as_image(path: Path) -> None:
    """Makes sure that a file that was named by itself is an image, where its name does not say so."""
    try:
        read_format(head(path))
    except DataError as error:
        raise DataError(f"{path} must be an image, a folder or a pattern of images, but is {error}") from None


def unique_names(found: Mapping[str, Place]) -> dict[str, Place | Refused]:
    """Returns files by the names of their results.

    Args:
        found: Files by their paths within the input, with ``/`` and suffix.

    Returns:
        The same without suffixes; with its suffix where two files could share a name, whatever the case of letters.
        What has a name that is not sound, or that leads out of the input, as the key of an object in a store may, is a
        `Refused`.
    """
    sound: dict[str, Place | Refused] = {}
    for name, place in found.items():
        if is_sound(name) and not name.startswith("/") and ".." not in name.split("/"):
            sound[name] = place
            continue
        shown = "/".join(part for part in UNSOUND.sub("\N{REPLACEMENT CHARACTER}", name).split("/") if part.strip("."))
        others = (f"{number} {shown}".strip() for number in itertools.count(2))
        free = next(one for one in itertools.chain([shown], others) if one and one not in found and one not in sound)
        wrong = "with control characters or not in UTF-8" if not is_sound(name) else "that leads out of the input"
        sound[free] = Refused(free, f"{name[:200]!a} is a name {wrong}. Rename it")
    return {given: sound[name] for name, given in _given(list(sound)).items()}


def _given(files: list[str]) -> dict[str, str]:
    """Returns the name of each file's results: its path without suffix, or with it where that could be another's.

    One file with several planes gives results that end like ``_s1_t003``, so these ends are looked at too.
    """
    given = {file: (PurePosixPath(file).parent / stem(file)).as_posix() for file in files}
    while True:
        taken = Counter(name.lower() for name in given.values())
        clashing = {name for name, number in taken.items() if number > 1}
        for name in taken:
            if bases := [base for base in _bases(name) if base in taken]:
                clashing |= {name, *bases}
        longer = {file: file for file, name in given.items() if name != file and name.lower() in clashing}
        if not longer:
            return given
        given |= longer


def _bases(name: str) -> set[str]:
    """Returns the names of files of which a result could have this name as that of one plane."""
    whole = _TIME.sub("", name)
    return {whole, _SCENE.sub("", whole)} - {name}


def is_of_file(image: str, name: str) -> bool:
    """Returns whether an image has the name of a file, or of one plane of it; see `axes.Plane.suffix`."""
    return image == name or name in _bases(image)


def _listed(name: str, folder: Path) -> dict[str, Path | Refused]:
    """Returns the images of a file or OME-Zarr folder by their paths within a folder."""
    path = folder / name
    try:
        check_inside(path, folder)
    except DataError as error:
        return {name: Refused(name, str(error))}
    return dict(zarr_images(path, name)) if _is_zarr(path) else {name: path}


def _walk(folder: Path, *, unlisted: dict[str, Refused] | None = None) -> Iterator[str]:
    """Yields paths within a folder; where `unlisted` is given, for folders without rights, OME-Zarr folders are too."""

    def refuse(error: OSError) -> None:
        why = f"cannot list {error.filename}: {error.strerror}. Give yourself the right to read it"
        if unlisted is None or Path(error.filename) == folder:
            raise DataError(why) from error
        name = Path(error.filename).relative_to(folder).as_posix()
        unlisted[name] = Refused(name, why)

    for parent, folders, names in os.walk(folder, onerror=refuse):
        base = Path(parent)
        if unlisted is not None:
            for name in [name for name in folders if _is_zarr(base / name)]:
                folders.remove(name)
                names.append(name)
        folders[:] = [name for name in folders if name.lower() not in JUNK_FOLDERS]
        yield from ((base / name).relative_to(folder).as_posix() for name in names)


def _is_zarr(path: Path) -> bool:
    return path.name.lower().endswith(ZARR) and path.is_dir()


def _matching(pattern: str) -> dict[str, Path | Refused]:
    """Returns images that fit a pattern, by their paths below its part without wildcards."""
    parts = Path(pattern).parts
    fixed = next((place for place, part in enumerate(parts) if any(sign in part for sign in "*?[")), len(parts))
    if fixed == len(parts):
        raise DataError(f"{pattern} does not exist. Name a folder of images, an image, or a pattern")
    root = Path(*parts[:fixed])
    found: dict[str, Path | Refused] = {}
    for path in sorted(root.glob("/".join(parts[fixed:]))):
        name = path.relative_to(root).as_posix()
        if _is_zarr(path) or (_is_known(name) and not path.is_dir()):
            found |= _listed(name, root)
    return found
