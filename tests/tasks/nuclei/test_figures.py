"""Rows of the figures of a score can be told apart."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nanonuclei.data.catalog import Catalog
from nanonuclei.imaging.instances import from_labels
from nanonuclei.tasks.nuclei.figures import figures
from nanonuclei.tasks.nuclei.score import threshold_names
from nanonuclei.tasks.values import Noun, Report


def test_images_are_told_apart_by_their_names(disc_catalog: Catalog) -> None:
    samples = [replace(disc_catalog.samples[0], sample_id=f"simulated_{number:04}") for number in range(3)]
    settings = SimpleNamespace(seed=1, evaluate=SimpleNamespace(num_panels=3))
    scores = np.zeros(samples[0].labels().shape, np.float32)
    found = from_labels(np.zeros(scores.shape, np.int32), scores)
    task = cast(Any, SimpleNamespace(config=settings, noun=Noun("n", "ns"), instances=lambda *_: found))
    per_image = pd.DataFrame({"modality": ["fluorescence"] * 3, "ap_50": [0.1, 0.2, 0.3]})
    metrics = {f"{group}ap{name}_pooled": 0.5 for group in ("", "fluorescence/") for name in threshold_names()}
    report = Report(metrics, pd.DataFrame(), per_image, pd.DataFrame(), 1.0, 1.0)
    drawn = dict(figures(task, report, samples, maps=lambda chosen: iter([scores] * len(chosen)), split="test"))
    worst = drawn["figures/test_worst.png"]
    assert isinstance(worst, Figure)
    captions = [text.get_text() for text in worst.texts if "AP50" in text.get_text()]
    assert [caption.split(",")[0] for caption in captions] == [sample.sample_id for sample in samples]
