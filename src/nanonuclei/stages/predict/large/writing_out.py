"""The results of a large image: its objects are measured window by window and written as they come."""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.types import Box, Int32Array
from nanonuclei.report.exports.found import Found, Light, describe
from nanonuclei.report.exports.geojson import features
from nanonuclei.report.exports.imagej_roi import add_rois
from nanonuclei.report.exports.labels import write_large_labels
from nanonuclei.report.exports.measures import Frame
from nanonuclei.report.exports.overlay import overlay
from nanonuclei.report.exports.tables import object_table
from nanonuclei.stages.predict.large.finding import LargeObjects
from nanonuclei.stages.predict.large.windows import Windows
from nanonuclei.stages.predict.results import OBJECTS, Results
from nanonuclei.tasks.base import Reader
from nanonuclei.tasks.values import Objects
from nanonuclei.writing import whole_file, write_bytes

OVERLAY = 4096
"""Longer side of an overlay at most, px: larger images are drawn smaller."""

MOST_PIXELS = 2**26
"""px of the largest box of an object that is measured."""


@dataclass(frozen=True)
class LargeResults:
    """Writes the results of one large image.

    Attributes:
        name: Of the image.
        windows: The image.
        objects: Its objects.
        reader: Of the task.
        pixel_size: Side of a pixel, micrometres; None where it is not known.
    """

    name: str
    windows: Windows
    objects: LargeObjects
    reader: Reader
    pixel_size: float | None

    def write(self, results: Results) -> tuple[list[str], NDArray[np.int64]]:
        """Writes the files of the image, each under another name until all of it is there.

        Args:
            results: Where to, and which formats.

        Returns:
            Paths of the files within the folder, and the areas of the objects, px.

        Raises:
            DataError: The image is damaged, the disk is full or the folder cannot be written.
        """
        paths, areas = [], []
        with contextlib.ExitStack() as stack:

            def partial(folder: str, suffix: str) -> Path:
                paths.append(f"{folder}/{self.name}{suffix}")
                return stack.enter_context(whole_file(results.folder / paths[-1]))

            table = shapes = regions = None
            if results.with_tables:
                table = stack.enter_context(partial(OBJECTS, ".csv").open("w", encoding="utf-8", newline=""))
            if "geojson" in results.formats:
                shapes = stack.enter_context(partial("geojson", ".geojson").open("w", encoding="utf-8"))
                shapes.write('{"type": "FeatureCollection", "features": [')
            if "roi" in results.formats:
                regions = zipfile.ZipFile(partial("roi", ".zip"), "w", zipfile.ZIP_DEFLATED)
                stack.enter_context(regions)
            first = True
            for found in self._found():
                areas += list(found.columns["area"])
                if table:
                    table.write(object_table(found, head=first))
                if shapes:
                    for feature in features(found):
                        before = "" if shapes.tell() < 50 else ", "
                        shapes.write(before + json.dumps(feature, allow_nan=False, ensure_ascii=False))
                if regions:
                    add_rois(regions, found)
                first = False
            if shapes:
                shapes.write("]}\n")
            if "labels" in results.formats:
                for folder, read in {"labels": self.objects.found.read, **self.objects.found.layers}.items():
                    self._write_labels(partial(folder, ".tif"), read)
        if "overlay" in results.formats:
            paths.append(f"overlay/{self.name}.png")
            write_bytes(results.folder / paths[-1], self._overlay())
        return paths, np.array(areas, np.int64)

    def _found(self) -> Iterator[Found]:
        """Yields the objects of each core, measured; one result without objects where there are none."""
        boxes, step = self.objects.found.boxes, self.objects.grid.step
        if not len(boxes):
            yield self._measured((0, 0, 1, 1), range(0))
            return
        owners = boxes[:, 0] // step * (self.windows.shape[1] // step + 1) + boxes[:, 1] // step
        starts = np.flatnonzero(np.diff(owners, prepend=-1))
        side = self.objects.grid.side
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(boxes)], strict=True):
            near = (boxes[start:end, 2:].max(axis=0) - boxes[start:end, :2].min(axis=0)).max() <= side
            for part in [range(start, end)] if near else [range(place, place + 1) for place in range(start, end)]:
                own = boxes[part.start : part.stop]
                yield self._measured((*own[:, :2].min(axis=0).tolist(), *own[:, 2:].max(axis=0).tolist()), part)

    def _measured(self, box: Sequence[int], part: range) -> Found:
        """Measures objects, given by their places, all of which lie in a window."""
        y0, x0, y1, x1 = box
        here: Box = (y0, x0, y1, x1)
        found = self.objects.found
        boxes = found.boxes[part.start : part.stop] - np.array([y0, x0, y0, x0])
        labels = np.zeros((1, 1), np.int32)
        if len(part) and (y1 - y0) * (x1 - x0) <= MOST_PIXELS:
            labels = found.read(here)
            labels = np.where((labels > part.start) & (labels <= part.stop), labels - part.start, 0).astype(np.int32)
        else:
            here = (y0, x0, y0 + 1, x0 + 1)
        instances = Instances(boxes.astype(np.int32), found.scores[part.start : part.stop], labels)
        frame = Frame(y0, x0, self.windows.shape, part.start + 1)
        channels = self.windows.channels(here)
        light = Light(channels[0], channels, self.windows.channel_names, self.pixel_size)
        objects = Objects(instances, found.rows[part.start : part.stop])
        return describe(self.name, objects, light, reader=self.reader, frame=frame)

    def _write_labels(self, path: Path, read: Callable[[Box], Int32Array]) -> None:
        width = self.windows.shape[1]
        write_large_labels(
            path,
            lambda y0, y1: read((y0, 0, y1, width)),
            shape=self.windows.shape,
            pixel_size=self.pixel_size,
        )

    def _overlay(self) -> bytes:
        """Draws every n-th row and column of the image with its outlines."""
        step = max(1, -(-max(self.windows.shape) // OVERLAY))
        images = []
        reads = [self.objects.found.read, *self.objects.found.layers.values()]
        labels: list[list[Int32Array]] = [[] for _ in reads]
        for row in self.objects.grid.rows():
            cores = [tile.core for tile in row]
            images.append(np.concatenate([_thinned(self.windows.image(core), core, step) for core in cores], axis=1))
            for rows, read in zip(labels, reads, strict=True):
                rows.append(np.concatenate([_thinned(read(core), core, step) for core in cores], axis=1))
        shown, *layers = (np.concatenate(rows) for rows in labels)
        return overlay(np.concatenate(images), shown, layers)


def _thinned(values: NDArray[np.generic], core: Box, step: int) -> NDArray[np.generic]:
    return values[-core[0] % step :: step, -core[1] % step :: step].copy()
