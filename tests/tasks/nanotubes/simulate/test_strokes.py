"""Strokes and spots have the light, the width and the place that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from nanonuclei.tasks.nanotubes.lines.line import STEP
from nanonuclei.tasks.nanotubes.simulate.strokes import FWHM, bow, join, render, spots, stroke, unevenness


def width_at_half_height(profile: np.ndarray) -> float:
    """By linear interpolation, px."""
    half, top = profile.max() / 2, int(profile.argmax())
    left = np.interp(half, profile[: top + 1], np.arange(top + 1))
    right = np.interp(-half, -profile[top:], np.arange(top, len(profile)))
    return float(right - left)


@pytest.mark.parametrize("width", [1.6, 2.0, 2.5, 3.0, 5.0])
def test_a_stroke_has_its_peak_and_its_width(width):
    light = render(stroke(bow((20.0, 5.0), (20.0, 58.0), sag=0.0), 10.0, width), 64)
    profile = light[:, 32]
    assert profile[20] == pytest.approx(10.0, rel=0.13)
    assert profile.sum() == pytest.approx(10.0 * width / FWHM * np.sqrt(2 * np.pi), rel=0.01)
    # Layers are mixed so that the variance is right; half the height of a mixture is a little lower.
    assert width_at_half_height(profile) == pytest.approx(width, rel=0.15)


@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 4, 1.2])
def test_a_stroke_is_as_bright_in_every_direction(angle):
    ahead = 25.0 * np.array([np.sin(angle), np.cos(angle)])
    light = render(stroke(bow(32.0 - ahead, 32.0 + ahead, sag=0.0), 10.0, 2.0), 64)
    assert light.sum() == pytest.approx(10.0 * 2.0 / FWHM * np.sqrt(2 * np.pi) * 50.0, rel=0.02)
    assert light[32, 32] == pytest.approx(10.0, rel=0.13)


@pytest.mark.parametrize("sigma", [0.9, 1.2, 2.0, 3.0])
def test_a_spot_has_its_place_and_its_light(sigma):
    light = render(spots(np.array([[20.3, 30.6]]), 7.0, sigma), 64)
    y, x = np.mgrid[:64, :64]
    assert light.sum() == pytest.approx(7.0 * 2 * np.pi * sigma**2, rel=0.01)
    assert (light * y).sum() / light.sum() == pytest.approx(20.3, abs=0.02)
    assert (light * x).sum() / light.sum() == pytest.approx(30.6, abs=0.02)
    assert (light * (y - 20.3) ** 2).sum() / light.sum() == pytest.approx(sigma**2, rel=0.12)


def test_ink_outside_the_image_is_left_out():
    assert render(spots(np.array([[-5.0, 3.0], [3.0, 80.0], [63.9, 9.0]]), 9.0, 1.0), 64).max() == 0.0


def test_no_ink_is_no_light():
    assert len(join([])) == 0
    assert render(join([]), 32).max() == 0.0


@pytest.mark.parametrize("sag", [0.0, 0.05, -0.1])
def test_a_bow_sags_in_the_middle_and_keeps_its_ends(sag):
    points = bow((10.0, 10.0), (10.0, 110.0), sag=sag)
    np.testing.assert_allclose(points[[0, -1]], [[10.0, 10.0], [10.0, 110.0]], atol=1e-4)
    assert points[len(points) // 2, 0] == pytest.approx(10.0 + 100.0 * sag, abs=0.1)
    assert np.hypot(*np.diff(points, axis=0).T).max() <= STEP + 1e-4


def test_sway_leaves_the_ends_and_adds_waves():
    points = bow((0.0, 0.0), (0.0, 100.0), sag=0.0, sway=[0.05])
    assert points[np.argmin(abs(points[:, 1] - 25)), 0] == pytest.approx(5.0, abs=0.1)
    assert points[np.argmin(abs(points[:, 1] - 75)), 0] == pytest.approx(-5.0, abs=0.1)


def test_unevenness_has_mean_0_and_deviation_1():
    curve = unevenness(200_000, 5.0, np.random.default_rng(0))
    assert curve.mean() == pytest.approx(0.0, abs=0.03)
    assert curve.std() == pytest.approx(1.0, abs=0.03)
    assert np.abs(np.diff(curve)).max() < 1.5
