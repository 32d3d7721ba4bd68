"""Says which step of the read-out loses each sure nanotube of published panels that it does not find.

    PYTHONPATH=src python benchmarks/nanotube_losses.py FOLDER
    PYTHONPATH=src python benchmarks/nanotube_losses.py FOLDER --first-channel --set tubes.joins=two   # as it was

Every window counts as positive. A nanotube that is missed is lost to the first of these that applies: `cell body`, half
of it lies in what is taken for cells; `no ridge`, half of it or more has no crest near it; the one rule without which
it is found; `several rules`.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from nanotube_panels import OPEN, read_out_map
from numpy.typing import NDArray
from panels import Panel, Points, distances, is_found, predicted_lines, read_panels, values_along

from nanonuclei.config.params import load_experiment, parse_settings, with_settings
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.lines.candidates import HALO
from nanonuclei.tasks.nanotubes.lines.ridges import ridge_points
from nanonuclei.tasks.nanotubes.reader import NanotubeReader

RULES = {
    "straightness": {"tubes.min_straightness": 0.5},
    "width": {"tubes.max_width": 1000.0},
    "contrast": {"tubes.contrast": 0.0},
    "joining or slenderness": {"tubes.slender": 1.0, "tubes.joins": "slender"},
    "evenness and slenderness": {"tubes.joins": "all"},
}
"""What is changed to switch a rule off."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="panels with annotations.csv and panels.csv")
    parser.add_argument("--first-channel", action="store_true", help="look at red alone, as colour images once were")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="PATH=VALUE")
    options = parser.parse_args()
    settings = {**OPEN, **parse_settings(options.settings)}
    config = load_experiment("nanotubes", path=Path("params.yaml"), settings=settings)
    assert isinstance(config, NanotubeExperiment)
    causes: Counter[str] = Counter()
    for panel in read_panels(options.folder):
        image = panel.image[..., 0] if options.first_channel and panel.image.ndim == 3 else panel.image
        found = causes_of(panel, np.ascontiguousarray(image), config)
        causes.update(found)
        print(f"{panel.name:14}", ", ".join(found) or "no sure nanotube", flush=True)
    print("\n| lost to | nanotubes |\n|---|---|")
    for cause, number in causes.most_common():
        print(f"| {cause} | {number} |")


def causes_of(panel: Panel, image: NDArray[np.uint8], config: NanotubeExperiment) -> list[str]:
    """Returns what loses each sure nanotube of a panel, `found` for those that are not lost."""
    reader = NanotubeReader(config)
    if not panel.sure:
        return []
    shape = (image.shape[0], image.shape[1])
    score_map = read_out_map(reader, image)

    def found_with(changes: dict[str, object]) -> list[bool]:
        changed = NanotubeReader(with_settings(config, changes))  # type: ignore[arg-type]
        away = distances(shape, predicted_lines(changed.instances(score_map, shape).pixels() > 0))
        return [is_found(away, tube) for tube in panel.sure]

    found = found_with({})
    causes = [
        "found" if each else _before_rules(tube, score_map, reader)
        for each, tube in zip(found, panel.sure, strict=True)
    ]
    for rule, changes in RULES.items():
        if "" in causes:
            without = found_with(changes)
            causes = [rule if not cause and each else cause for cause, each in zip(causes, without, strict=True)]
    return [cause or "several rules" for cause in causes]


def _before_rules(tube: Points, score_map: NDArray[np.float32], reader: NanotubeReader) -> str:
    cells = reader.cells(score_map)
    near = cv2.dilate((cells > 0).astype(np.uint8), np.ones((2 * HALO + 1, 2 * HALO + 1), np.uint8)) > 0
    if np.mean(values_along(near, tube)) >= 0.5:
        return "cell body"
    tubes = reader.config.tubes
    points = ridge_points(
        np.ascontiguousarray(score_map[..., 1]), ~near, narrow=tubes.narrow, broad=tubes.broad, least=tubes.ridge
    )
    crests = [points.places[:, ::-1].astype(np.float64)] if len(points.places) else []
    return "" if is_found(distances((near.shape[0], near.shape[1]), crests), tube) else "no ridge"


if __name__ == "__main__":
    main()
