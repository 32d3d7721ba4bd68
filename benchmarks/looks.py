"""Groups images by how they look, by a fixed rule: modality, size of the nuclei, and how bright most nuclei are.

* **Size**: equivalent diameter of the median nucleus, px, cut at `SIZES`.
* **Brightness**: how far the median nucleus stands from the background, as a share of the image's range (percentiles 1
  to 99.8, which become 0 and 1 for the network), cut at `DIM`. Below it, most nuclei are dim beside few bright ones.

All tiles of a field of view have one look: both measures are the medians over the tiles. The bounds lie where the sizes
of the Data Science Bowl's sources part, and near the middle of the brightness of its fluorescence images.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pandas as pd

from nanonuclei.data.catalog import SampleRef
from nanonuclei.imaging.types import Image, Labels

SIZES = {"tiny": 13.0, "small": 20.0, "medium": 32.0, "large": np.inf}
"""Name of each size and the diameter that it stays below, px."""
DIM = 0.45
"""Brightness of the median nucleus from which on a look is called bright."""
EMPTY = "empty"
"""Size of an image without nuclei."""


class Appearance(NamedTuple):
    """What of one image decides its look; NaN where it has no nucleus.

    Attributes:
        diameter: Of a disc with the area of the median nucleus, px.
        brightness: Distance of the median nucleus to the median background, a share of the image's range.
    """

    diameter: float
    brightness: float


def appearance(image: Image, labels: Labels) -> Appearance:
    """Measures one image; colours count with their mean."""
    areas = np.bincount(labels.ravel())[1:]
    present = areas > 0
    if not present.any():
        return Appearance(float("nan"), float("nan"))
    grey = image.astype(np.float64) if image.ndim == 2 else image.mean(axis=2)
    sums = np.bincount(labels.ravel(), weights=grey.ravel())[1:]
    nucleus = float(np.median(sums[present] / areas[present]))
    free = labels == 0
    background = float(np.median(grey[free])) if free.any() else float(grey.min())
    low, high = np.percentile(grey, (1.0, 99.8))
    diameter = 2.0 * float(np.sqrt(np.median(areas[present]) / np.pi))
    return Appearance(diameter, abs(nucleus - background) / max(float(high - low), 1.0))


def look_name(modality: str, seen: Appearance) -> str:
    """Returns the name of a look, such as ``fluorescence-small-dim``."""
    if np.isnan(seen.diameter):
        return f"{modality}-{EMPTY}"
    size = next(name for name, bound in SIZES.items() if seen.diameter < bound)
    return f"{modality}-{size}-{'bright' if seen.brightness >= DIM else 'dim'}"


def looks(samples: Sequence[SampleRef]) -> dict[str, str]:
    """Returns the look of every sample by its id; all samples of a field of view have the same."""
    with ThreadPoolExecutor(2, thread_name_prefix="looks") as threads:
        seen = list(threads.map(lambda sample: appearance(sample.image(), sample.labels()), samples))
    table = pd.DataFrame(seen).assign(
        sample_id=[sample.sample_id for sample in samples],
        field=[sample.field for sample in samples],
        modality=[sample.modality for sample in samples],
    )
    fields = table.groupby("field").agg(
        diameter=("diameter", "median"),
        brightness=("brightness", "median"),
        modality=("modality", lambda column: column.mode().iloc[0]),
    )
    names = {
        field: look_name(row.modality, Appearance(row.diameter, row.brightness)) for field, row in fields.iterrows()
    }
    return {sample.sample_id: names[sample.field] for sample in samples}
