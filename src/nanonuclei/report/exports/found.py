"""The objects of one image with all that is told of them: what every format is written from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.types import Image, Int32Array
from nanonuclei.report.exports.measures import Frame, intensities, measure
from nanonuclei.tasks.base import Reader
from nanonuclei.tasks.values import Objects

LINE = "line"
"""Column of a task whose objects are lines: JSON text ``[[x, y], ...]``, middles of pixels at whole numbers, px."""

LENGTHS = ("centroid_y", "centroid_x", "equivalent_diameter", "perimeter")
"""Columns in px that are told in micrometres too; ``area`` becomes ``area_um2``, columns of a task by their unit."""


@dataclass(frozen=True)
class Found:
    """The objects of one image.

    Attributes:
        name: Of the image: its path within the input, without suffix.
        noun: What an object is called.
        image: What the network saw, ``(height, width)`` or ``(height, width, 3)``.
        instances: Boxes, scores and labels.
        columns: Figures of the objects, by column, one per object, in the order of tables.
        pixel_size: Side of a pixel, micrometres; None where it is not known.
        frame: Where `image` lies, if it is a window of a large image; figures are told in the large one.
        layers: See `Objects.layers`.
    """

    name: str
    noun: str
    image: Image
    instances: Instances
    columns: Mapping[str, Sequence[Any]]
    pixel_size: float | None
    frame: Frame | None = None
    layers: Mapping[str, Int32Array] = field(default_factory=dict)

    def measurements(self) -> list[dict[str, float]]:
        """Returns the numbers of each object by their columns, without those that are not known."""
        numbers = {name: values for name, values in self.columns.items() if not (values and isinstance(values[0], str))}
        return [
            {
                name: float(values[place])
                for name, values in numbers.items()
                if values[place] is not None and np.isfinite(values[place])
            }
            for place in range(len(self.instances))
        ]

    def lines(self) -> list[list[list[float]]] | None:
        """Returns the points x, y of each object that is a line, px, the first pixel's corner being 0, 0; else None."""
        if LINE not in self.columns:
            return None
        return [[[x + 0.5, y + 0.5] for x, y in json.loads(text)] for text in self.columns[LINE]]


@dataclass(frozen=True)
class Light:
    """What an image tells beside what the network saw.

    Attributes:
        image: What the network saw.
        channels: ``(channel, height, width)``, the numbers of the file.
        names: One per channel, empty where it has none.
        pixel_size: Side of a pixel, micrometres; None where it is not known.
    """

    image: Image
    channels: NDArray[Any]
    names: Sequence[str]
    pixel_size: float | None


def describe(name: str, objects: Objects, light: Light, *, reader: Reader, frame: Frame | None = None) -> Found:
    """Measures the objects of an image.

    Args:
        name: Of the image.
        objects: What the task read off the score map.
        light: The image.
        reader: Tells which columns of its own the task has.
        frame: Where the image lies in a larger one.

    Raises:
        DataError: The objects are boxes only.
    """
    instances = objects.instances
    figures = measure(instances, frame)
    lengths = [*LENGTHS]
    for column in reader.table_columns:
        if column not in figures:
            figures[column] = np.array([row[column] for row in objects.rows], None if objects.rows else np.float64)
            if reader.column_texts.get(column, ("", ""))[1] == "px":
                lengths.append(column)
    if light.pixel_size is not None:
        figures["area_um2"] = figures["area"] * light.pixel_size**2
        figures |= {f"{column}_um": figures[column] * light.pixel_size for column in lengths}
    figures |= intensities(instances.pixels(), light.channels, light.names, number=len(instances))
    columns = {column: values.tolist() for column, values in figures.items()}
    noun, size = reader.noun.one, light.pixel_size
    return Found(name, noun, light.image, instances, columns, size, frame, objects.layers)
