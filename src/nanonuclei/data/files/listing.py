"""Which files of a folder are images: without the junk of operating systems, and never outside of the folder."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TypeVar

from nanonuclei.data.files.headers import foreign
from nanonuclei.data.files.omezarr.layout import zarr_images
from nanonuclei.data.files.reading import stem
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


_UNSOUND = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, ends of lines, and what Python puts in the place of bytes that are no UTF-8."""


def is_sound(name: str) -> bool:
    """Returns whether a name can stand in tables, zips and messages: it is UTF-8 and holds no control character."""
    return not _UNSOUND.search(name)


def is_junk(name: str) -> bool:
    """Returns whether a path within a dataset is a leftover of an operating system, such as ``a/._b.png``."""
    parts = [part.lower() for part in name.split("/")]
    return parts[-1] in JUNK_FILES or any(part in JUNK_FOLDERS or part.startswith("._") for part in parts)


def is_image(name: str) -> bool:
    """Returns whether a file is an image by its name."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not is_junk(name)


def _is_known(name: str) -> bool:
    return is_image(name) or (bool(foreign(name)) and not is_junk(name))


def list_files(folder: Path) -> tuple[str, ...]:
    """Lists the files below a folder; links to folders are not followed.

    Returns:
        Paths within it with ``/``, sorted, without junk.

    Raises:
        DataError: The folder cannot be listed, a link leads out of it, or a name is not sound.
    """
    return tuple(sorted(name for name in _walk(folder) if not is_junk(name)))


def list_images(place: Path | str) -> dict[str, Path]:
    """Lists images to work on.

    Args:
        place: An image, a folder that is searched with all its subfolders, an OME-Zarr folder, or a pattern such as
            ``plates/**/*.ome.tif``.

    Returns:
        Paths by names, sorted; those of formats that are known and not read, such as CZI, are among them, so that they
        are told of. A name is the path within the folder without its suffix, ``A01/site1``, so that outputs can mirror
        the folder; with its suffix where two images would share a name. Of an OME-Zarr plate there is one path per
        field, ``plate/A/1/0``.

    Raises:
        DataError: There is no image, a folder cannot be listed, a link leads out of it, or a name is not sound.
    """
    path = Path(place)
    if not is_sound(str(place)):
        raise DataError(f"{str(place)!a} is a name with control characters or not in UTF-8. Rename it")
    if path.is_file():
        return {stem(path.name): path}
    if _is_zarr(path):
        found = zarr_images(path, stem(path.name))
    elif path.is_dir():
        found = {}
        for name in _walk(path, zarr=True):
            if name.lower().endswith(ZARR) and (path / name).is_dir():
                found |= zarr_images(path / name, name)
            elif _is_known(name):
                found[name] = path / name
    else:
        found = _matching(str(place))
    if not found:
        raise DataError(
            f"{place} holds no image ({', '.join((*IMAGE_SUFFIXES, ZARR))}). Name a folder of images, an image, or a "
            f"pattern such as 'plates/**/*.tif'"
        )
    return dict(sorted(unique_names(found).items()))


def unique_names(found: Mapping[str, Place]) -> dict[str, Place]:
    """Returns files by the names of their results.

    Args:
        found: Files by their paths within the input, with ``/`` and suffix.

    Returns:
        The same without suffixes; with its suffix where two files would share a name, whatever the case of letters.

    Raises:
        DataError: A name is not sound, or leads out of the input, as the key of an object in a store may.
    """
    for name in found:
        _check_name(name, "the input")
        if name.startswith("/") or ".." in name.split("/"):
            raise DataError(f"the input holds {name[:200]!r}, a path that leads out of it. Rename it")
    short = {name: (PurePosixPath(name).parent / stem(name)).as_posix() for name in found}
    taken = Counter(name.lower() for name in short.values())
    return {name if taken[short[name].lower()] > 1 else short[name]: place for name, place in found.items()}


def check_inside(file: Path, folder: Path) -> None:
    """Refuses a link that leads out of a folder or in a circle, and what is no file, such as a pipe.

    Raises:
        DataError: It is one of these.
    """
    try:
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            if not file.resolve().is_relative_to(folder.resolve()):
                raise DataError(
                    f"{file} is a link that leads out of {folder}. Put the file itself there, or remove the link"
                )
            mode = file.stat().st_mode
    except RuntimeError as error:
        raise DataError(f"{file} is a link that leads back to itself. Remove it") from error
    except OSError:
        return  # a link to nothing, which its reader tells
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(f"{file} must be a file, but is a pipe, socket or device. Leave it out")


def _check_name(name: str, place: Path | str) -> None:
    if not is_sound(name):
        raise DataError(f"{place} holds {name[:200]!a}, a name with control characters or not in UTF-8. Rename it")


def _walk(folder: Path, *, zarr: bool = False) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise DataError(
            f"cannot list {error.filename}: {error.strerror}. Give yourself the right to read it"
        ) from error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        base = Path(parent)
        if zarr:
            for name in [name for name in folders if _is_zarr(base / name)]:
                folders.remove(name)
                names.append(name)
        folders[:] = [name for name in folders if name.lower() not in JUNK_FOLDERS]
        for name in names:
            relative = (base / name).relative_to(folder).as_posix()
            if not is_junk(relative):
                _check_name(relative, folder)
                check_inside(base / name, folder)
            yield relative


def _is_zarr(path: Path) -> bool:
    return path.name.lower().endswith(ZARR) and path.is_dir()


def _matching(pattern: str) -> dict[str, Path]:
    """Returns images that fit a pattern, by their paths below its part without wildcards."""
    parts = Path(pattern).parts
    fixed = next((place for place, part in enumerate(parts) if any(sign in part for sign in "*?[")), len(parts))
    if fixed == len(parts):
        raise DataError(f"{pattern} does not exist. Name a folder of images, an image, or a pattern")
    root = Path(*parts[:fixed])
    found = {}
    for path in sorted(root.glob("/".join(parts[fixed:]))):
        name = path.relative_to(root).as_posix()
        if path.is_file() and _is_known(name):
            check_inside(path, root)
            found[name] = path
        elif _is_zarr(path):
            check_inside(path, root)
            found |= zarr_images(path, name)
    return found
