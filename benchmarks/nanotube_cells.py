"""Counts the cells of simulated images by their light, and by the channel of their nuclei.

    PYTHONPATH=src python benchmarks/nanotube_cells.py --most 20
    PYTHONPATH=src python benchmarks/nanotube_cells.py --most 20 --set tubes.body_radius=10

Prints the true number, and per way of counting the number found and the mean error of an image.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from nanonuclei.config.params import load_experiment, parse_settings
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.data_config import SimulatedNanotubesConfig
from nanonuclei.tasks.nanotubes.reader import NanotubeReader
from nanonuclei.tasks.nanotubes.sources.images import simulated_tubes

SEED = 33
"""Of images that no setting was chosen on."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=20, help="images (%(default)s)")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="PATH=VALUE")
    options = parser.parse_args()
    config = load_experiment("nanotubes", path=Path("params.yaml"), settings=parse_settings(options.settings))
    assert isinstance(config, NanotubeExperiment)
    reader = NanotubeReader(config)
    values = {**config.data.simulated.model_dump(), "num_images": options.most}
    counts = []
    for sample in simulated_tubes(SimulatedNanotubesConfig.model_validate(values), seed=SEED):
        grey = reader.network_input(sample.image)[..., 0]
        score_map = np.stack([grey, grey], axis=-1)
        found = [int(reader.cells(score_map, nuclei).max()) for nuclei in (None, sample.nuclei)]
        counts.append([sample.truth.num_cells or 0, *found])
    table = np.array(counts, float)
    errors = np.mean(np.abs(table - table[:, :1]) / table[:, :1], axis=0)
    print(f"{len(table)} images, {table[:, 0].sum():.0f} cells", flush=True)
    for name, place in (("by light", 1), ("by nuclei", 2)):
        print(f"{name}: {table[:, place].sum():.0f}, an image is {errors[place]:.1%} off in the mean")


if __name__ == "__main__":
    main()
