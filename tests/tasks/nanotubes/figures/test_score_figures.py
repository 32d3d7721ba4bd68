from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nanonuclei.data.catalog import Catalog, SampleRef
from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.figures import figures
from nanonuclei.tasks.nanotubes.reader import NanotubeReader
from nanonuclei.tasks.nanotubes.score import BINS
from nanonuclei.tasks.values import Report

DECIDED = {"tubes.window_threshold": 0.5, "tubes.min_score": 0.5, "evaluate.num_panels": 1}


def unsure(samples: Sequence[SampleRef]) -> Iterator[Float32Array]:
    """Score maps without a score: every nanotube is missed."""
    for sample in samples:
        grey = np.zeros((sample.height, sample.width), np.float32)
        yield np.stack([grey, grey], axis=-1)


def test_close_ups_say_in_how_many_images_was_looked_and_in_which(
    tube_experiment: Callable[..., NanotubeExperiment], tube_catalog: Catalog
) -> None:
    samples = [sample for sample in tube_catalog.samples if sample.num_objects][:4]
    names = [*BINS["with"], *BINS["without"], "num_true", "num_found", "num_cells", "fp", "tcr_images"]
    names += ["tcr_num_true", "tcr_true_cells"]
    per_image = pd.DataFrame({name: np.zeros(4) for name in names}).assign(fn=[1.0, 1.0, 1.0, 2.0])
    per_image["sample_id"] = [sample.sample_id for sample in samples]
    objects = pd.DataFrame(columns=["sample_id", "score", "matched"])
    report = Report({}, pd.DataFrame(), per_image, objects, 1.0, 1.0)
    task = NanotubeReader(tube_experiment(DECIDED))
    drawn = dict(figures(task, report, samples, maps=unsure, split="test"))
    misses = drawn["figures/test_misses.png"]
    assert isinstance(misses, Figure)
    drawn_at_random = int(np.random.default_rng(task.config.seed).choice(4, 1, replace=False)[0])
    looked = len({drawn_at_random, 3})
    title = misses.get_suptitle().replace("\n", " ")
    assert title == f"Longest nanotubes that were missed, in {looked} of 4 images of the test split"
    shown = {axes.get_title().split("\n")[0] for axes in misses.axes} - {""}
    assert shown <= {samples[drawn_at_random].sample_id, samples[3].sample_id}
    assert samples[3].sample_id in shown
