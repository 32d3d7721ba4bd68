"""The simulated microscope: focus, spots, smooth fields and the camera."""

from __future__ import annotations

import numpy as np
import pytest

from nanonuclei.data.microscope import Camera, add_spots, draw_camera, expose, focus, smooth_field


def test_drawn_cameras_are_within_the_range_of_grey_values():
    rng = np.random.default_rng(0)
    cameras = [draw_camera(contrast, rng) for contrast in (10.0, 50.0, 180.0) for _ in range(30)]
    assert all(2.0 <= camera.background <= 16.0 for camera in cameras)
    assert all(0.0 <= camera.glare <= 0.3 and 0.0 <= camera.vignetting <= 0.35 for camera in cameras)
    assert all(camera.read_noise > 0.0 and camera.shot_noise > 0.0 for camera in cameras)
    assert len(set(cameras)) == len(cameras)


def test_a_dark_exposure_shows_background_and_read_noise():
    camera = Camera(background=20.0, unevenness=0.0, vignetting=0.3, glare=0.1, read_noise=2.0, shot_noise=0.5)
    image = expose(np.zeros((128, 128), np.float32), camera, np.random.default_rng(0))
    assert image.mean() == pytest.approx(20.0, abs=0.1)
    assert image.std() == pytest.approx((2.0**2 + 1 / 12) ** 0.5, rel=0.05)


def test_shot_noise_grows_with_the_light_and_light_saturates_at_255():
    camera = Camera(background=10.0, unevenness=0.0, vignetting=0.0, glare=0.0, read_noise=0.0, shot_noise=0.25)
    light = np.full((128, 128), 100.0, np.float32)
    light[:64] = 1000.0
    before = light.copy()
    image = expose(light, camera, np.random.default_rng(0))
    assert image[:64].min() == 255
    assert image[64:].mean() == pytest.approx(110.0, abs=0.3)
    assert image[64:].std() == pytest.approx(5.0, rel=0.05)
    assert np.array_equal(light, before)


def test_vignetting_darkens_the_corners():
    camera = Camera(background=0.0, unevenness=0.0, vignetting=0.3, glare=0.0, read_noise=0.0, shot_noise=0.0)
    image = expose(np.full((100, 100), 100.0, np.float32), camera, np.random.default_rng(0))
    corners = [int(image[y, x]) for y in (0, -1) for x in (0, -1)]
    assert image.max() == 100
    assert max(corners) < 90


def test_focus_spreads_each_layer_by_its_own_width_and_keeps_the_light():
    layers = np.zeros((2, 65, 65), np.float32)
    layers[0, 32, 16] = layers[1, 32, 48] = 1.0
    light = focus(layers, (1.0, 3.0))
    assert light.sum() == pytest.approx(2.0, abs=0.01)
    assert light[32, 16] == pytest.approx(1 / (2 * np.pi), rel=0.05)
    assert light[32, 48] == pytest.approx(1 / (2 * np.pi * 9), rel=0.05)


@pytest.mark.parametrize(("y", "x"), [(20.0, 30.0), (0.0, 0.0), (39.0, 39.0)])
def test_a_spot_is_a_gaussian_about_its_middle(y, x):
    light = np.zeros((40, 40), np.float32)
    add_spots(light, np.array([[y, x, 2.0, 5.0]], np.float32))
    assert np.unravel_index(light.argmax(), light.shape) == (y, x)
    assert light.max() == pytest.approx(5.0)
    inwards = (int(y), int(x) + (2 if x < 20 else -2))
    assert light[inwards] == pytest.approx(5.0 * np.exp(-0.5))


@pytest.mark.parametrize("scale", [4.0, 16.0, 60.0])
def test_a_smooth_field_has_unit_spread_and_changes_over_its_scale(scale):
    fields = np.stack([smooth_field(120, scale, np.random.default_rng(seed)) for seed in range(60)])
    assert fields.shape == (60, 120, 120)
    assert fields.mean() == pytest.approx(0.0, abs=0.1)
    assert fields.std() == pytest.approx(1.0, abs=0.15)
    assert np.abs(np.diff(fields, axis=1)).mean() < 1.5 / scale
