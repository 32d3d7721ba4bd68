"""Changes of images as facts: what they keep, what they alter and by how much, and that a seed decides them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from perturbations import DIMMED, EMPTY_FIELDS, LARGEST, PERTURBATIONS, centre, half_dimmed, local_background

BACKGROUND, BRIGHT = 20, 180
GRID = [(40 + 60 * row, 40 + 60 * column) for row in range(4) for column in range(4)]


def discs(radius: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Sixteen discs of one brightness on a flat background, 260 x 260 px."""
    labels = np.zeros((260, 260), np.uint16)
    for number, (y, x) in enumerate(GRID, start=1):
        cv2.circle(labels, (x, y), radius, number, -1)
    return np.where(labels > 0, BRIGHT, BACKGROUND).astype(np.uint8), labels


def changed(name: str, image: np.ndarray, labels: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return PERTURBATIONS[name](image, labels, np.random.default_rng(seed))


def in_form(image: np.ndarray, form: str) -> np.ndarray:
    if form == "colour":
        return np.stack([image, image // 2, 255 - image], axis=2)
    return image.astype(np.uint16) * 200 if form == "16 bit" else image


@pytest.mark.parametrize("form", ["grey", "colour", "16 bit"])
@pytest.mark.parametrize("name", list(PERTURBATIONS))
def test_a_change_keeps_types_and_arguments_and_follows_from_its_seed(name: str, form: str) -> None:
    image, labels = discs()
    image = in_form(cv2.GaussianBlur(image, (0, 0), 1.0), form)
    before = image.copy(), labels.copy()
    new, new_labels = changed(name, image, labels)
    assert (new.dtype, new_labels.dtype) == (image.dtype, labels.dtype)
    assert new.shape == (*new_labels.shape, *image.shape[2:])
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(labels, before[1])
    again, _ = changed(name, image, labels)
    np.testing.assert_array_equal(new, again)
    if name != "unchanged":
        assert new.shape != image.shape or (new != image).any()


@pytest.mark.parametrize("name", list(PERTURBATIONS))
def test_an_image_of_one_grey_value_without_nuclei_can_be_changed(name: str) -> None:
    image, labels = np.full((40, 50), 90, np.uint8), np.zeros((40, 50), np.uint16)
    new, new_labels = changed(name, image, labels)
    assert new.shape == new_labels.shape
    assert new_labels.max() == 0


@pytest.mark.parametrize(("name", "factor"), [("zoom 0.25", 0.25), ("zoom 0.5", 0.5), ("zoom 2", 2), ("zoom 4", 4)])
def test_zoom_keeps_nuclei_that_are_large_enough_and_scales_their_area(name: str, factor: float) -> None:
    image, labels = discs(radius=16)
    perturbation = PERTURBATIONS[name]
    _, seen_labels = centre(image, labels, perturbation.crop)
    new, new_labels = perturbation(image, labels, np.random.default_rng(0))
    assert np.unique(new_labels).tolist() == np.unique(seen_labels).tolist()
    assert max(new_labels.shape) <= LARGEST
    areas = np.bincount(new_labels.ravel())[1:] / np.bincount(seen_labels.ravel())[1:]
    np.testing.assert_allclose(areas, factor**2, rtol=0.15)
    inside = cv2.erode((new_labels > 0).astype(np.uint8), np.ones((3, 3))) > 0
    assert np.median(new[inside]) == BRIGHT  # labels still lie on their nuclei


def test_centre_is_cut_from_the_middle_and_small_images_stay_whole() -> None:
    labels = np.arange(48).reshape(6, 8)
    assert centre(labels, labels, 2)[1].tolist() == [[19, 20], [27, 28]]
    assert centre(labels, labels, 7)[0].shape == (6, 7)
    assert centre(labels, labels, 0)[0] is labels


def test_gamma_bends_between_the_ends_of_the_images_own_range() -> None:
    image = np.array([[20, 60, 100, 180]], np.uint8)
    labels = np.zeros((1, 4), np.uint16)
    assert changed("gamma 2", image, labels)[0].tolist() == [[20, 30, 60, 180]]
    assert changed("gamma 0.5", image, labels)[0].tolist() == [[20, 100, 133, 180]]


def test_inverting_twice_is_the_image() -> None:
    image, labels = discs()
    once, _ = changed("inverted", image, labels)
    assert (once[labels > 0] == 255 - BRIGHT).all()
    np.testing.assert_array_equal(changed("inverted", once, labels)[0], image)


@pytest.mark.parametrize("form", ["grey", "colour", "16 bit"])
def test_dimming_leaves_half_of_the_nuclei_as_they_are_and_a_part_of_the_others_contrast(form: str) -> None:
    image, labels = discs()
    image = in_form(image, form)
    new, new_labels = changed("half dimmed", image, labels)
    np.testing.assert_array_equal(new_labels, labels)
    before, after = (array.reshape(*labels.shape, -1)[..., 0].astype(float) for array in (image, new))
    unit = after[0, 0] / BACKGROUND
    kept = [number for number in range(1, 17) if (after[labels == number] == before[labels == number]).all()]
    assert len(kept) == 8
    for number in set(range(1, 17)) - set(kept):
        contrast = after[labels == number] / unit - BACKGROUND
        np.testing.assert_allclose(contrast, DIMMED * (BRIGHT - BACKGROUND), atol=1)


def test_dimming_takes_the_background_beside_the_nucleus() -> None:
    image, labels = discs()
    image[:, 130:] += 60  # brighter on the right; nuclei as well
    background = local_background(image, labels)
    assert background[40, 40] == pytest.approx(BACKGROUND, abs=3)
    assert background[40, 220] == pytest.approx(BACKGROUND + 60, abs=3)


def test_one_nucleus_alone_is_not_dimmed() -> None:
    image, labels = discs()
    image, labels = image[:70, :70], labels[:70, :70]
    assert half_dimmed(image, labels, np.random.default_rng(0))[0] is image


def test_hot_pixels_are_three_in_a_thousand_of_the_largest_value_in_all_channels() -> None:
    image, labels = np.full((200, 300, 3), 50, np.uint8), np.zeros((200, 300), np.uint16)
    new, _ = changed("hot pixels 0.3 %", image, labels)
    assert np.count_nonzero((new == 255).all(axis=2)) == 180
    assert np.count_nonzero((new != 50).any(axis=2)) == 180


def test_noise_is_a_tenth_of_the_range_or_that_of_thirty_photons() -> None:
    image, labels = np.full((200, 200), 100, np.uint8), np.zeros((200, 200), np.uint16)
    image[:100], image[0] = 160, 100
    gaussian, poisson = (changed(f"{name} noise", image, labels)[0][1:] for name in ("Gaussian", "Poisson"))
    for part, level in ((slice(0, 99), 160), (slice(99, None), 100)):
        assert gaussian[part].mean() == pytest.approx(level, abs=0.3)
        assert gaussian[part].std() == pytest.approx(6, abs=0.2)
        photons = 2 + 30 * (level - 100) / 60
        assert poisson[part].mean() == pytest.approx(level, abs=0.3)
        assert poisson[part].std() == pytest.approx(2 * photons**0.5, abs=0.2)


def test_uneven_light_falls_to_a_third_and_blur_keeps_the_sum() -> None:
    image, labels = np.full((100, 120), 200, np.uint8), np.zeros((100, 120), np.uint16)
    lit, _ = changed("uneven light", image, labels)
    assert (lit.min(), lit.max()) == (60, 200)
    image, labels = discs()
    soft, _ = changed("blur 2 px", image, labels)
    assert soft.mean() == pytest.approx(image.mean(), rel=0.01)
    assert soft[40, 52] == pytest.approx((BACKGROUND + BRIGHT) / 2, abs=20)  # at the edge of a disc


@pytest.mark.parametrize("scale", [1, 200])
def test_jpeg_loses_detail_and_keeps_the_picture(scale: int) -> None:
    image, labels = discs()
    image = image if scale == 1 else image.astype(np.uint16) * scale
    new, _ = changed("JPEG 20", image, labels)
    assert np.median(new[labels > 0]) == pytest.approx(BRIGHT * scale, rel=0.05)
    assert len(np.unique(new)) > 10  # ringing


@pytest.mark.parametrize("name", list(EMPTY_FIELDS))
def test_an_empty_field_is_an_image_of_the_wanted_size_that_follows_from_its_seed(name: str) -> None:
    first, again, other = (EMPTY_FIELDS[name](96, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.dtype == np.uint8
    assert first.shape[:2] == (96, 96)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (len(np.unique(first)) == 1) == (name == "constant")
