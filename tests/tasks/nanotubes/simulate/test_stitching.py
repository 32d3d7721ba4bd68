"""Tiles and sensor: steps where they belong, noise as asked for."""

from __future__ import annotations

import numpy as np
import pytest

from nanonuclei.tasks.nanotubes.simulate.stitching import Sensor, draw_sensor, expose, shade_tiles

SENSOR = Sensor(background=20.0, read_noise=2.0, shot_noise=0.5)


def flat(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.ones((size, size), np.float32), np.zeros((size, size), np.float32)


def test_shading_jumps_at_seams_one_tile_apart_and_nowhere_else():
    gain, offset = shade_tiles(400, 128, np.random.default_rng(2))
    seams = np.flatnonzero(np.abs(np.diff(offset, axis=1)).max(axis=0) > 0)
    assert len(seams) == 3
    assert set(np.diff(seams)) == {128}
    slopes = np.abs(np.diff(gain, axis=1)).max(axis=0)
    assert slopes[seams].min() > 4 * np.delete(slopes, seams).max()


def test_an_image_taken_at_once_has_no_seam():
    gain, offset = shade_tiles(400, 0, np.random.default_rng(2))
    assert not offset.any()
    assert np.abs(np.diff(gain)).max() < 0.01


@pytest.mark.parametrize(("light", "noise"), [(0.0, 1.0), (100.0, 1.0), (100.0, 2.0)])
def test_noise_has_the_variance_of_reading_and_counting(light, noise):
    flat_light = np.full((300, 300), light, np.float32)
    image = expose(flat_light, SENSOR, shading=flat(300), noise=noise, rng=np.random.default_rng(1)).astype(float)
    variance = np.diff(image, axis=1).var() / 2.0
    assert variance == pytest.approx(noise**2 * (4.0 + 0.5 * (light + 2.0)) + 1 / 12, rel=0.06)
    assert image.mean() == pytest.approx(20.0 + light + 2.0, abs=1.5)


def test_without_noise_the_image_is_smooth():
    dark = np.zeros((200, 200), np.float32)
    image = expose(dark, SENSOR, shading=flat(200), noise=0.0, rng=np.random.default_rng(1))
    assert image.dtype == np.uint8
    assert np.abs(np.diff(image.astype(int))).max() <= 1


def test_sensors_differ_and_have_a_floor_above_their_read_noise():
    rng = np.random.default_rng(0)
    sensors = [draw_sensor(rng) for _ in range(20)]
    assert len({sensor.background for sensor in sensors}) == 20
    assert all(sensor.read_noise < sensor.floor < sensor.read_noise + 2.0 for sensor in sensors)
    assert Sensor(0.0, 3.0, 0.0).floor == 3.0
