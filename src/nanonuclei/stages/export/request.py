"""What `export` is asked for, checked before anything slow begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nanonuclei.errors import DataError, NanonucleiError, nearest_name

FORMATS = ("bioimageio",)
"""Formats of packages."""


def check_export(output: Path, *, to: str) -> None:
    """Makes sure that a package can be written, before anything slow begins.

    Raises:
        DataError: The file exists, or is no zip.
        NanonucleiError: There is no such format.
    """
    if to not in FORMATS:
        raise NanonucleiError(f"unknown format {to!r}. {nearest_name(to, FORMATS)}")
    if output.suffix != ".zip":
        raise DataError(f"output must be a file NAME.zip, got {output}. Name one")
    if output.exists():
        raise DataError(f"the output must be a new file, but {output} exists. Name another, or remove it")


@dataclass(frozen=True)
class Publication:
    """What only the one who publishes can tell.

    Attributes:
        authors: Their names.
        licence: SPDX identifier such as ``CC-BY-4.0``; empty where it is not decided.
    """

    authors: Sequence[str] = ()
    licence: str = ""
