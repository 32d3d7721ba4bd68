"""Tables of objects: one per image, joined at the end to one for all, as CSV and Parquet."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nanonuclei.errors import DataError
from nanonuclei.report.exports.found import LINE, Found
from nanonuclei.writing import whole_file

IMAGE = "image"
"""Column that joins objects to images: the path of the image within the input, without suffix. Always text."""

KINDS = {
    IMAGE: "string",
    LINE: "string",
    "touches_border": "boolean",
    **dict.fromkeys(("label", "y0", "x0", "y1", "x1", "area"), "long"),
}
"""Type of a column, by the words of `Reader.columns`; any other column holds floats, unless the task says so."""

MOST_ROWS = 50_000
"""Rows of joined tables that are held in memory at a time."""


def object_table(found: Found, *, head: bool = True) -> str:
    """Returns the objects of an image as CSV, one row each, with a head unless that is left out."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    if head:
        writer.writerow([IMAGE, *found.columns])
    if len(found.instances):
        columns = map(_cells, found.columns.values())
        writer.writerows((found.name, *row) for row in zip(*columns, strict=True))
    return table.getvalue()


def table_of(rows: Iterable[Sequence[str]]) -> str:
    """Returns rows as CSV, in quotes where a cell needs them."""
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(rows)
    return table.getvalue()


def cell(value: Any) -> str:
    """Returns a value as a table holds it: four decimals, six digits below 1, nothing where it is not known."""
    if isinstance(value, bool | str | int):
        return str(value)
    if value is None or math.isnan(value):
        return ""
    return str(round(value, 4)) if abs(value) >= 1 else f"{value:.6g}"


def _cells(values: Sequence[Any]) -> list[str]:
    """Returns a column as `cell` writes it; a column of floats in one go, as tables hold many."""
    if values and all(type(value) is float for value in values):
        return [
            ("" if value != value else f"{value:.6g}") if not abs(value) >= 1 else str(round(value, 4))
            for value in values
        ]
    return [cell(value) for value in values]


def union_of_columns(parts: Iterable[Path]) -> list[str]:
    """Returns all columns of tables of objects; those that only some have come last."""
    columns: dict[str, None] = {}
    seen = set()
    for part in parts:
        with _reading(part), part.open(encoding="utf-8", newline="") as file:
            line = file.readline()
            if line not in seen:
                seen.add(line)
                columns |= dict.fromkeys(next(csv.reader([line])))
    return list(columns)


def join_csv(parts: Sequence[Path], output: Path, *, columns: Sequence[str]) -> int:
    """Joins tables to one; no more than `MOST_ROWS` rows are in memory at a time.

    Returns:
        The number of rows.

    Raises:
        DataError: The disk is full or the folder cannot be written.
    """
    number = 0
    with whole_file(output) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for rows in _rows(parts, columns):
            writer.writerows(rows)
            number += len(rows)
    return number


def join_parquet(parts: Sequence[Path], output: Path, *, columns: Sequence[str], kinds: Mapping[str, str]) -> None:
    """Joins tables to one Parquet file.

    Args:
        parts: Tables of `object_table`.
        output: The file.
        columns: Of all tables.
        kinds: Types of columns of the task, as `Reader.columns` has them.

    Raises:
        DataError: The disk is full or the folder cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    types = {"string": pa.string(), "boolean": pa.bool_(), "long": pa.int64(), "double": pa.float64()}
    read: dict[str, Callable[[str], Any]] = {
        "string": str,
        "boolean": lambda text: text == "True",
        "long": int,
        "double": float,
    }
    known = {**kinds, **KINDS}
    found = [known.get(column, "double") for column in columns]
    schema = pa.schema([(column, types[kind]) for column, kind in zip(columns, found, strict=True)])
    with whole_file(output) as partial, parquet.ParquetWriter(partial, schema) as writer:
        for rows in _batches(_rows(parts, columns)):
            arrays = [
                pa.array([read[kind](text) if text else None for text in values], types[kind])
                for kind, values in zip(found, zip(*rows, strict=True), strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _rows(parts: Iterable[Path], columns: Sequence[str]) -> Iterator[list[list[str]]]:
    """Yields the rows of each table, with all columns; those of a long table in several lists."""
    for part in parts:
        with _reading(part), part.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            head = next(reader)
            places = [head.index(column) if column in head else None for column in columns]
            while rows := list(itertools.islice(reader, MOST_ROWS)):
                if head != list(columns):
                    rows = [["" if place is None else row[place] for place in places] for row in rows]
                yield rows


@contextlib.contextmanager
def _reading(part: Path) -> Iterator[None]:
    """Tells a table that is gone or damaged, such as one that another program has changed."""
    try:
        yield
    except (OSError, ValueError, IndexError, StopIteration, csv.Error) as error:
        raise DataError(
            f"{part} must hold the objects of an image, but is gone or damaged ({type(error).__name__}). Remove it, "
            "and go on as after a call that was cut off: its image is done again"
        ) from error


def _batches(tables: Iterable[list[list[str]]]) -> Iterator[list[list[str]]]:
    batch: list[list[str]] = []
    for rows in tables:
        batch += rows
        if len(batch) >= MOST_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch
