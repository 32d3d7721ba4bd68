"""The fingerprint of training images tells which images look unlike them, and by what."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nanonuclei.config.shared import NormalizeConfig
from nanonuclei.data.fingerprint import (
    FILE,
    NAMES,
    PERCENTILES,
    Fingerprint,
    fingerprint_of,
    image_measures,
    object_measures,
    read_fingerprint,
    write_fingerprint,
)
from nanonuclei.errors import DataError
from nanonuclei.imaging.normalize import grey_limits, normalize

NORMAL = NormalizeConfig(kind="percentile", low=0.1, high=99.9)


def discs(*, seed: int, level: int = 20) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :96]
    shown = sum(np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 50.0) for cy, cx in rng.uniform(10, 86, (5, 2)))
    return np.asarray(level + 150 * np.clip(shown, 0, 1) + rng.normal(0, 1, (96, 96)), np.uint8)


def measured(image: NDArray[np.uint8]) -> dict[str, float]:
    return image_measures(image, normalize(image, grey_limits(image, NORMAL)))


@pytest.fixture(scope="module")
def fingerprint() -> Fingerprint:
    return fingerprint_of([measured(discs(seed=seed)) for seed in range(12)], dataset="discs")


def test_images_of_the_same_kind_are_like_the_training_images(fingerprint: Fingerprint) -> None:
    assert [fingerprint.unlike(measured(discs(seed=seed))) for seed in range(20, 26)] == [""] * 6


def test_exposure_alone_makes_no_image_unlike_because_the_network_does_not_see_it(fingerprint: Fingerprint) -> None:
    dim = (discs(seed=30) // 4).astype(np.uint8)
    assert measured(dim)["middle"] < fingerprint.measures["middle"][0]
    assert fingerprint.unlike(measured(dim)) == ""


def test_bright_ground_and_colour_are_told_with_both_values(fingerprint: Fingerprint) -> None:
    image = discs(seed=30)
    assert fingerprint.unlike(measured(255 - image)).startswith("background 0.9")
    coloured = np.stack([image, image // 8, image // 8], axis=-1)
    assert fingerprint.unlike(measured(coloured)).startswith("colour 0.")
    assert "in the nearest training image" in fingerprint.unlike(measured(coloured))


def test_gap_between_two_kinds_of_training_images_counts_as_unlike() -> None:
    rows = [{**measured(discs(seed=1)), "background": level} for level in (0.05, 0.1, 0.9, 0.95)]
    both = fingerprint_of(rows, dataset="two kinds")
    assert both.unlike({**rows[0], "background": 0.92}) == ""
    assert both.unlike({**rows[0], "background": 0.5}).startswith("background 0.5")


def test_measures_are_those_computed_by_hand() -> None:
    image = np.array([[0, 51], [0, 51]], np.uint8)
    shown = np.repeat(np.array([[0.0, 1.0], [0.0, 1.0]], np.float32)[..., None], 3, axis=2)
    found = image_measures(image, shown)
    assert found["high"] == pytest.approx(51 / 255)
    assert found["background"] == pytest.approx(0.5)
    assert found["detail"] == pytest.approx(0.5)  # steps of 1 along rows, of 0 along columns
    assert found["colour"] == 0.0
    assert (found["height"], found["width"]) == (2.0, 2.0)
    assert set(found) | set(object_measures([], (1, 1))) == set(NAMES)


def test_objects_are_measured_by_the_circles_of_their_areas() -> None:
    found = object_measures([math.pi * 25, math.pi * 100, math.pi * 400], (100, 100))
    assert found["num_objects"] == 3
    assert found["diameter"] == pytest.approx(20.0)
    assert found["covered"] == pytest.approx(math.pi * 525 / 10_000)
    assert math.isnan(object_measures([], (10, 10))["diameter"])


def test_rank_is_the_share_of_training_images_below() -> None:
    ranks = fingerprint_of([{**measured(discs(seed=1)), "high": value / 100} for value in range(101)], dataset="x")
    assert ranks.rank("high", 0.25) == pytest.approx(0.25)
    assert ranks.rank("high", 2.0) == 1.0
    assert math.isnan(ranks.rank("diameter", 3.0))
    assert len(ranks.measures["high"]) == len(PERCENTILES)


def test_fingerprint_is_read_as_it_was_written(fingerprint: Fingerprint, tmp_path: Path) -> None:
    assert read_fingerprint(tmp_path) is None
    write_fingerprint(fingerprint, tmp_path)
    assert read_fingerprint(tmp_path) == fingerprint


def test_broken_file_is_told_and_one_of_another_format_is_passed_over(fingerprint: Fingerprint, tmp_path: Path) -> None:
    write_fingerprint(fingerprint, tmp_path)
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(text.replace('"format": 1', '"format": 2'))
    assert read_fingerprint(tmp_path) is None
    (tmp_path / FILE).write_text(text[:100])
    with pytest.raises(DataError, match="cannot be read"):
        read_fingerprint(tmp_path)


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_images_of_any_type_and_shape_are_measured(kind: type) -> None:
    image = np.full((1, 700), 7, kind)
    found = image_measures(image, np.zeros((1, 700, 3), np.float32))
    assert found["background"] == found["detail"] == 0.0
    assert math.isnan(found["low"]) == (kind is np.float32)


def test_looks_are_those_of_the_plain_formulas_to_the_last_digit() -> None:
    shown = np.random.default_rng(0).random((80, 60, 3), np.float32)
    found = image_measures((shown * 255).astype(np.uint8), shown)
    grey = shown.mean(axis=2)
    dark, middle, bright = np.percentile(grey, (0.1, 50, 99.9)).tolist()
    spread = np.percentile(shown.max(axis=2) - shown.min(axis=2), 98)
    steps = [float(np.abs(np.diff(grey, axis=axis)).mean()) for axis in (0, 1)]
    assert found["background"] == (middle - dark) / (bright - dark)
    assert found["colour"] == float(spread / float(np.ptp(shown)))
    assert found["detail"] == sum(steps) / 2.0 / (bright - dark)
