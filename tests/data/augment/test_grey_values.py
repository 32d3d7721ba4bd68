"""The random change of grey values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.augment.settings import STILL, changed

from nanonuclei.data.augment.grey_values import jitter

LOUD = changed(intensity_probability=1.0, gain=0.5, offset=0.3, gamma=0.5, noise=0.2)


@given(seed=st.integers(0, 2**32 - 1), grey=st.booleans())
@settings(deadline=None, max_examples=40)
def test_grey_values_stay_in_range_and_grey_stays_grey(seed, grey):
    rng = np.random.default_rng(seed)
    image = rng.random((24, 20, 3), np.float32)
    if grey:
        image[:] = image[..., :1]
    before = image.copy()
    out = jitter(image, config=LOUD.model_copy(update={"invert": 0.5}), rng=rng)
    assert out.shape == image.shape
    assert out.dtype == np.float32
    assert out.min() >= 0.0
    assert out.max() <= 1.0
    assert np.array_equal(image, before)
    assert bool((out == out[..., :1]).all()) is grey


def test_without_any_strength_grey_values_stay():
    image = np.random.default_rng(0).random((8, 8, 3), np.float32)
    for config in (STILL, changed(intensity_probability=1.0)):
        assert np.allclose(jitter(image, config=config, rng=np.random.default_rng(0)), image, atol=1e-6)


def test_inverting_twice_gives_the_image_back():
    image = np.random.default_rng(0).random((16, 16, 3), np.float32)
    config = changed(invert=1.0)
    once = jitter(image, config=config, rng=np.random.default_rng(0))
    twice = jitter(once, config=config, rng=np.random.default_rng(1))
    assert np.array_equal(once, 1.0 - image)
    assert np.allclose(twice, image, atol=1e-6)


def test_gain_leaves_the_mean_and_scales_the_contrast():
    image = np.full((8, 8, 3), 0.4, np.float32)
    image[:4] = 0.6
    rng = np.random.default_rng(0)
    contrasts = []
    for _ in range(50):
        out = jitter(image, config=changed(intensity_probability=1.0, gain=0.5), rng=rng)
        assert out.mean() == pytest.approx(0.5, abs=1e-6)
        contrasts.append((out[0, 0, 0] - out[-1, 0, 0]) / 0.2)
    assert 0.5 - 1e-5 <= min(contrasts) < 0.6
    assert 1.4 < max(contrasts) <= 1.5 + 1e-5


@pytest.mark.parametrize(
    ("setting", "low", "high"),
    [("offset", 0.25 - 0.1, 0.25 + 0.1), ("gamma", 0.25**1.1, 0.25 ** (1 / 1.1))],
)
def test_offset_and_gamma_stay_within_their_limits_and_use_them(setting, low, high):
    image = np.full((4, 4, 3), 0.25, np.float32)
    config = changed(intensity_probability=1.0, **{setting: 0.1})
    rng = np.random.default_rng(0)
    values = [float(jitter(image, config=config, rng=rng)[0, 0, 0]) for _ in range(200)]
    assert low - 1e-6 <= min(values) < low + 0.1 * (high - low)
    assert high - 0.1 * (high - low) < max(values) <= high + 1e-6


def test_noise_has_at_most_the_given_sigma():
    image = np.full((64, 64, 3), 0.5, np.float32)
    config = changed(intensity_probability=1.0, noise=0.1)
    rng = np.random.default_rng(0)
    sigmas = [float(jitter(image, config=config, rng=rng)[..., 0].std()) for _ in range(50)]
    assert min(sigmas) < 0.02
    assert 0.08 < max(sigmas) < 0.105


@pytest.mark.parametrize(
    ("setting", "probability", "low", "high"),
    [("invert", 0.2, 20, 60), ("intensity_probability", 0.7, 110, 170), ("invert", 0.0, 0, 0)],
)
def test_chances_are_kept(setting, probability, low, high):
    image = np.full((2, 2, 3), 0.25, np.float32)
    config = changed(**{"offset": 0.1, setting: probability})
    rng = np.random.default_rng(0)
    differs = sum(not np.array_equal(jitter(image, config=config, rng=rng), image) for _ in range(200))
    assert low <= differs <= high


def test_mixed_colours_are_mixtures_of_the_channels():
    image = np.random.default_rng(0).random((16, 16, 3), dtype=np.float32)
    mixed = jitter(image, config=changed(colour=1.0), rng=np.random.default_rng(1))
    shares, *_ = np.linalg.lstsq(image.reshape(-1, 3), mixed.reshape(-1, 3), rcond=None)
    np.testing.assert_allclose(image.reshape(-1, 3) @ shares, mixed.reshape(-1, 3), atol=1e-5)
    np.testing.assert_allclose(shares.sum(axis=0), 1.0, atol=1e-4)
    assert (shares > -1e-4).all()
    assert not np.allclose(mixed, image, atol=0.05)


def test_grey_image_has_no_colours_to_mix():
    image = np.repeat(np.random.default_rng(0).random((16, 16, 1), dtype=np.float32), 3, axis=2)
    np.testing.assert_array_equal(jitter(image, config=changed(colour=1.0), rng=np.random.default_rng(1)), image)


def test_the_same_random_state_gives_the_same_grey_values() -> None:
    colour = np.random.default_rng(0).random((32, 32, 3), np.float32)
    first, second, other = (jitter(colour, config=LOUD, rng=np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("seed", range(5))
def test_a_plane_is_changed_as_three_equal_channels_are(seed: int) -> None:
    plane = np.random.default_rng(0).random((16, 16), np.float32)
    config = LOUD.model_copy(update={"invert": 0.5, "colour": 1.0})
    alone = jitter(plane, config=config, rng=np.random.default_rng(seed))
    merged = jitter(np.repeat(plane[..., None], 3, axis=2), config=config, rng=np.random.default_rng(seed))
    assert alone.shape == (16, 16)
    np.testing.assert_array_equal(merged, np.repeat(alone[..., None], 3, axis=2))
