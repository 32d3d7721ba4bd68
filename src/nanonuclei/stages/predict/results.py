"""Which files the results of one image are, and how those of all images are joined at the end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nanonuclei.imaging.instances import to_run_lengths
from nanonuclei.report.exports.found import Found
from nanonuclei.report.exports.geojson import geojson
from nanonuclei.report.exports.imagej_roi import imagej_rois
from nanonuclei.report.exports.labels import label_file
from nanonuclei.report.exports.overlay import overlay
from nanonuclei.report.exports.readme import readme
from nanonuclei.report.exports.tables import (
    join_csv,
    join_parquet,
    object_table,
    table_of,
    union_of_columns,
)
from nanonuclei.tasks import measure_meanings_of
from nanonuclei.tasks.base import Reader
from nanonuclei.writing import OF_NAME, write_bytes, write_text

OBJECTS, SUBMISSION = "objects", "submission"
"""Folders with a table per image; the joined tables have the same names."""

FOLDERS: Mapping[str, tuple[str, ...]] = {
    OBJECTS: (".csv",),
    SUBMISSION: (".csv",),
    "geojson": (".geojson",),
    "roi": (".zip",),
    "labels": (".png", ".tif"),
    "overlay": (".png",),
}
"""Folders of results, and the suffixes of the files in them."""


@dataclass(frozen=True)
class Results:
    """Writes results into a folder.

    Attributes:
        folder: The folder.
        formats: Of `readme.FORMATS`.
        submission: Whether the competition's file is written.
        layers: Names of `Reader.layers`.
    """

    folder: Path
    formats: Sequence[str]
    submission: bool
    layers: Collection[str] = ()

    def encode(self, found: Found) -> dict[str, bytes]:
        """Returns the files of an image by their paths within the folder; nothing is written."""
        return dict(self._files(found))

    def write(self, name: str, files: Mapping[str, bytes], *, redone: bool) -> None:
        """Writes the files of an image, each under another name first.

        Args:
            name: Of the image.
            files: Of `encode`.
            redone: Whether an earlier call did the image; its other files are removed.

        Raises:
            DataError: The disk is full or the folder cannot be written.
        """
        for path, content in files.items():
            write_bytes(self.folder / path, content)
        if redone:
            self.remove_others(name, files)

    def remove_others(self, name: str, kept: Collection[str]) -> None:
        """Removes the files of an image, but for some, given by their paths within the folder."""
        for folder, suffixes in folders_of(self.layers).items():
            for suffix in suffixes:
                if f"{folder}/{name}{suffix}" not in kept:
                    _remove(self.folder / folder / f"{name}{suffix}")

    def lacking(self, names: Collection[str]) -> set[str]:
        """Returns those of some images whose own tables are gone, so that they cannot be joined any more."""
        folders = [folder for folder, wanted in ((OBJECTS, self.with_tables), (SUBMISSION, self.submission)) if wanted]
        return {
            name for name in names if not all((self.folder / folder / f"{name}.csv").is_file() for folder in folders)
        }

    def remove_joined(self) -> None:
        """Removes tables of all images that no longer tell what the tables of single images do."""
        for name in (f"{OBJECTS}.csv", f"{OBJECTS}.parquet", f"{SUBMISSION}.csv"):
            (self.folder / name).unlink(missing_ok=True)

    def join(self, names: Sequence[str], *, head: Sequence[str], reader: Reader) -> None:
        """Joins the tables of images, and writes README.txt.

        Args:
            names: The images.
            head: Lines on the model and the call.
            reader: Of the model.

        Raises:
            DataError: The disk is full, the folder cannot be written, or the table of an image is damaged.
        """
        columns: list[str] = []
        if self.with_tables:
            parts = [self.folder / OBJECTS / f"{name}.csv" for name in names]
            columns = union_of_columns(parts)
            if "csv" in self.formats:
                join_csv(parts, self.folder / f"{OBJECTS}.csv", columns=columns)
            if "parquet" in self.formats:
                target = self.folder / f"{OBJECTS}.parquet"
                join_parquet(parts, target, columns=columns, kinds=reader.columns)
        if self.submission:
            parts = [self.folder / SUBMISSION / f"{name}.csv" for name in names]
            join_csv(parts, self.folder / f"{SUBMISSION}.csv", columns=("ImageId", "EncodedPixels"))
        measures = measure_meanings_of(reader.config.task)
        text = readme(
            head=head,
            formats=self.formats,
            columns=columns,
            texts=reader.column_texts,
            measures=measures,
            layers=reader.layers,
        )
        write_text(self.folder / "README.txt", text)

    @property
    def with_tables(self) -> bool:
        """Whether objects are told in tables."""
        return "csv" in self.formats or "parquet" in self.formats

    def _files(self, found: Found) -> Iterator[tuple[str, bytes]]:
        name, labels = found.name, found.instances.pixels()
        if self.with_tables:
            yield f"{OBJECTS}/{name}.csv", object_table(found).encode()
        if self.submission:
            rows = [(name, text) for text in to_run_lengths(found.instances) or [""]]
            yield f"{SUBMISSION}/{name}.csv", table_of([("ImageId", "EncodedPixels"), *rows]).encode()
        outlines: dict[str, Callable[[Found], bytes]] = {"geojson": geojson, "roi": imagej_rois}
        for folder, lay_out in outlines.items():
            if folder in self.formats:
                yield f"{folder}/{name}{FOLDERS[folder][0]}", lay_out(found)
        if "labels" in self.formats:
            for folder, shown in {"labels": labels, **found.layers}.items():
                suffix, content = label_file(shown, pixel_size=found.pixel_size)
                yield f"{folder}/{name}{suffix}", content
        if "overlay" in self.formats:
            yield f"overlay/{name}.png", overlay(found.image, labels, found.layers.values())


def folders_of(layers: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Returns `FOLDERS` with those of the layers of a task."""
    return {**FOLDERS, **dict.fromkeys(layers, FOLDERS["labels"])}


def _remove(path: Path) -> None:
    """Removes a file that may be there, or may not as its name is too long or a folder's."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        if error.errno not in OF_NAME:
            raise
