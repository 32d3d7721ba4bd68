"""Drift on simulated images of nuclei: silent as they are, told once they are darker, flatter or of another size."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from scipy import ndimage
from tests.conftest import ROOT

from nanonuclei.config.params import load_experiment
from nanonuclei.data.catalog import Sample
from nanonuclei.data.fingerprint.likeness import Features, Likeness, measure
from nanonuclei.serving.live.drift import WINDOW, Drift
from nanonuclei.tasks import create_dataset

NUM_IMAGES = 150

Change = Callable[[Sample], Sample]


def features(sample: Sample) -> Features:
    found = [place for place in ndimage.find_objects(sample.labels) if place is not None]
    return measure(sample.image, boxes=[(y.start, x.start, y.stop, x.stop) for y, x in found])


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    settings = {"data.dataset": "simulated", "data.simulated.num_images": NUM_IMAGES, "data.simulated.size": 96}
    config = load_experiment("nuclei", path=ROOT / "params.yaml", settings=settings)
    return list(itertools.islice(create_dataset(config).samples(None), NUM_IMAGES))


def darker(sample: Sample) -> Sample:
    return Sample(sample.sample_id, (sample.image // 4).astype(sample.image.dtype), sample.labels)


def flatter(sample: Sample) -> Sample:
    image = (255 * (sample.image / 255) ** 0.4).astype(sample.image.dtype)
    return Sample(sample.sample_id, image, sample.labels)


def larger(sample: Sample) -> Sample:
    size = [3 * extent for extent in sample.labels.shape[::-1]]
    labels = cv2.resize(sample.labels, size, interpolation=cv2.INTER_NEAREST)
    return Sample(sample.sample_id, cv2.resize(sample.image, size), labels)


@pytest.mark.parametrize(("change", "told"), [(None, False), (darker, True), (flatter, True), (larger, True)])
def test_shift_is_told_within_a_window_and_nothing_else(
    samples: list[Sample], change: Change | None, told: bool
) -> None:
    known, new = samples[: NUM_IMAGES - WINDOW], samples[NUM_IMAGES - WINDOW :]
    rows = np.array([features(sample) for sample in known])
    drift = Drift(Likeness(rows, np.arange(len(rows))))
    states = []
    for sample in new:
        drift.add(features(change(sample) if change else sample))
        states.append(drift.state().told)
    assert any(states) == told, drift.state()
