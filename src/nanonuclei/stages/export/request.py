"""What `export` is asked for, checked before anything slow begins."""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nanonuclei.errors import DataError, NanonucleiError, nearest_name

FORMATS = ("bioimageio",)
"""Formats of packages."""


@dataclass(frozen=True)
class Publication:
    """What only the one who publishes can tell.

    Attributes:
        authors: Their names.
        licence: SPDX identifier such as ``CC-BY-4.0``; empty where it is not decided.
    """

    authors: Sequence[str] = ()
    licence: str = ""


def check_export(output: Path, *, to: str, publication: Publication) -> None:
    """Makes sure that a package can be written, before anything slow begins.

    Raises:
        DataError: The file exists, or is no zip.
        NanonucleiError: There is no such format or licence, or an author's name is not one that the format takes.
    """
    if to not in FORMATS:
        raise NanonucleiError(f"unknown format {to!r}. {nearest_name(to, FORMATS)}")
    if output.suffix != ".zip":
        raise DataError(f"output must be a file NAME.zip, got {output}. Name one")
    if output.exists():
        raise DataError(f"the output must be a new file, but {output} exists. Name another, or remove it")
    if wrong := [name for name in publication.authors if "/" in name or "\\" in name]:
        raise NanonucleiError(
            f"names of authors must be without slashes, got {wrong[0]!r}. Separate them by semicolons"
        )
    known = _licences()
    if publication.licence and known and publication.licence not in known:
        raise NanonucleiError(
            f"licence must be an SPDX identifier such as CC-BY-4.0, CC0-1.0 or MIT, got {publication.licence!r}. "
            f"{_nearest(publication.licence, known)}"
        )


def _nearest(licence: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(licence.upper(), known, n=1)
    return f"Did you mean {found[0]}?" if found else "Correct it"


def _licences() -> Sequence[str]:
    """Returns the identifiers that the format knows, from the list of its package, which is slow to import itself."""
    try:
        package = importlib.util.find_spec("bioimageio.spec")
    except ModuleNotFoundError:
        return ()
    places = package.submodule_search_locations or () if package is not None else ()
    for place in places:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # the program itself will tell
            tree = json.loads((Path(place) / "static" / "spdx_licenses.json").read_text(encoding="utf-8"))
            return [str(one["licenseId"]) for one in tree["licenses"]]
    return ()
