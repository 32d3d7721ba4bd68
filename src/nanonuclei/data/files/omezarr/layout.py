"""Which images an OME-Zarr folder holds: one, the fields of a plate, or the recordings that a converter put there.

Only the metadata are read, so that the package `zarr` is not needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

LAYOUT = "bioformats2raw.layout"
"""Attribute of a folder whose recordings are numbered folders (OME-Zarr 0.4, "bioformats2raw.layout")."""


def zarr_images(folder: Path, name: str) -> dict[str, Path]:
    """Returns the images of an OME-Zarr folder.

    Args:
        folder: The folder.
        name: What its only image is called; those of a plate are called ``plate/A/1/0``.

    Returns:
        Paths by names: the folder itself where it is one image, or where its metadata cannot be read.
    """
    own = PurePosixPath(name)
    inner = own.parent / own.name.removesuffix(own.suffix)
    parts = [part for part in _parts(folder) if _is_plain(part) and (folder / part).is_dir()]
    return {str(inner / part): folder / part for part in parts} or {name: folder}


def attributes(folder: Path) -> Mapping[str, Any]:
    """Returns the attributes of a Zarr group of version 2 or 3; empty where there are none."""
    for file, inner in ((".zattrs", ""), ("zarr.json", "attributes")):
        try:
            tree = json.loads((folder / file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        found = tree.get(inner, {}) if inner and isinstance(tree, dict) else tree
        if isinstance(found, dict):
            own = found.get("ome", found)
            return own if isinstance(own, dict) else {}
    return {}


def is_array(folder: Path) -> bool:
    """Tells whether a folder is a Zarr array, and no group."""
    if (folder / ".zarray").is_file():
        return True
    try:
        tree = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(tree, dict) and tree.get("node_type") == "array"


def _parts(folder: Path) -> Iterator[str]:
    """Yields the paths of the images within a folder, with ``/``."""
    known = attributes(folder)
    if "multiscales" in known:
        return
    if isinstance(known.get("plate"), dict):
        for well in _paths(known["plate"].get("wells")):
            if _is_plain(well) and isinstance(fields := attributes(folder / well).get("well"), dict):
                yield from (f"{well}/{field}" for field in _paths(fields.get("images")))
    elif LAYOUT in known:
        series = attributes(folder / "OME").get("series")
        names = series if isinstance(series, list) else [path.name for path in folder.iterdir() if path.name.isdigit()]
        yield from sorted(map(str, names), key=lambda name: (len(name), name))


def _paths(entries: object) -> Iterator[str]:
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("path"), str):
            yield entry["path"]


def _is_plain(path: str) -> bool:
    """Whether a path stays within its folder."""
    return not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts
