"""Which version of a dataset lies on disk: the md5 that DVC gives to it, and the one that a `.dvc` file pins."""

from __future__ import annotations

import configparser
import fnmatch
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from nanonuclei.errors import DataError

CHUNK = 2**20
IGNORED = ("*.part", ".*.tmp")
"""What `.dvcignore` names: remains of a fetch that was cut off."""


def file_md5(path: Path) -> str:
    """Returns 32 hex digits over a file's bytes."""
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}. Restore it with `dvc checkout`") from error
    return digest.hexdigest()


def folder_md5(folder: Path) -> str:
    """Returns DVC's name of a folder's content: 32 hex digits and ``.dir``.

    It is the md5 of the JSON list of ``{"md5", "relpath"}`` of all files, sorted by path, as DVC 3 stores it in its
    cache and in `dvc.lock`.
    """
    names = sorted(_files(folder))
    return listing_md5({name: file_md5(folder / name) for name in names})


def listing_md5(md5s: Mapping[str, str]) -> str:
    """Returns DVC's name of a folder that holds these files, path within the folder to md5."""
    entries = [{"md5": md5s[name], "relpath": name} for name in sorted(md5s)]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def content_md5(path: Path) -> str:
    """Returns DVC's md5 of a file or folder.

    Raises:
        DataError: There is neither.
    """
    if path.is_dir():
        return folder_md5(path)
    return file_md5(path)


def dataset_md5(data: Path, name: str) -> str:
    """Returns DVC's md5 of a dataset's folder; nothing for simulated images, which no folder holds."""
    return "" if name == "simulated" else content_md5(data / name)


def cache_folder(settings: Path = Path(".dvc")) -> Path:
    """Returns where DVC's cache lies: ``cache.dir`` of `config.local` or `config`, else ``.dvc/cache``."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read([settings / "config", settings / "config.local"], encoding="utf-8")
    return settings / parser.get("cache", "dir", fallback="cache")


def dataset_in_cache(name: str, md5: str, *, pinned: str, cache: Path) -> bool:
    """Tells whether DVC's cache holds a dataset, byte for byte: its listing is part of the one that `data.dvc` pins."""
    listing = listed(pinned, cache=cache)
    files = {path.removeprefix(f"{name}/"): file for path, file in listing.items() if path.startswith(f"{name}/")}
    sound = all(_sound(cached(file, cache=cache), file) for file in files.values())
    return bool(files) and listing_md5(files) == md5 and sound


def lost_from_cache(md5: str, *, cache: Path) -> list[str]:
    """Returns the files of a file or folder that DVC's cache has not, by name alone; ``.`` where it lacks it at all."""
    if not cached(md5, cache=cache).is_file():
        return ["."]
    if not md5.endswith(".dir"):
        return []
    return [name for name, file in listed(md5, cache=cache).items() if not cached(file, cache=cache).is_file()]


def pinned_md5(pointer: Path) -> str | None:
    """Returns the md5 that a `.dvc` file pins, with ``.dir`` for a folder; None where it pins nothing."""
    try:
        outs = yaml.safe_load(pointer.read_text(encoding="utf-8"))["outs"]
        md5: str = outs[0]["md5"]
    except (OSError, yaml.YAMLError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return md5


def listed(md5: str, *, cache: Path) -> dict[str, str]:
    """Returns path and md5 of each file of a folder in DVC's cache; nothing where the listing is not there."""
    try:
        entries = json.loads(cached(md5, cache=cache).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {entry["relpath"]: entry["md5"] for entry in entries}


def cached(md5: str, *, cache: Path) -> Path:
    """Returns where DVC 3 keeps content in its cache."""
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def _sound(path: Path, md5: str) -> bool:
    return path.is_file() and file_md5(path) == md5


def _files(folder: Path) -> Iterator[str]:
    found = False
    for path in folder.rglob("*"):
        if path.is_file() and not any(fnmatch.fnmatch(path.name, pattern) for pattern in IGNORED):
            found = True
            yield path.relative_to(folder).as_posix()
    if not found:
        raise DataError(f"{folder} must hold a file at least, but is missing or empty. Restore it with `dvc checkout`")
