"""A manifest: a CSV or Parquet table with a column of paths or URLs, one row per image file."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from nanonuclei.counted import counted
from nanonuclei.data.files.listing import unique_names
from nanonuclei.data.files.omesets.sets import without_parts
from nanonuclei.data.lists.remote import Source, read_remote
from nanonuclei.errors import DataError, is_url

SUFFIXES = (".csv", ".parquet")
"""Names of manifests end so, in small or capital letters."""

COLUMNS = ("path", "file", "image", "filename", "url", "uri")
"""Names of the column of paths, the first that is there, in small or capital letters."""


def is_manifest(place: str) -> bool:
    """Returns whether an input is a manifest by its name."""
    return place.lower().endswith(SUFFIXES)


def read_manifest(place: str, *, say: Callable[[str], None] | None = None) -> dict[str, Source]:
    """Reads a manifest.

    Args:
        place: Path or URL of a table with one of `COLUMNS`. Paths are relative to the folder of the table.
        say: Told of paths that are listed more than once.

    Returns:
        Paths and URLs by names, in the order of the table. A name is the path below the folder that holds all images,
        without suffix, see `unique_names`. A path that is listed twice is returned once.

    Raises:
        DataError: The table is missing, damaged, has no column of paths, or lists no image.
    """
    listed = [text.strip() for text in _column(place) if text and text.strip()]
    if not listed:
        raise DataError(f"{place} must list images, but its column of paths is empty. List one path per row")
    folder = place.rpartition("/")[0] if is_url(place) else Path(place).parent.as_posix()
    full = [path if is_url(path) or Path(path).is_absolute() else f"{folder}/{path}" for path in listed]
    counts = Counter(
        path if is_url(path) else Path(os.path.normpath(Path(path).absolute())).as_posix() for path in full
    )
    texts, twice = list(counts), [text for text, count in counts.items() if count > 1]
    if twice and say is not None:
        say(f"{place} lists {counted(len(twice), 'path')} more than once, such as {twice[0]}. Each is read once.")
    parts = [[part for part in text.split("/") if part not in ("", ".", "..")] for text in texts]
    shared = 0
    while all(len(words) > shared + 1 and words[shared] == parts[0][shared] for words in parts):
        shared += 1
    names = {"/".join(words[shared:]).replace(":", ""): text for words, text in zip(parts, texts, strict=True)}
    if len(names) < len(texts):
        raise DataError(f"{place} lists files that differ by '..' or ':' alone. Write their paths without these")
    places: dict[str, Path | str] = {name: text if is_url(text) else Path(text) for name, text in names.items()}
    return unique_names(without_parts(places))


def _column(place: str) -> Iterable[str]:
    try:
        if place.lower().endswith(".parquet"):
            return _parquet_column(place)
        content = read_remote(place) if is_url(place) else Path(place).read_bytes()
        rows = csv.DictReader(content.decode("utf-8-sig").splitlines())
        column = _path_column(place, list(rows.fieldnames or ()))
        return [row[column] or "" for row in rows]
    except DataError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{place} is not a readable manifest: {error}. Write a table with a column path") from error


def _parquet_column(place: str) -> Iterable[str]:
    import pyarrow as pa
    from pyarrow import parquet

    source = pa.BufferReader(read_remote(place)) if is_url(place) else pa.memory_map(place)
    table = parquet.ParquetFile(source)
    column = _path_column(place, table.schema_arrow.names)
    return [str(value) for value in table.read(columns=[column]).column(0).to_pylist() if value is not None]


def _path_column(place: str, columns: list[str]) -> str:
    lower = {column.strip().lower(): column for column in reversed(columns)}
    for name in COLUMNS:
        if name in lower:
            return lower[name]
    raise DataError(f"{place} must have a column of paths called {', '.join(COLUMNS)}, got {columns}. Rename it")
