"""How much patches are zoomed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import disc_labels
from tests.data.augment.settings import changed

from nanonuclei.data.augment.sizes import FEWEST_PX, diameters, draw_zoom, object_sizes

CONFIG = changed(size_probability=1.0, least_diameter=8.0, usual_diameter=32.0, largest_diameter=128.0, most_zoom=8.0)


def test_nuclei_have_the_diameter_of_the_disc_of_their_area_and_their_middle() -> None:
    labels = np.zeros((50, 80), np.uint16)
    labels[10:20, 30:34], labels[41, 70] = 3, 9  # 40 px and 1 px; numbers may have gaps
    found = object_sizes(labels)
    np.testing.assert_allclose(found.diameters, [math.sqrt(160 / math.pi), math.sqrt(4 / math.pi)], rtol=1e-6)
    np.testing.assert_allclose(found.centres, [[14.5, 31.5], [41.0, 70.0]])
    disc = object_sizes(disc_labels((64, 64), [(30.0, 33.0, 20.0)]))
    assert disc.diameters[0] == pytest.approx(40.0, rel=0.02)


def test_image_without_labels_has_no_nuclei() -> None:
    found = object_sizes(np.zeros((5, 7), np.int32))
    assert found.diameters.shape == (0,)
    assert found.centres.shape == (0, 2)


def test_diameters_of_areas_by_hand() -> None:
    np.testing.assert_allclose(diameters(np.array([0, 1, 314])), [0.0, 2 / math.sqrt(math.pi), 20.0], rtol=1e-3)


def drawn(sizes: np.ndarray, number: int, **settings: float) -> np.ndarray:
    """Diameters that nuclei of these sizes got."""
    rng, config = np.random.default_rng(0), CONFIG.model_copy(update=settings)
    found = []
    for _ in range(number):
        zoom, place = draw_zoom(sizes, config=config, rng=rng)
        assert place is not None
        found.append(float(sizes[place]) * zoom)
    return np.array(found)


def test_half_of_the_diameters_are_even_over_octaves_and_half_near_the_usual_one() -> None:
    """Octaves above 8 px: 0..4 evenly, and 2 with a standard deviation of 0.5."""
    octaves = np.log2(drawn(np.array([32.0], np.float32), 4000) / 8.0)
    shares = np.histogram(octaves, bins=[0, 1, 2, 3, 4])[0] / 4000
    within_one_sigma_two = 0.5 * 0.4772  # of a normal distribution between its mean and 2 standard deviations
    outer = 0.5 * 0.0214  # between 2 and 4 standard deviations
    expected = [0.125 + outer, 0.125 + within_one_sigma_two, 0.125 + within_one_sigma_two, 0.125 + outer]
    np.testing.assert_allclose(shares, expected, atol=0.025)


def test_every_nucleus_is_drawn_equally_often_whatever_its_size() -> None:
    rng = np.random.default_rng(0)
    sizes = np.array([20.0, 30.0, 60.0], np.float32)
    places = [draw_zoom(sizes, config=CONFIG, rng=rng)[1] for _ in range(1500)]
    assert np.bincount(places).tolist() == pytest.approx([500, 500, 500], abs=70)


@given(
    sizes=st.lists(st.floats(1.25, 400.0, width=32), min_size=1, max_size=20),
    most=st.floats(1.0, 8.0),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=200)
def test_zoom_keeps_its_limit_and_the_smallest_tenth_its_pixels(sizes: list[float], most: float, seed: int) -> None:
    found = np.array(sizes, np.float32)
    zoom, _ = draw_zoom(found, config=CONFIG.model_copy(update={"most_zoom": most}), rng=np.random.default_rng(seed))
    assert 1 / most - 1e-6 <= zoom <= most + 1e-6
    smallest = float(np.quantile(found, 0.1))
    assert zoom * smallest >= min(smallest, FEWEST_PX) - 1e-3


@pytest.mark.parametrize(("sizes", "probability"), [([], 1.0), ([20.0], 0.0)], ids=["no nucleus", "never"])
def test_without_a_size_the_zoom_is_that_of_the_scale(sizes: list[float], probability: float) -> None:
    rng, config = np.random.default_rng(0), CONFIG.model_copy(update={"size_probability": probability, "scale": 0.5})
    found = [draw_zoom(np.array(sizes, np.float32), config=config, rng=rng) for _ in range(300)]
    assert {place for _, place in found} == {None}
    zooms = [zoom for zoom, _ in found]
    assert 1 / 1.5 <= min(zooms) < 0.7
    assert 1.4 < max(zooms) <= 1.5


def test_size_is_drawn_as_often_as_the_config_says() -> None:
    rng, config = np.random.default_rng(0), CONFIG.model_copy(update={"size_probability": 0.3})
    places = [draw_zoom(np.array([20.0], np.float32), config=config, rng=rng)[1] for _ in range(500)]
    assert 120 <= sum(place is not None for place in places) <= 180
