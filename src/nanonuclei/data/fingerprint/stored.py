"""The fingerprint of a model: one file in its folder that tells what its training images look like.

`predict`, the page and servers read it; a training writes it. NumPy and SciPy only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from nanonuclei.data.catalog import SampleRef
from nanonuclei.data.fingerprint.likeness import NEIGHBOURS, Features, Likeness, measure
from nanonuclei.data.fingerprint.look import Look, Looks, look_of
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Float32Array, Image
from nanonuclei.writing import write_text

FILE = "fingerprint.json"
"""Name of the file in a model's folder."""

FORMER_FILE = "likeness.json"
"""File of models that were stored with `FILE` in format 1, which held looks alone: their features."""

FORMAT = 2
"""Version of the file; a change that an older program would misread raises it."""

MOST_SAMPLES = 1000
"""Images that are kept; of more, every n-th."""

TRAIN = "train"
COLUMNS = ("split", "field", *Features._fields, *(f"shown_{name}" for name in Look._fields))
"""Of a row of the file: whether the image was trained on or chose the best epoch, its field of view, its measures."""


@dataclass(frozen=True)
class Measured:
    """What is kept of one image.

    Attributes:
        split: ``train``, or ``val`` of an image by which the best epoch was chosen.
        field: Number of the field of view.
        features: Exposure and objects.
        look: What the network is shown of it.
    """

    split: str
    field: int
    features: Features
    look: Look


@dataclass(frozen=True)
class Fingerprint:
    """What the training images of a model look like.

    Attributes:
        dataset: Name of the dataset.
        looks: Of the training images, to compare single images with; empty where the model does not tell.
        likeness: Exposure and objects of training and validation images, to compare many images with; None where the
            model does not tell, or has images of too few fields of view.
    """

    dataset: str
    looks: Looks
    likeness: Likeness | None


def measure_samples(
    samples: Sequence[SampleRef], network_input: Callable[[Image], Float32Array]
) -> tuple[Measured, ...]:
    """Measures the images of a training.

    Args:
        samples: Of the training and validation splits.
        network_input: `Reader.network_input`.
    """
    measured = []
    for sample in samples[:: -(-len(samples) // MOST_SAMPLES) or 1]:
        image, found = sample.image(), scipy.ndimage.find_objects(sample.labels())
        boxes = [(y.start, x.start, y.stop, x.stop) for y, x in filter(None, found)]
        look = look_of(network_input(image))
        measured.append(Measured(sample.split, int(sample.field), measure(image, boxes=boxes), look))
    return tuple(measured)


def fingerprint_of(measured: Sequence[Measured], *, dataset: str) -> Fingerprint:
    """Returns the fingerprint of images that were measured."""
    looks = Looks(tuple(one.look for one in measured if one.split == TRAIN))
    rows = np.array([one.features for one in measured], np.float64).reshape(-1, len(Features._fields))
    return Fingerprint(dataset, looks, _likeness(rows, np.array([one.field for one in measured], np.int64)))


def write_fingerprint(measured: Sequence[Measured], folder: Path, *, dataset: str) -> None:
    """Writes the fingerprint into a model's folder, one line per image.

    Args:
        measured: See `measure_samples`.
        folder: Of the model.
        dataset: Name of the dataset.
    """
    head = {"format": FORMAT, "dataset": dataset, "columns": COLUMNS}
    lines = ",\n".join(
        json.dumps([one.split, one.field, *(_rounded(value) for value in (*one.features, *one.look))])
        for one in measured
    )
    write_text(folder / FILE, f'{json.dumps(head)[:-1]}, "rows": [\n{lines}\n]}}\n')


def read_fingerprint(folder: Path) -> Fingerprint | None:
    """Reads the fingerprint in a model's folder; None where it holds none, or one of a newer format.

    Raises:
        DataError: The file is not valid.
    """
    tree = _read(folder / FILE)
    if tree is None or tree.get("format") == 1:
        return _former(tree, folder)
    if tree.get("format") != FORMAT:
        return None
    try:
        if tuple(tree["columns"]) != COLUMNS:
            raise ValueError(f"its columns are {', '.join(map(str, tree['columns']))}")
        middle = 2 + len(Features._fields)
        measured = [
            Measured(str(row[0]), int(row[1]), Features(*map(float, row[2:middle])), Look(*map(float, row[middle:])))
            for row in tree["rows"]
        ]
        return fingerprint_of(measured, dataset=str(tree["dataset"]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise _broken(folder / FILE, error) from error


def _former(tree: dict[str, Any] | None, folder: Path) -> Fingerprint | None:
    """Returns what a model of format 1 tells, in one file or in two."""
    other = _read(folder / FORMER_FILE)
    if other is not None and other.get("format") != 1:
        other = None
    if tree is None and other is None:
        return None
    path = folder / (FILE if other is None else FORMER_FILE)
    try:
        looks = Looks(tuple(Look(*map(float, look)) for look in (tree or {}).get("looks", ())))
        table = np.array((other or {}).get("rows", ()), np.float64).reshape(-1, 1 + len(Features._fields))
        dataset = str((tree or other or {})["dataset"])
    except (ValueError, KeyError, TypeError) as error:
        raise _broken(path, error) from error
    return Fingerprint(dataset, looks, _likeness(table[:, 1:], table[:, 0].astype(np.int64)))


def _likeness(rows: np.ndarray[tuple[int, int], np.dtype[np.float64]], fields: object) -> Likeness | None:
    kept = np.asarray(fields, np.int64)
    if len(np.unique(kept)) <= NEIGHBOURS or not np.isfinite(rows).all():
        return None
    return Likeness(rows, kept)


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(tree, dict) or "format" not in tree:
            raise ValueError("it tells no format")
    except (OSError, ValueError) as error:
        raise _broken(path, error) from error
    return tree


def _broken(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} must tell how the training images look, but does not: {error}. Restore or remove it")


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
