"""Measures the scan against running the network on each window, and how far bfloat16 moves the scores.

    PYTHONPATH=src python benchmarks/scan.py --size 2048
    PYTHONPATH=src python benchmarks/scan.py --size 2048 --set windows.precision=float32

Prints one line per figure. Windows are timed on a sample of them, in batches, and scaled up to all.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from nanonuclei.config.params import load_experiment, parse_settings, with_settings
from nanonuclei.engine.devices import detect
from nanonuclei.engine.networks import inference_precision, network_of
from nanonuclei.imaging.normalize import grey_limits, normalize
from nanonuclei.imaging.scan import Scanner
from nanonuclei.imaging.windows import cut
from nanonuclei.tasks import create_task
from nanonuclei.tasks.nanotubes.classifier import window_classifier
from nanonuclei.tasks.nanotubes.simulate.images import NanotubeSettings, simulate_nanotubes

BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2048, help="side of the image, px (%(default)s)")
    parser.add_argument("--windows", type=int, default=64, help="windows that are timed one by one (%(default)s)")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="PATH=VALUE")
    options = parser.parse_args()
    config = load_experiment("nanotubes", path=Path("params.yaml"), settings=parse_settings(options.settings))
    keras.utils.set_random_seed(config.seed)
    image = _image(options.size, config)
    model = window_classifier(config.network, window=config.train.patch_size)
    hardware = detect(config.train)
    print(
        f"{config.network.kind} to {config.network.trunk} on {hardware.name}, {os.cpu_count()} cores, "
        f"{hardware.backend}"
    )

    scanner = Scanner(network_of(create_task(config), model), config.windows.tile)
    geometry = scanner.geometry
    side = min(options.size, config.windows.tile)
    scanner.scores(image[:side, :side])  # compiles, and takes the memory that the tiles need
    started, busy = time.perf_counter(), time.process_time()
    scores = scanner.scores(image)
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    print(
        f"scan in {inference_precision(config)}: {seconds:.1f} s, {busy:.1f} s of processor time, for "
        f"{options.size} x {options.size} px, {scores.size:,} windows of {geometry.window} px with margins of "
        f"{geometry.margin} px every {geometry.stride} px"
    )

    rng = np.random.default_rng(config.seed)
    places = np.stack([rng.integers(0, extent, options.windows) for extent in scores.shape], axis=1)
    corners = [(int(y), int(x)) for y, x in places * geometry.stride - geometry.margin]
    patches = np.stack([cut(image, corner, (geometry.patch, geometry.patch)) for corner in corners])
    model.predict_on_batch(patches[:BATCH])
    started, busy_each = time.perf_counter(), time.process_time()
    single = np.concatenate([model.predict_on_batch(patches[i : i + BATCH]) for i in range(0, len(patches), BATCH)])
    single = single.reshape(-1)
    each = (time.perf_counter() - started) / len(patches)
    busy_each = (time.process_time() - busy_each) / len(patches)
    print(
        f"window by window in float32: {each * scores.size:.0f} s, {each * scores.size / seconds:.0f} times the scan; "
        f"{busy_each * scores.size / busy:.0f} times its processor time"
    )
    print(f"largest difference of the scores of {len(patches)} windows: {_difference(scores, places, single):.2e}")
    if inference_precision(config) != "float32":
        full = with_settings(config, {"windows.precision": "float32"})
        exact = Scanner(network_of(create_task(full), model), full.windows.tile).scores(image)
        print(
            f"bfloat16 against float32: largest difference {np.abs(scores - exact).max():.2e}, mean "
            f"{np.abs(scores - exact).mean():.2e}; float32 against window by window: "
            f"{_difference(exact, places, single):.2e}"
        )


def _difference(scores: np.ndarray, places: np.ndarray, single: np.ndarray) -> float:
    return float(np.abs(scores[tuple(places.T)] - single).max())


def _image(size: int, config: object) -> np.ndarray:
    simulated = config.data.simulated.model_dump(exclude={"num_images", "size"})
    tile = next(iter(simulate_nanotubes(1, settings=NanotubeSettings(size=512, **simulated), seed=config.seed)))
    repeats = -(-size // 512)
    whole = np.tile(tile.image[..., 0], (repeats, repeats))[:size, :size]
    return normalize(whole, grey_limits(whole, config.normalize))


if __name__ == "__main__":
    main()
