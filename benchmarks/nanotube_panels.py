"""Scores detectors of nanotubes on published panels whose nanotubes are marked by centre lines.

    PYTHONPATH=src python benchmarks/nanotube_panels.py FOLDER                      # ridge filter and read-out
    PYTHONPATH=src python benchmarks/nanotube_panels.py FOLDER --detector readout --set tubes.width=5
    PYTHONPATH=src python benchmarks/nanotube_panels.py FOLDER --detector RUN_ID    # a stored model

Detectors: `filter`, the plain ridge filter; `readout`, the project's read-out with every window called positive; or the
name of a model. Prints recall, precision and F1, and F1 without hits on doubtful lines (strict), with 95 % intervals
over papers, see `panels`. `--each` prints a row per panel, `--empty` counts candidates in images
without nanotubes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from panels import COUNTS, Panel, intervals, rates, read_panels, score_panel
from ridge_filter import ridge_filter

from nanonuclei.config.params import load_experiment, parse_settings
from nanonuclei.imaging.types import Float32Array
from nanonuclei.serving.named import open_model
from nanonuclei.tasks import create_reader
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.reader import NanotubeReader
from nanonuclei.tasks.nanotubes.simulate.images import MEMBRANE, NanotubeSettings, simulate_nanotubes

Detector = Callable[[NDArray[np.uint8]], NDArray[np.int32]]
"""From an image, grey or RGB, to labels of its lines."""

OPEN = {"tubes.window_threshold": 0.0, "tubes.min_score": 0.0}
"""Settings with which every window is positive."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="panels with annotations.csv and panels.csv")
    parser.add_argument("--detector", action="append", metavar="NAME", help="filter, readout or a model; repeatable")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="PATH=VALUE")
    parser.add_argument("--each", action="store_true", help="a row per panel")
    parser.add_argument("--empty", action="append", default=[], help="a folder without nanotubes, or simulated")
    parser.add_argument("--most", type=int, default=10, help="images of --empty that are read (%(default)s)")
    options = parser.parse_args()
    panels = [] if options.folder is None else read_panels(options.folder)
    for name in options.detector or ["filter", "readout"]:
        detector = make_detector(name, options.settings)
        rows = [score_panel(panel, detector(panel.image) > 0) for panel in panels]
        counts = np.array(rows).reshape(-1, len(COUNTS))
        if options.each:
            for panel, row in zip(panels, counts.astype(int).tolist(), strict=True):
                print(f"  {panel.name:14}", ", ".join(f"{key} {n}" for key, n in zip(COUNTS, row, strict=True)))
        if panels:
            print(f"{name}: {_line(panels, counts)}", flush=True)
        for empty in options.empty:
            print(f"{name} on {empty}: {_false_alarms(detector, _empty(empty, options.most))}", flush=True)


def make_detector(name: str, settings: Sequence[str] = ()) -> Detector:
    """Returns a detector by its name.

    Args:
        name: `filter`, `readout`, or a model as `predict` takes it.
        settings: Texts ``path=value``; they do not change the filter.

    Raises:
        ConfigError: A setting is not valid.
        TrackingError: There is no such model.
    """
    changed = parse_settings(settings)
    if name in ("filter", "readout"):
        reader = create_reader(load_experiment("nanotubes", path=Path("params.yaml"), settings={**OPEN, **changed}))
        assert isinstance(reader, NanotubeReader)
        return _filter(reader) if name == "filter" else _read_out(reader)
    opened = open_model(name, settings=changed, missing_from=Path("params.yaml"))
    reader = create_reader(opened.config)

    def detect(image: NDArray[np.uint8]) -> NDArray[np.int32]:
        (score_map,) = reader.score_maps(opened.network, [reader.network_input(image)])
        return reader.instances(score_map, image.shape[:2]).pixels()

    return detect


def read_out_map(reader: NanotubeReader, image: NDArray[np.uint8]) -> Float32Array:
    """Returns the score map of an image whose windows are all positive, ``(height, width, 2)``."""
    grey = reader.network_input(image)[..., 0]
    return np.stack([np.ones_like(grey), grey], axis=-1)


def _filter(reader: NanotubeReader) -> Detector:
    return lambda image: ridge_filter(reader.network_input(image)[..., 0]).astype(np.int32)


def _read_out(reader: NanotubeReader) -> Detector:
    def detect(image: NDArray[np.uint8]) -> NDArray[np.int32]:
        return reader.instances(read_out_map(reader, image), (image.shape[0], image.shape[1])).pixels()

    return detect


def _line(panels: Sequence[Panel], counts: NDArray[np.float64]) -> str:
    figures, spread = rates(counts.sum(axis=0)), intervals(panels, counts)
    parts = [
        f"{key} {float(value):.3f} ({spread[key][0]:.2f} to {spread[key][1]:.2f})" for key, value in figures.items()
    ]
    totals = dict(zip(COUNTS, counts.sum(axis=0).astype(int).tolist(), strict=True))
    return f"{totals['found']} of {totals['tubes']} nanotubes, {totals['lines']} lines; {', '.join(parts)}"


def _false_alarms(detector: Detector, images: Iterable[NDArray[np.uint8]]) -> str:
    numbers, pixels = [], 0
    for image in images:
        found = detector(image)
        labels = np.unique(found).size - 1
        numbers.append(cv2.connectedComponents((found > 0).astype(np.uint8))[0] - 1 if labels == 1 else labels)
        pixels += found.size
    each, density = sum(numbers) / max(len(numbers), 1), 1e6 * sum(numbers) / max(pixels, 1)
    return f"{sum(numbers)} candidates in {len(numbers)} images, {each:.1f} each, {density:.1f} per megapixel"


def _empty(name: str, most: int) -> Iterator[NDArray[np.uint8]]:
    """Yields images without nanotubes: simulated ones with all their look-alikes, or those of a folder."""
    if name == "simulated":
        config = load_experiment("nanotubes", path=Path("params.yaml"))
        assert isinstance(config, NanotubeExperiment)
        values = {**config.data.simulated.model_dump(exclude={"num_images"}), "tubes_per_cell": 0.0}
        for drawn in simulate_nanotubes(most, settings=NanotubeSettings(**values), seed=config.data.seed):
            yield np.ascontiguousarray(drawn.image[..., MEMBRANE])
        return
    for path in sorted(Path(name).iterdir())[:most]:
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if image is not None:
            yield image.astype(np.uint8)


if __name__ == "__main__":
    main()
