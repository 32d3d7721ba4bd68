"""Compares the throughput of `predict` with that of a bare loop of decoding and network, in turns in one process.

    PYTHONPATH=src python benchmarks/predict_throughput.py IMAGES [MODEL] [ROUNDS]

Both load the model and take all cores. Prints images per second of each round, and the median ratio.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from nanonuclei.data.files.axes import Choice
from nanonuclei.data.files.reading import iter_image_file
from nanonuclei.serving.named import open_model
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.predict.predict import predict
from nanonuclei.stages.predict.request import Request, find_images
from nanonuclei.tasks import create_reader


def bare(images: str, model: str) -> float:
    started = time.perf_counter()
    opened = open_model(model, missing_from=PARAMS)
    reader = create_reader(opened.config)
    choice = Choice(channel=reader.channel, stains=reader.stains)
    for path in find_images(images, output=Path("none")).values():
        for plane in iter_image_file(path, choice):
            next(iter(reader.score_maps(opened.network, [reader.network_input(plane.image)])))
    return time.perf_counter() - started


def whole(images: str, model: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        predict(Request(images, model, output=Path(folder, "found")), say=lambda line: None)
        return time.perf_counter() - started


def main(images: str, model: str = "nuclei", rounds: str = "3") -> None:
    number, ratios = len(find_images(images, output=Path("none"))), []
    for _ in range(int(rounds)):
        loop, stage = bare(images, model), whole(images, model)
        ratios.append(loop / stage)
        print(f"bare loop {number / loop:.2f}/s, predict {number / stage:.2f}/s, ratio {ratios[-1]:.3f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.3f} over {number} images")


if __name__ == "__main__":
    main(*sys.argv[1:])
