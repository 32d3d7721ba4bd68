"""The fingerprint of a model's training images: how their measures are distributed, and which images look unlike them.

A model's folder holds it as `FILE`. What an image measures does not depend on how an object is called: exposure, what
the network is shown, and sizes. NumPy only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.catalog import SampleRef
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Float32Array, Image
from nanonuclei.writing import write_text

FILE = "fingerprint.json"
"""Name of the file in a model's folder."""

FORMAT = 1
"""Version of the file; a change that an older program would misread raises it."""

PERCENTILES = (0, 1, *range(5, 100, 5), 99, 100)
"""Of each measure, over the training images."""

EXPOSURE = {
    "low": "darkest grey values",
    "middle": "median grey value",
    "high": "brightest grey values",
}
"""1st, 50th and 99th percentile of the grey values, as shares of the largest value of the image's type, 0 to 1; NaN for
floats. The network does not see them: its input is scaled. They tell a lamp, camera or exposure that was changed."""

LOOK = {
    "background": "background",
    "colour": "colour",
    "detail": "fine detail or noise",
}
"""What the network is shown, whatever the exposure, as shares of its range: the median, from 0 the darkest to 1 the
brightest; the 98th percentile of the brightest channel less the darkest; the mean step between neighbouring pixels."""

SIZES = {
    "height": "height, px",
    "width": "width, px",
    "num_objects": "number of objects",
    "diameter": "median diameter of the objects, px",
    "covered": "share of the image that objects cover",
}
"""Of the image, and of the marked or found objects."""

NAMES = {**EXPOSURE, **LOOK, **SIZES}
"""Every measure, with what people call it."""

MOST_SAMPLES = 500
"""Training images that are measured; of more, every n-th."""

FAR = 0.2
"""Distance to the nearest training image from which an image looks unlike them, see `Fingerprint.distance`.

Model that comes along: of the 199 validation and test images of the Data Science Bowl 2018 none is as far; of 80
images of neurites in transmitted light all are, of 27 published panels of stained membranes 23.
"""

OCTAVES = 12.0
"""Octaves of fine detail that weigh as much as the way from a dark to a bright background."""

MOST_PIXELS = 2**18
"""Grey values that are looked at; of a larger image every n-th row and column."""

CROP = 512
"""px; fine detail is measured in the middle of a larger image."""


@dataclass(frozen=True)
class Fingerprint:
    """How the measures of training images are distributed.

    Attributes:
        dataset: Name of the dataset.
        num_images: Images that were measured.
        measures: Measure to its values at `PERCENTILES`; a measure that no image has is not there.
        looks: `LOOK` of each image. Images of several kinds leave gaps within the range of a measure.
    """

    dataset: str
    num_images: int
    measures: Mapping[str, tuple[float, ...]]
    looks: tuple[tuple[float, ...], ...]

    def rank(self, name: str, value: float) -> float:
        """Returns the share of the training images whose measure is smaller, 0 to 1; NaN where it is not known."""
        if name not in self.measures or not math.isfinite(value):
            return math.nan
        return float(np.interp(value, self.measures[name], np.array(PERCENTILES) / 100.0))

    def distance(self, measures: Mapping[str, float]) -> float:
        """Returns how far the look of an image is from that of the nearest training image.

        Args:
            measures: Of the image; at least those of `LOOK`.

        Returns:
            0 for equal looks; about 1 from a dark to a bright background. NaN without training images.
        """
        if not self.looks:
            return math.nan
        apart = _scaled(np.array(self.looks)) - _scaled(np.array([[measures[name] for name in LOOK]]))
        return float(np.sqrt((apart**2).sum(axis=1)).min())

    def unlike(self, measures: Mapping[str, float]) -> str:
        """Tells in what an image looks unlike every training image.

        Args:
            measures: Of the image; at least those of `LOOK`.

        Returns:
            The measure in which it differs most from the nearest training image, with both values, such as
            ``background 0.51, in the nearest training image 0.18``; empty where it looks like one.
        """
        if not self.distance(measures) > FAR:
            return ""
        apart = _scaled(np.array(self.looks)) - _scaled(np.array([[measures[name] for name in LOOK]]))
        nearest = int((apart**2).sum(axis=1).argmin())
        place = int(np.abs(apart[nearest]).argmax())
        name = tuple(LOOK)[place]
        return f"{LOOK[name]} {measures[name]:.2g}, in the nearest training image {self.looks[nearest][place]:.2g}"


def image_measures(image: Image, shown: Float32Array) -> dict[str, float]:
    """Measures an image; a few milliseconds, however large it is.

    Args:
        image: ``(height, width)`` or ``(height, width, channel)``, as it was read.
        shown: ``(height, width, channel)``: the same as the network is shown it, by `Reader.network_input`.

    Returns:
        `EXPOSURE`, `LOOK`, height and width, by name.
    """
    height, width = image.shape[:2]
    largest = float(np.iinfo(image.dtype).max) if image.dtype.kind == "u" else math.nan
    low, middle, high = (np.percentile(_thinned(image), (1, 50, 99)) / largest).tolist()
    top, left = max(0, (height - CROP) // 2), max(0, (width - CROP) // 2)
    thinned = _thinned(shown)
    light = _mean(thinned)
    middle_part = np.s_[top : top + CROP, left : left + CROP]
    grey = light[middle_part] if thinned.shape == shown.shape else _mean(shown[middle_part])
    brightest, darkest = _over_channels(np.maximum, thinned), _over_channels(np.minimum, thinned)
    dark, background, bright = np.percentile(light, (0.1, 50, 99.9)).tolist()
    contrast = max(bright - dark, 1e-6)
    spread = float(brightest.max() - darkest.min())
    colour = np.percentile(brightest - darkest, 98) / max(spread, 1e-6)
    steps = [float(np.abs(np.diff(grey, axis=axis)).mean()) if grey.shape[axis] > 1 else 0.0 for axis in (0, 1)]
    return {
        "low": low,
        "middle": middle,
        "high": high,
        "background": (background - dark) / contrast,
        "colour": float(colour),
        "detail": sum(steps) / 2.0 / contrast,
        "height": float(height),
        "width": float(width),
    }


def object_measures(areas: Sequence[float] | NDArray[np.number], shape: tuple[int, int]) -> dict[str, float]:
    """Measures the objects of an image.

    Args:
        areas: Of each object, px^2.
        shape: Height and width of the image.

    Returns:
        Number, median diameter of the circles of the same areas (px; NaN without objects), and covered share.
    """
    sizes = np.asarray(areas, np.float64)
    diameter = float(np.median(np.sqrt(4.0 / math.pi * sizes))) if sizes.size else math.nan
    covered = float(sizes.sum()) / max(1, shape[0] * shape[1])
    return {"num_objects": float(sizes.size), "diameter": diameter, "covered": covered}


def sample_measures(sample: SampleRef, network_input: Callable[[Image], Float32Array]) -> dict[str, float]:
    """Measures a prepared image and its marked objects."""
    image = sample.image()
    areas = np.bincount(sample.labels().ravel())[1:]
    own = object_measures(areas[areas > 0], image.shape[:2])
    return {**image_measures(image, network_input(image)), **own}


def measure_samples(
    samples: Sequence[SampleRef], network_input: Callable[[Image], Float32Array], *, dataset: str
) -> Fingerprint:
    """Returns the fingerprint of the images of a training.

    Args:
        samples: Of the training split.
        network_input: `Reader.network_input`.
        dataset: Name of the dataset.
    """
    step = -(-len(samples) // MOST_SAMPLES) or 1
    rows = [sample_measures(sample, network_input) for sample in samples[::step]]
    return fingerprint_of(rows, dataset=dataset)


def fingerprint_of(rows: Sequence[Mapping[str, float]], *, dataset: str) -> Fingerprint:
    """Returns the fingerprint of images that were measured, one row each."""
    measures = {}
    for name in NAMES:
        values = np.array([row.get(name, math.nan) for row in rows], np.float64)
        values = values[np.isfinite(values)]
        if values.size:
            measures[name] = tuple(_rounded(value) for value in np.percentile(values, PERCENTILES))
    looks = tuple(tuple(_rounded(row[name]) for name in LOOK) for row in rows)
    return Fingerprint(dataset, len(rows), measures, looks)


def write_fingerprint(fingerprint: Fingerprint, folder: Path) -> None:
    """Writes the fingerprint into a model's folder."""
    tree = {
        "format": FORMAT,
        "dataset": fingerprint.dataset,
        "num_images": fingerprint.num_images,
        "percentiles": PERCENTILES,
        "measures": fingerprint.measures,
        "looks": fingerprint.looks,
    }
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in tree.items())
    write_text(folder / FILE, f"{{\n{lines}\n}}\n")


def read_fingerprint(folder: Path) -> Fingerprint | None:
    """Reads the fingerprint in a model's folder; None where it holds none, or one of another format.

    Raises:
        DataError: The file is not valid.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        if tree["format"] != FORMAT or tuple(tree["percentiles"]) != PERCENTILES:
            return None
        measures = {str(name): tuple(map(float, values)) for name, values in tree["measures"].items()}
        if any(len(values) != len(PERCENTILES) for values in measures.values()):
            raise ValueError("a measure lacks percentiles")
        looks = tuple(tuple(map(float, look)) for look in tree["looks"])
        if any(len(look) != len(LOOK) for look in looks):
            raise ValueError("a look lacks measures")
        return Fingerprint(str(tree["dataset"]), int(tree["num_images"]), measures, looks)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} must tell how the training images look, but cannot be read: {error}. Restore it, or remove it"
        ) from error


def _scaled(looks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns looks ``(n, 3)`` in the units of a distance."""
    return np.column_stack([looks[:, :2], np.log2(np.maximum(looks[:, 2], 1e-4)) / OCTAVES])


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _mean(image: Float32Array) -> Float32Array:
    """Returns the mean over the channels; NumPy's own takes five times as long for three of them."""
    return np.asarray(_over_channels(np.add, image) / np.float32(image.shape[2]), np.float32)


def _over_channels(what: np.ufunc, image: Float32Array) -> Float32Array:
    """Returns ``what.reduce(image, axis=2)``, a channel at a time."""
    result = image[..., 0]
    for channel in range(1, image.shape[2]):
        result = what(result, image[..., channel])
    return result


def _thinned(image: Image | Float32Array) -> Image | Float32Array:
    step = max(1, math.isqrt(image.shape[0] * image.shape[1] // MOST_PIXELS))
    return image[::step, ::step]
