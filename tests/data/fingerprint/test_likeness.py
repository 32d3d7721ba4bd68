"""Training images as a few numbers each: images like them are not strange, changed ones are, and words say how."""

from __future__ import annotations

import numpy as np
import pytest

from nanonuclei.data.fingerprint.likeness import Features, Likeness, measure


def drawn(count: int, *, seed: int) -> np.ndarray:
    """Features of images of one microscope: grey values that rise together, and objects of 20 px or so."""
    rng = np.random.default_rng(seed)
    middle = 0.1 * 2 ** rng.normal(0, 0.3, count)
    greys = [middle * factor for factor in (0.5, 0.8, 1.0, 1.5, 4.0)]
    return np.column_stack([*greys, np.zeros(count), 20 * 2 ** rng.normal(0, 0.2, count)])


@pytest.fixture(scope="module")
def likeness() -> Likeness:
    return Likeness(drawn(300, seed=0), np.arange(300))


def mean_strangeness(likeness: Likeness, rows: np.ndarray) -> float:
    return float(np.mean([likeness.strangeness(Features(*row)) for row in rows]))


def test_images_like_those_of_training_lie_in_the_middle(likeness: Likeness) -> None:
    assert mean_strangeness(likeness, drawn(300, seed=1)) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    ("column", "factor", "words"),
    [
        (slice(0, 5), 1 / 8, "darker"),
        (slice(0, 5), 4, "brighter"),
        (6, 4, "objects are"),
        (2, 3, "brighter"),
    ],
)
def test_changed_images_are_strange_and_words_say_how(
    likeness: Likeness, column: int | slice, factor: float, words: str
) -> None:
    rows = drawn(100, seed=2)
    rows[:, column] *= factor
    assert mean_strangeness(likeness, rows) > 0.9
    assert words in likeness.difference([Features(*row) for row in rows])


def test_words_tell_the_factor_beyond_the_darkest_training_image() -> None:
    rows = np.array([[0.5, 0.5, 0.5, 0.5, 0.5, 0.0, 20.0 + place] for place in range(10)])
    dark = Features(0.5, 0.5, 0.1, 0.5, 0.5, 0.0, 25.0)
    factor = (0.5 + 1 / 128) / (0.1 + 1 / 128)
    said = Likeness(rows, np.arange(10)).difference([dark] * 3)
    assert said == f"images are {factor:.1f} times darker than any of training"


def test_combination_that_training_never_showed_is_strange() -> None:
    rows = drawn(200, seed=3)
    rows[:100, :5] *= 4  # bright images hold small objects, dark ones large objects
    rows[:100, 6] /= 2
    likeness = Likeness(rows, np.arange(200))
    swapped = rows[:100].copy()
    swapped[:, 6] *= 2
    assert mean_strangeness(likeness, swapped) > 0.9
    assert "the most alike of training" in likeness.difference([Features(*row) for row in swapped])


def test_images_of_one_field_are_no_neighbours_of_each_other() -> None:
    rows = np.repeat(drawn(20, seed=4), 5, axis=0)
    apart = Likeness(rows, np.repeat(np.arange(20), 5))
    near = Likeness(rows, np.arange(100))
    one = Features(*drawn(1, seed=5)[0])
    assert apart.strangeness(one) < near.strangeness(one)


def test_measures_of_an_image_computed_by_hand() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = (255, 0, 0)
    found = measure(image, boxes=[(0, 0, 4, 9), (0, 0, 10, 10), (0, 0, 20, 20)])
    assert found.p1 == 0
    assert found.p99 == pytest.approx(1 / 3)
    assert found.colour == pytest.approx((2 / 3 + 1 / 3 + 1 / 3) / 3 / 2)
    assert found.diameter == 10
    assert measure(np.full((3, 3), 65_535, np.uint16), boxes=[]) == Features(1, 1, 1, 1, 1, 0, 0)
