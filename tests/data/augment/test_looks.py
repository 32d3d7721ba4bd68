"""Changes of how a patch looks."""

from __future__ import annotations

import numpy as np
import pytest
from tests.conftest import disc_labels
from tests.data.augment.settings import STILL, changed

from nanonuclei.data.augment.looks import (
    after_grey_values,
    before_grey_values,
    compressed,
    photographed,
    restained,
    smooth_field,
    some_dimmed,
    stretched,
    tinted,
    unevenly_lit,
    with_hot_pixels,
)

LABELS = disc_labels((96, 96), [(48.0, 48.0, 20.0)])
GREY = np.where(LABELS > 0, 0.8, 0.2).astype(np.float32)
STAINED = np.where(LABELS[..., None] > 0, [0.35, 0.25, 0.6], [0.9, 0.75, 0.85]).astype(np.float32)
CHANCES = ("stain", "dim", "blur", "shade", "camera", "hot_pixels", "compress", "stretch")


def looked(image: np.ndarray, seed: int, **chances: float) -> np.ndarray:
    rng, config = np.random.default_rng(seed), changed(**chances)
    return after_grey_values(before_grey_values(image, LABELS, config=config, rng=rng), config=config, rng=rng)


def centroid(image: np.ndarray) -> np.ndarray:
    """Of the contrast to the background, which the border of the image shows."""
    plane = image.mean(axis=2) if image.ndim == 3 else image
    y, x = np.indices(plane.shape)
    border = np.concatenate([plane[:8].ravel(), plane[-8:].ravel()])
    contrast = np.abs(plane - np.median(border))
    contrast[(y - 48) ** 2 + (x - 48) ** 2 > 30**2] = 0.0
    return np.array([(contrast * y).sum(), (contrast * x).sum()]) / contrast.sum()


@pytest.mark.parametrize("chance", CHANCES)
@pytest.mark.parametrize("image", [GREY, STAINED], ids=["grey", "colour"])
def test_looks_leave_the_nucleus_where_it_is_and_values_in_range(chance: str, image: np.ndarray) -> None:
    before, labels = image.copy(), LABELS.copy()
    for seed in range(10):
        out = looked(image, seed, **{chance: 1.0})
        assert out.shape == image.shape
        assert out.dtype == np.float32
        assert 0.0 <= out.min() <= out.max() <= 1.0
        if chance != "shade":  # uneven light weighs one side of the disc more
            np.testing.assert_allclose(centroid(out), [48.0, 48.0], atol=1.0)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(LABELS, labels)


def test_edge_of_a_disc_stays_in_its_place_in_uneven_light() -> None:
    for seed in range(20):
        out = looked(GREY, seed, shade=1.0)
        steps = np.abs(np.diff(out[48]))
        assert set(np.argsort(steps)[-2:].tolist()) == {27, 68}  # the disc covers columns 28 to 68


def test_without_chances_nothing_changes() -> None:
    for image in (GREY, STAINED):
        np.testing.assert_array_equal(looked(image, 0), image)
    assert all(getattr(STILL, name) == 0.0 for name in CHANCES)


@pytest.mark.parametrize("chance", CHANCES)
def test_chances_are_kept_and_the_same_state_gives_the_same_image(chance: str) -> None:
    image = np.random.default_rng(0).uniform(0.2, 0.8, (96, 96, 3)).astype(np.float32)
    differs = sum(not np.array_equal(looked(image, seed, **{chance: 0.5}), image) for seed in range(60))
    assert 18 <= differs <= 42
    np.testing.assert_array_equal(looked(image, 7, **{chance: 1.0}), looked(image, 7, **{chance: 1.0}))


def test_grey_image_is_not_restained() -> None:
    np.testing.assert_array_equal(looked(GREY, 0, stain=1.0), GREY)


def test_restaining_changes_colours_and_keeps_nuclei_darker_than_the_ground() -> None:
    for seed in range(20):
        out = restained(STAINED, np.random.default_rng(seed))
        assert not np.allclose(out, STAINED, atol=0.01)
        assert out[LABELS > 0].mean() < out[LABELS == 0].mean()


def test_some_nuclei_are_dimmed_and_the_background_is_left() -> None:
    labels = disc_labels(
        (120, 120), [(y, x, 8.0) for y in (15.0, 45.0, 75.0, 105.0) for x in (15.0, 45.0, 75.0, 105.0)]
    )
    rng = np.random.default_rng(0)
    image = (np.where(labels > 0, 0.9, 0.1) + rng.uniform(-0.02, 0.02, labels.shape)).astype(np.float32)
    out = some_dimmed(image, labels, np.random.default_rng(1))
    away = np.ones(labels.shape, bool)
    for number in range(1, 17):
        y, x = (axis.mean() for axis in np.nonzero(labels == number))
        rows, columns = np.indices(labels.shape)
        away &= (rows - y) ** 2 + (columns - x) ** 2 > 13**2
    np.testing.assert_allclose(out[away], image[away], atol=1e-5)
    middles = np.array([out[y - 3 : y + 4, x - 3 : x + 4].mean() for y in (15, 45, 75, 105) for x in (15, 45, 75, 105)])
    bright = np.isclose(middles, 0.9, atol=0.01)
    assert 2 <= bright.sum() <= 14
    assert (middles[~bright] < 0.1 + 0.8 * 0.6 + 0.02).all()
    assert (middles[~bright] > 0.1 + 0.8 * 0.12 - 0.02).all()


def test_image_without_nuclei_has_none_to_dim() -> None:
    image = np.random.default_rng(0).random((16, 16), np.float32)
    assert some_dimmed(image, np.zeros((16, 16), np.int32), np.random.default_rng(0)) is image


@pytest.mark.parametrize("shape", [(100, 100), (100, 100, 3)])
def test_hot_pixels_are_at_most_0_6_percent_of_the_image(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 0.25, np.float32)
    bright, dark = [], []
    for seed in range(60):
        out = with_hot_pixels(image, np.random.default_rng(seed))
        plane = out if out.ndim == 2 else out[..., 0]
        bright.append(int((plane >= 0.5).sum()))
        dark.append(int((plane == 0.0).sum()))
        assert set(np.unique(plane[(plane < 0.5) & (plane > 0.0)])) == {np.float32(0.25)}
        if out.ndim == 3:
            assert (out == out[..., :1]).all()
    assert 30 < max(bright) <= 63
    assert 0 < max(dark) <= 63
    assert 0.1 < np.mean(np.array(dark) > 0) < 0.5


def test_brightest_channel_of_a_tinted_image_keeps_the_values() -> None:
    brightest = set()
    for seed in range(30):
        out = tinted(GREY, np.random.default_rng(seed))
        assert out.shape == (96, 96, 3)
        np.testing.assert_array_equal(out.max(axis=2), GREY)
        brightest.add(int(out.mean(axis=(0, 1)).argmax()))
    assert brightest == {0, 1, 2}


def test_noise_of_photons_is_stronger_where_it_is_bright() -> None:
    image = np.full((64, 128), 0.1, np.float32)
    image[:, 64:] = 0.9
    for seed in range(20):
        out = photographed(image, np.random.default_rng(seed)) - image
        assert out[:, 64:].std() > out[:, :64].std()
        assert abs(out.mean()) < 0.02
        assert out[:, 64:].std() < np.sqrt(0.9 / 12 + 0.06**2) * 1.1


def test_light_changes_smoothly() -> None:
    image = np.full((64, 64), 0.5, np.float32)
    for seed in range(20):
        out = unevenly_lit(image, np.random.default_rng(seed))
        assert out.std() > 0.0
        assert max(np.abs(np.diff(out, axis=axis)).max() for axis in (0, 1)) < 0.1


def test_smooth_field_spans_0_to_1() -> None:
    for seed in range(10):
        field = smooth_field((40, 70), np.random.default_rng(seed))
        assert field.shape == (40, 70)
        assert field.min() == 0.0
        assert field.max() == pytest.approx(1.0)


def test_compression_keeps_even_areas_and_colours() -> None:
    for image in (GREY, STAINED):
        out = compressed(image, np.random.default_rng(0))
        inside = disc_labels((96, 96), [(48.0, 48.0, 8.0)]) > 0
        np.testing.assert_allclose(out[inside].mean(axis=0), image[48, 48], atol=0.08)
        assert not np.array_equal(out, image)


def test_stretched_patch_has_its_percentiles_at_0_and_1() -> None:
    image = np.random.default_rng(0).uniform(0.3, 0.5, (100, 100)).astype(np.float32)
    low, high = np.percentile(stretched(image)[::2, ::2], (1.0, 99.8))
    assert low == pytest.approx(0.0, abs=1e-4)
    assert high == pytest.approx(1.0, abs=1e-4)


def test_constant_patch_is_not_stretched() -> None:
    image = np.full((10, 10), 0.4, np.float32)
    np.testing.assert_array_equal(stretched(image), image)
