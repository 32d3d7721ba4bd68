"""Compares `predict` on Ray, with a cluster that is started on this machine, with the plain loop, in turns.

    PYTHONPATH=src python benchmarks/predict_ray.py [NUM_IMAGES] [SIDE] [ROUNDS]

Draws images of discs with noise, SIDE px wide. Both write tables as Parquet; the time of each is that of the whole
call, with the start of Ray.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from nanonuclei.stages.predict.many.engine import predict_on_many
from nanonuclei.stages.predict.predict import predict
from nanonuclei.stages.predict.request import Request


def draw(folder: Path, number: int, side: int) -> None:
    rng = np.random.default_rng(7)
    for place in range(number):
        image = rng.normal(20, 3, (side, side)).clip(0, 255).astype(np.uint8)
        for _ in range(max(1, side * side // 3000)):
            centre = rng.integers(8, side - 8, 2).tolist()
            cv2.circle(image, centre, int(rng.integers(5, 9)), int(rng.integers(120, 220)), -1, cv2.LINE_AA)
        path = folder / f"p{place // 100:03}" / f"{place:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)


def seconds(images: Path, output: Path, *, many: bool) -> tuple[float, int]:
    asked = Request(str(images), "nuclei", output=output, formats=("parquet",))
    started = time.perf_counter()
    summary = (predict_on_many if many else predict)(asked, say=lambda _: None)
    return time.perf_counter() - started, summary.num_objects


def main(number: str = "2000", side: str = "128", rounds: str = "1") -> None:
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        images = Path(name) / "images"
        draw(images, int(number), int(side))
        for place in range(int(rounds)):
            plain, found = seconds(images, Path(name) / f"plain{place}", many=False)
            many, same = seconds(images, Path(name) / f"ray{place}", many=True)
            ratios.append(many / plain)
            print(f"plain {plain:.1f} s ({found} nuclei), Ray {many:.1f} s ({same} nuclei), ratio {ratios[-1]:.3f}")
    print(f"median ratio {statistics.median(ratios):.3f}: {number} images of {side} px, {os.cpu_count()} cores")


if __name__ == "__main__":
    main(*sys.argv[1:])
