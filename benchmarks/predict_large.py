"""Time and memory of `predict` on one large image, which it reads by windows.

    PYTHONPATH=src python benchmarks/predict_large.py SIDE [MODEL]

Draws a tiled TIFF of SIDE x SIDE px with discs. Prints objects, seconds of the processor, and the most memory that
the process held.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from nanonuclei.stages.predict.predict import predict
from nanonuclei.stages.predict.request import Request

TILE, GAP = 512, 40


def tile() -> NDArray[np.uint8]:
    rng = np.random.default_rng(3)
    image = rng.normal(20, 2, (TILE, TILE)).clip(0, 255).astype(np.uint8)
    for y in range(13, TILE - 10, GAP):
        for x in range(11, TILE - 10, GAP):
            centre = (x + int(rng.integers(-4, 5)), y + int(rng.integers(-4, 5)))
            cv2.circle(image, centre, int(rng.integers(5, 9)), int(rng.integers(110, 230)), -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.0))


def write(path: Path, side: int) -> None:
    one, number = tile(), (-(-side // TILE)) ** 2

    def tiles() -> Iterator[NDArray[np.uint8]]:
        for _ in range(number):
            yield one

    options = {"tile": (TILE, TILE), "compression": "zlib", "bigtiff": True}
    tifffile.imwrite(path, tiles(), shape=(side, side), dtype=np.uint8, **options)


def main(side: str, model: str = "nuclei") -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "large.tif"
        write(path, int(side))
        asked = Request(str(path), model, output=Path(name) / "out", formats=("csv", "geojson", "labels", "overlay"))
        summary = predict(asked)
    used = resource.getrusage(resource.RUSAGE_SELF)
    gigabytes, seconds = used.ru_maxrss / 2**20, used.ru_utime + used.ru_stime
    print(f"{side} x {side} px: {summary.num_objects:,} objects, {seconds:.0f} s of the processor, {gigabytes:.2f} GB")


if __name__ == "__main__":
    main(*sys.argv[1:])
