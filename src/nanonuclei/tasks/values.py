"""What a task gives and takes: objects, assessments, reports, and what else is more than a number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nanonuclei.config.params import Scalar
from nanonuclei.counted import counted
from nanonuclei.data.catalog import SampleRef
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.types import Float32Array, Image, Int32Array

if TYPE_CHECKING:
    import pandas as pd

Statistics = dict[str, float]
"""Figures of one image that may be added over images: counts, sums, and `images` = 1."""

MapsOf = Callable[[Sequence[SampleRef]], Iterator[Float32Array]]
"""From samples to their score maps, in order."""

IDENTITY = ("sample_id", "modality", "field", "height", "width")
"""Columns of `Report.per_image` that are no statistics."""

BOX = {"y0": "long", "x0": "long", "y1": "long", "x1": "long"}
"""Columns of a box in px, half open, and their types."""

EXPORT_SHAPES = ((1, 64, 128, 3), (2, 128, 64, 3))
"""Shapes of random images on which an exported network is compared with Keras."""


@dataclass(frozen=True)
class Noun:
    """What the objects of a task are called."""

    one: str
    many: str

    def count(self, number: int) -> str:
        """Returns a number with the noun, such as ``1 nucleus`` or ``2,300 nuclei``."""
        return counted(number, self.one, self.many)


@dataclass(frozen=True)
class Objects:
    """The objects of one image.

    Attributes:
        instances: Boxes, scores and label map.
        rows: One row per object, in the same order: at least `Reader.columns` and `Reader.table_columns`.
        measures: Numbers of the whole image beside the count of objects, such as the number of cells.
        layers: Label images of what else was found, one for each of `Reader.layers`, ``(height, width)``.
    """

    instances: Instances
    rows: Sequence[Mapping[str, Any]]
    measures: Mapping[str, float] = field(default_factory=dict)
    layers: Mapping[str, Int32Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Timing:
    """One call of a network that is typical of a full image.

    Attributes:
        network: What is called, with all views of a window.
        side: Side of the square that it is called with, px.
        settled: Side of the part of it that one call answers for, px.
    """

    network: Network
    side: int
    settled: int


@dataclass(frozen=True)
class Assessment:
    """One image scored.

    Attributes:
        statistics: What it adds to the score.
        objects: One row per found object: at least ``score`` and ``matched``.
    """

    statistics: Statistics
    objects: pd.DataFrame


@dataclass(frozen=True)
class Decided:
    """Settings that a config left open, as they are best on validation images.

    Attributes:
        settings: Dotted path to value.
        metrics: What is logged of the choice, by name.
        tried: One row per combination that was tried; None where no table is kept.
        sentence: What the user is told; empty for nothing.
    """

    settings: Mapping[str, Scalar]
    metrics: Mapping[str, float] = field(default_factory=dict)
    tried: pd.DataFrame | None = None
    sentence: str = ""


@dataclass(frozen=True)
class Report:
    """The score of one model on one split.

    Attributes:
        metrics: Such as ``ap50_pooled`` and ``fluorescence/ap50_pooled``.
        intervals: Columns ``group, metric, value, low, high``: 95 % bootstrap intervals over fields of view.
        per_image: One row per image: who it is and its statistics.
        objects: One row per found object, surest first: ``sample_id, modality, score, matched`` (1 if it has a true
            object of its own), and what else the task tells of it.
        seconds: Wall time of the whole.
        network_seconds: Wall time within the network.
    """

    metrics: dict[str, float]
    intervals: pd.DataFrame
    per_image: pd.DataFrame
    objects: pd.DataFrame
    seconds: float
    network_seconds: float

    def groups(self) -> list[str]:
        """Returns the modalities, sorted."""
        return sorted(self.per_image["modality"].unique())

    def flat(self, split: str) -> dict[str, float]:
        """Returns metrics and interval ends by their logged names, such as ``test/iou`` and ``test/iou_low``."""
        named = {f"{split}/{name}": value for name, value in self.metrics.items()}
        for row in self.intervals.to_dict("records"):
            if row["group"] == "all" and np.isfinite(row["low"]):
                named[f"{split}/{row['metric']}_low"] = float(row["low"])
                named[f"{split}/{row['metric']}_high"] = float(row["high"])
        return named


@dataclass(frozen=True)
class Control:
    """How a person changes a parameter of `Reader.parameters` on a page.

    Attributes:
        text: What it is called there, in a word or two.
        meaning: What changing it does, one sentence.
        unit: Such as ``px``; empty where it has none.
        low: Left end of the slider.
        high: Right end.
        step: Between two places of the slider.
        words: Values that are no numbers, by what people call them; without a slider where `high` is not above `low`.
    """

    text: str
    meaning: str
    unit: str = ""
    low: float = 0.0
    high: float = 0.0
    step: float = 1.0
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """A number of a whole image, of `Objects.measures`.

    Attributes:
        text: What people call it, in a few words.
        meaning: What it is, as a table's reader is told.
    """

    text: str
    meaning: str


@dataclass(frozen=True)
class Look:
    """What a model sees in an image that a person is going to annotate.

    Attributes:
        scores: ``(height, width)`` float32 in 0..1.
        boxes: ``(n, 4)`` y0, x0, y1, x1, px.
        box_scores: ``(n,)`` in 0..1.
    """

    scores: Float32Array
    boxes: Float32Array
    box_scores: Float32Array


@dataclass(frozen=True)
class Looking:
    """A model that looks at images which a person is going to annotate.

    Attributes:
        model: Its name.
        threshold: Score from which a place counts as positive; places near it are the least sure.
        look: From an image to what the model sees in it.
    """

    model: str
    threshold: float
    look: Callable[[Image], Look]
