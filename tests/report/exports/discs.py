"""Objects whose figures are known: a square, a ring with a hole, two squares that touch at a corner, and a disc."""

from __future__ import annotations

import numpy as np

from nanonuclei.imaging.instances import Instances, from_labels
from nanonuclei.report.exports.found import Found, Light, describe
from nanonuclei.tasks.values import Noun, Objects


class PlainReader:
    """What `describe` asks of a reader."""

    noun = Noun("disc", "discs")
    table_columns = ("area", "score", "length")
    column_texts = {"length": ("length of something", "px")}


def drawn() -> Instances:
    """The objects on 60 x 80 px."""
    labels = np.zeros((60, 80), np.int32)
    labels[0:10, 5:15] = 1
    labels[20:31, 20:31] = 2
    labels[24:27, 24:27] = 0
    labels[40:44, 40:44] = labels[44:48, 44:48] = 3
    y, x = np.mgrid[:60, :80]
    labels[(y - 30) ** 2 + (x - 60) ** 2 <= 8**2] = 4
    return from_labels(labels, np.full(labels.shape, 0.75, np.float32))


def found(*, pixel_size: float | None = None, name: str = "A01/01", instances: Instances | None = None) -> Found:
    """The objects with all figures; one channel is bright, the other holds the number of the row."""
    instances = drawn() if instances is None else instances
    shape = instances.pixels().shape
    image = np.where(instances.pixels() > 0, 200, 20).astype(np.uint8)
    rows = np.repeat(np.arange(shape[0], dtype=np.float32)[:, None], shape[1], axis=1)
    channels = np.stack([image.astype(np.float32), rows])
    objects = Objects(instances, [{"length": 2.0, "area": 0, "score": 0.0}] * len(instances))
    light = Light(image, channels, ("DAPI", ""), pixel_size)
    return describe(name, objects, light, reader=PlainReader())  # type: ignore[arg-type]
