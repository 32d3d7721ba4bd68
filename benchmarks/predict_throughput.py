"""Compares the throughput of `predict` with that of a bare loop of decoding and network, in turns in one process.

    PYTHONPATH=src python benchmarks/predict_throughput.py IMAGES [MODEL] [ROUNDS]

Both load the model and take all cores. Prints images per second of each round, and the median ratios of times and of
seconds of the processor: the latter do not depend on what else the machine does.
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

Times = tuple[float, float]
"""Seconds on the clock and of the processor."""


def bare(images: str, model: str) -> Times:
    started = now()
    opened = open_model(model, missing_from=PARAMS)
    reader = create_reader(opened.config)
    choice = Choice(channel=reader.channel, stains=reader.stains)
    for path in find_images(images, output=Path("none")).values():
        for plane in iter_image_file(path, choice):
            next(iter(reader.score_maps(opened.network, [reader.network_input(plane.image)])))
    return since(started)


def whole(images: str, model: str) -> Times:
    with tempfile.TemporaryDirectory() as folder:
        started = now()
        predict(Request(images, model, output=Path(folder, "found")), say=lambda line: None)
        return since(started)


def now() -> Times:
    return time.perf_counter(), time.process_time()


def since(started: Times) -> Times:
    clock, processor = now()
    return clock - started[0], processor - started[1]


def main(images: str, model: str = "nuclei", rounds: str = "3") -> None:
    number, ratios = len(find_images(images, output=Path("none"))), []
    for _ in range(int(rounds)):
        loop, stage = bare(images, model), whole(images, model)
        ratios.append((loop[0] / stage[0], loop[1] / stage[1]))
        rates = f"bare loop {number / loop[0]:.2f}/s ({loop[1]:.1f} CPU-s), predict {number / stage[0]:.2f}/s"
        print(f"{rates} ({stage[1]:.1f} CPU-s), ratio {ratios[-1][0]:.3f}, of CPU-s {ratios[-1][1]:.3f}", flush=True)
    clock, processor = (statistics.median(values) for values in zip(*ratios, strict=True))
    print(f"median ratio {clock:.3f}, of CPU-s {processor:.3f}, over {number} images")


if __name__ == "__main__":
    main(*sys.argv[1:])
