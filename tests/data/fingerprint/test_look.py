"""Looks of training images tell which images look unlike them, and by what."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from nanonuclei.config.shared import NormalizeConfig
from nanonuclei.data.fingerprint.look import Look, Looks, look_of
from nanonuclei.imaging.normalize import grey_limits, normalize

NORMAL = NormalizeConfig(kind="percentile", low=0.1, high=99.9)


def discs(*, seed: int, level: int = 20) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :96]
    shown = sum(np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 50.0) for cy, cx in rng.uniform(10, 86, (5, 2)))
    return np.asarray(level + 150 * np.clip(shown, 0, 1) + rng.normal(0, 1, (96, 96)), np.uint8)


def look(image: NDArray[np.uint8]) -> Look:
    return look_of(normalize(image, grey_limits(image, NORMAL)))


@pytest.fixture(scope="module")
def looks() -> Looks:
    return Looks(tuple(look(discs(seed=seed)) for seed in range(12)))


def test_images_of_the_same_kind_are_like_the_training_images(looks: Looks) -> None:
    assert [looks.unlike(look(discs(seed=seed))) for seed in range(20, 26)] == [""] * 6


def test_exposure_alone_makes_no_image_unlike_because_the_network_does_not_see_it(looks: Looks) -> None:
    dim = (discs(seed=30) // 4).astype(np.uint8)
    assert looks.unlike(look(dim)) == ""


def test_bright_ground_and_colour_are_told_with_both_values(looks: Looks) -> None:
    image = discs(seed=30)
    assert looks.unlike(look(255 - image)).startswith("background 0.9")
    coloured = np.stack([image, image // 8, image // 8], axis=-1)
    assert looks.unlike(look(coloured)).startswith("colour 0.")
    assert "in the nearest training image" in looks.unlike(look(coloured))


def test_gap_between_two_kinds_of_training_images_counts_as_unlike() -> None:
    known = look(discs(seed=1))
    both = Looks(tuple(known._replace(background=level) for level in (0.05, 0.1, 0.9, 0.95)))
    assert both.unlike(known._replace(background=0.92)) == ""
    assert both.unlike(known._replace(background=0.5)).startswith("background 0.5")


def test_nothing_is_unlike_no_training_images() -> None:
    assert math.isnan(Looks(()).distance(Look(0.5, 0.5, 0.5)))
    assert Looks(()).unlike(Look(0.5, 0.5, 0.5)) == ""


def test_measures_are_those_computed_by_hand() -> None:
    shown = np.repeat(np.array([[0.0, 1.0], [0.0, 1.0]], np.float32)[..., None], 3, axis=2)
    found = look_of(shown)  # steps of 1 along rows, of 0 along columns
    assert found == pytest.approx((0.5, 0.0, 0.5))


def test_images_of_any_shape_are_measured() -> None:
    assert look_of(np.zeros((1, 700, 3), np.float32)) == (0.0, 0.0, 0.0)


def test_looks_are_those_of_the_plain_formulas() -> None:
    shown = np.random.default_rng(0).random((80, 60, 3), np.float32)
    found = look_of(shown)
    grey = shown.mean(axis=2)
    dark, middle, bright = np.percentile(grey, (0.1, 50, 99.9)).tolist()
    spread = np.percentile(shown.max(axis=2) - shown.min(axis=2), 98)
    steps = [float(np.abs(np.diff(grey, axis=axis)).mean()) for axis in (0, 1)]
    assert found.background == pytest.approx((middle - dark) / (bright - dark))
    assert found.colour == pytest.approx(spread / np.ptp(shown))
    assert found.detail == pytest.approx(sum(steps) / 2.0 / (bright - dark))
