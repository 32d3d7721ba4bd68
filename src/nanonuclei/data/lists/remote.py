"""Images at URLs such as ``s3://bucket/plate/a.tif``, through the package `fsspec`, which is optional."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from nanonuclei.data.files.listing import ZARR, Refused, is_image, unique_names
from nanonuclei.data.files.omesets.sets import find_set
from nanonuclei.errors import DataError
from nanonuclei.packaged import how_to_install

Source = Path | str | Refused
"""Where an image file is: a path of this machine or a shared disk, or a URL; or why it is not read."""

_REMEDY = "Check the URL and your rights, or download the images and name their folder"

_IN_BRACKETS = re.compile(r"\w+://(?:[^/@]*@)?\[[^/\]]*:")
"""How a URL begins that names its server by an IPv6 address."""


def content_at(source: Source) -> Path | bytes:
    """Returns a path as it is, and the bytes of the file at a URL.

    Raises:
        DataError: The file cannot be had, or is not read.
    """
    if isinstance(source, Refused):
        raise DataError(source.why)
    return source if isinstance(source, Path) else read_remote(source)


def read_remote(url: str) -> bytes:
    """Returns the bytes of the file at a URL.

    Raises:
        DataError: The file cannot be had, or `fsspec` or its part for this kind of URL is not installed.
    """
    files, path = file_system(url)
    try:
        return bytes(files.cat_file(path))
    except Exception as error:  # every kind of store has errors of its own
        raise DataError(f"{url}: cannot be read: {_sentence(error)}. {_REMEDY}") from error


def list_remote(url: str) -> dict[str, Source]:
    """Lists the images below a URL, or those that fit a pattern such as ``s3://bucket/plates/**/*.tif``.

    Returns:
        URLs by names, as `listing.list_images` names them.

    Raises:
        DataError: There is none, or the store does not answer.
    """
    files, path = file_system(url)
    fixed = path.split("*")[0].split("?")[0].split("[")[0]
    try:
        if fixed == path and files.isfile(path):
            return dict(unique_names({path.rsplit("/", 1)[-1]: url}).items())
        root = path.rstrip("/") if fixed == path else fixed.rpartition("/")[0]
        paths = files.find(root) if fixed == path else files.glob(path)
    except Exception as error:  # as above
        raise DataError(f"{url}: cannot be listed: {_sentence(error)}. {_REMEDY}") from error
    names = {found[len(root) :].lstrip("/"): found for found in sorted(paths)}
    found = {name: str(files.unstrip_protocol(place)) for name, place in names.items() if is_image(name)}
    if not found:
        if not names and fixed == path:
            _check_there(files, path, url)
        raise DataError(
            f"{url} holds no image (folders of {ZARR} are read from disks alone). Name a folder or a pattern of "
            "images, or download the images and name their folder"
        )
    return dict(unique_names(found).items())


def _check_there(files: Any, path: str, url: str) -> None:
    """Makes sure that a place without files is there: listing a server that is away may tell no error.

    Raises:
        DataError: It is not.
    """
    try:
        files.info(path)
    except Exception as error:  # as above
        raise DataError(f"{url}: cannot be found: {_sentence(error)}. {_REMEDY}") from error


def file_system(url: str) -> tuple[Any, str]:
    """Returns the file system of `fsspec` for a URL, and the path in it.

    Raises:
        DataError: `fsspec` or its part for this kind of URL is not installed, or the store cannot be opened.
    """
    if _IN_BRACKETS.match(url):  # `fsspec` takes the colons for a chain of file systems, the brackets for a pattern
        raise DataError(f"{url} names its server by an IPv6 address, which is not supported. Name it by its host name")
    try:
        from fsspec.core import url_to_fs

        files, path = url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise DataError(
            f"{url} needs packages that are not installed ({error}). Install them: {how_to_install('ray')}"
        ) from error
    except ValueError as error:
        raise DataError(f"{url}: {error}. Name a path, or a URL such as s3://bucket/folder") from error
    except Exception as error:  # as above; some connect at once, others need options that a URL cannot hold
        raise DataError(f"{url}: cannot be opened: {_sentence(error)}. {_REMEDY}") from error
    return files, str(path)


def path_of(source: Source) -> str:
    """Returns a place as text with ``/``."""
    if isinstance(source, Refused):
        return source.path
    return source.as_posix() if isinstance(source, Path) else source


def state_of(source: Source) -> str:
    """Returns what tells a file of this machine from another at the same place: its bytes and its last change.

    Of an OME-Zarr folder, and of an OME-TIFF in several files, the files, their bytes and the last change of any. Empty
    where the file is not there or not of this machine.
    """
    if not isinstance(source, Path):
        return ""
    try:
        if (several := find_set(source)) is not None:
            return several.state
        found = [source, *source.rglob("*")] if source.is_dir() else [source]
        stats = [path.lstat() if path != source else path.stat() for path in found]
    except OSError:
        return ""
    number = f"{len(stats)} files, " if len(stats) > 1 else ""
    size, changed = sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)
    return f"{number}{size} bytes, changed {changed}"


def _sentence(error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # of a web server, why nothing was found
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
