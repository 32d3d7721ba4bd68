"""Drift over a window of images: silent while they are like training, told with a sentence once they are not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nanonuclei.data.fingerprint.likeness import Features, Likeness
from nanonuclei.serving.live.drift import FEWEST, LIMIT, WINDOW, Drift, limit_of


def drawn(count: int, *, seed: int, light: float = 1.0) -> list[Features]:
    rng = np.random.default_rng(seed)
    middle = light * 0.1 * 2 ** rng.normal(0, 0.3, count)
    columns = [
        *(middle * factor for factor in (0.5, 0.8, 1.0, 1.5, 4.0)),
        np.zeros(count),
        20 * 2 ** rng.normal(0, 0.2, count),
    ]
    return [Features(*row) for row in np.column_stack(columns)]


@pytest.fixture(scope="module")
def likeness() -> Likeness:
    return Likeness(np.array(drawn(300, seed=0)), np.arange(300))


def test_nothing_is_told_before_there_are_enough_images(likeness: Likeness) -> None:
    drift = Drift(likeness)
    for features in drawn(FEWEST - 1, seed=1, light=0.1):
        drift.add(features)
    assert math.isnan(drift.state().value)
    assert not drift.state().told


def test_dark_images_are_told_within_a_window_and_forgotten_after_another(likeness: Likeness) -> None:
    drift = Drift(likeness)
    for features in drawn(WINDOW, seed=2):
        drift.add(features)
    assert not drift.state().told
    counts = []
    for count, features in enumerate(drawn(WINDOW, seed=3, light=0.2), start=1):
        drift.add(features)
        counts += [count] if drift.state().told else []
    assert counts[0] < WINDOW
    assert "darker" in drift.state().sentence
    for features in drawn(WINDOW, seed=4):
        drift.add(features)
    assert not drift.state().told


def test_fewer_than_one_of_a_thousand_windows_like_training_is_told(likeness: Likeness) -> None:
    strangeness = np.array([likeness.strangeness(features) for features in drawn(400, seed=5)])
    windows = strangeness[np.random.default_rng(0).integers(0, 400, (20_000, WINDOW))].mean(axis=1)
    assert (windows >= LIMIT).mean() < 0.001


def test_fewer_images_need_a_larger_difference() -> None:
    assert limit_of(WINDOW) == LIMIT
    assert limit_of(FEWEST) > LIMIT
    assert limit_of(FEWEST) < 1


def test_model_without_likeness_tells_so() -> None:
    drift = Drift(None)
    drift.add(drawn(1, seed=0)[0])
    assert "does not tell" in drift.state().sentence
