"""Makes the scripts of benchmarks/ importable, as running one of them does; images for them."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tests.drawn import catalog_of, sample_ref

from nanonuclei.data.catalog import Catalog, Sample, SampleRef, save_catalog

FOLDER = str(Path(__file__).parents[2] / "benchmarks")
if FOLDER not in sys.path:
    sys.path.append(FOLDER)


def unpadded(table: str) -> str:
    """Returns a Markdown table whose cells have one space to either side."""
    return re.sub(r" {2,}", " ", table)


def squares(values: list[int], *, side: int = 10, peak: int = 220) -> tuple[np.ndarray, np.ndarray]:
    """Squares of the given grey values on 20, and a patch of `peak` in the first that sets the image's range."""
    image, labels = np.full((60, 40 * len(values)), 20, np.uint8), np.zeros((60, 40 * len(values)), np.uint16)
    for place, value in enumerate(values):
        part = slice(10, 10 + side), slice(40 * place + 5, 40 * place + 5 + side)
        image[part], labels[part] = value, place + 1
    image[10:14, 5:9] = peak
    return image, labels


def sized_catalog(folder: Path, splits: Mapping[str, int]) -> Catalog:
    """Writes images of three nuclei: even ones with squares of 10 px, odd ones with squares of 28 px."""
    refs: list[SampleRef] = []
    for split, number in splits.items():
        for _ in range(number):
            place = len(refs)
            image, labels = squares([200, 200 - place, 210], side=28 if place % 2 else 10)
            refs.append(sample_ref(folder, Sample(f"s{place:02}", image, labels), split, field=place))
    catalog = catalog_of("dsb2018", refs)
    save_catalog(catalog, folder)
    return catalog
