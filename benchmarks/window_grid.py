"""Does the number of nuclei depend on where the windows lie? Counts them in one large mosaic with several grids.

    PYTHONPATH=src python benchmarks/window_grid.py RUN_ID [--size 4096]

The mosaic is made of test images, fluorescence, each normalised by itself, side by side without gaps. Its nuclei are
counted with the windows of the run's config and with others; wanted: counts that differ by 0.5 % at most.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from nanonuclei.config.params import with_settings
from nanonuclei.data.catalog import SampleRef
from nanonuclei.engine.networks import network_of
from nanonuclei.serving.store import load_trained
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.tasks import create_task
from nanonuclei.tasks.base import Task
from nanonuclei.tracking.runs import existing_run

GRIDS = ((1024, 960), (1024, 800), (512, 448), (256, 192), (256, 128))
"""Size and stride of the windows, px."""


def mosaic(task: Task, samples: Sequence[SampleRef], *, size: int) -> np.ndarray:
    """Lays normalised images side by side, in rows as high as their first image, again and again until all is full."""
    canvas = np.zeros((size, size), np.uint8)
    y, number = 0, 0
    while y < size:
        x, height = 0, samples[number % len(samples)].height
        while x < size:
            image = task.network_input(samples[number % len(samples)].image())[..., 0]
            part = np.round(255 * image[: min(height, size - y), : size - x]).astype(np.uint8)
            canvas[y : y + part.shape[0], x : x + part.shape[1]] = part
            x, number = x + image.shape[1], number + 1
        y += height
    return canvas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a training, or an evaluation of the pipeline")
    parser.add_argument("--size", type=int, default=4096, help="of the mosaic, px (%(default)s)")
    options = parser.parse_args()
    config, model = load_trained(existing_run(options.run), missing_from=PARAMS)
    catalog, _ = prepared_dataset(with_settings(config, {"data.dataset": "dsb2018"}))
    samples = [sample for sample in catalog.split("test") if sample.modality == "fluorescence"]
    image = mosaic(create_task(config), samples, size=options.size)
    counts = []
    for size, stride in GRIDS:
        task = create_task(with_settings(config, {"windows.size": size, "windows.stride": stride}))
        started = time.perf_counter()
        counts.append(
            len(task.instances(next(iter(task.score_maps(network_of(task, model), [task.network_input(image)])))))
        )
        seconds = time.perf_counter() - started
        print(f"windows of {size} px every {stride} px: {counts[-1]} nuclei, {seconds:.0f} s")
    apart = (max(counts) - min(counts)) / np.mean(counts)
    print(f"largest difference between two grids: {100 * apart:.2f} % of the nuclei")


if __name__ == "__main__":
    main()
