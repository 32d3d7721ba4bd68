"""The simulated dataset: repeatable, exactly labelled, and near the real images in what can be counted."""

from __future__ import annotations

from itertools import islice

import cv2
import numpy as np
import pytest
from scipy import ndimage

from nanonuclei.data.catalog import Sample
from nanonuclei.errors import DataError
from nanonuclei.tasks.nuclei.simulate.images import simulate_nuclei


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(simulate_nuclei(60, size=256, seed=7))


def areas(sample: Sample) -> np.ndarray:
    return np.bincount(sample.labels.ravel())[1:]


def test_samples_have_the_promised_names_shapes_and_types(samples):
    assert [sample.sample_id for sample in samples[:2]] == ["simulated_0000", "simulated_0001"]
    for sample in samples:
        assert sample.image.shape == sample.labels.shape == (256, 256)
        assert sample.image.dtype == np.uint8
        assert sample.labels.dtype == np.uint16


def test_labels_are_sequential_of_at_least_20_px_and_each_is_one_part(samples):
    for sample in samples:
        assert np.array_equal(np.unique(sample.labels), np.arange(sample.labels.max() + 1))
        assert areas(sample).min() >= 20
        for label, box in enumerate(ndimage.find_objects(sample.labels), start=1):
            part = (sample.labels[box] == label).astype(np.uint8)
            assert cv2.connectedComponents(part, connectivity=4)[0] == 2


@pytest.mark.parametrize("size", [64, 97, 256])
def test_the_same_seed_gives_the_same_images(size):
    first, second = (list(simulate_nuclei(3, size=size, seed=11)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.labels, other.labels)


def test_an_image_does_not_depend_on_how_many_are_drawn():
    few, many = list(simulate_nuclei(2, size=64, seed=3)), list(islice(simulate_nuclei(500, size=64, seed=3), 2))
    assert all(np.array_equal(one.image, other.image) for one, other in zip(few, many, strict=True))


def test_index_and_seed_change_the_image(samples):
    images = [sample.image.tobytes() for sample in samples]
    images += [sample.image.tobytes() for sample in simulate_nuclei(20, size=256, seed=8)]
    assert len(set(images)) == 80


@pytest.mark.parametrize("size", [64, 65, 130, 512])
def test_any_size_holds_nuclei(size):
    for sample in simulate_nuclei(4, size=size, seed=0):
        assert sample.image.shape == sample.labels.shape == (size, size)
        assert sample.labels.max() >= 1


def test_counts_and_areas_vary_as_in_real_fluorescence_images(samples):
    counts = [int(sample.labels.max()) for sample in samples]
    sizes = np.concatenate([areas(sample) for sample in samples])
    assert 1 <= min(counts) <= 8
    assert 60 <= max(counts) <= 110
    assert 10 <= np.median(counts) <= 30
    assert 90 <= np.median(sizes) <= 260
    assert np.percentile(sizes, 5) <= 60
    assert np.percentile(sizes, 95) >= 600
    assert sizes.max() <= np.pi * 32.0**2 * 1.3


def test_foreground_and_touching_shares_are_near_the_real_ones(samples):
    foreground = np.mean([np.mean(sample.labels > 0) for sample in samples])
    touching = 0
    for sample in samples:
        labels = sample.labels.astype(np.int32)
        lowest = ndimage.minimum_filter(np.where(labels > 0, labels, 2**16), 3)
        highest = ndimage.maximum_filter(labels, 3)
        meets = (labels > 0) & ((lowest != labels) | (highest != labels))
        touching += len(np.unique(labels[meets]))
    assert 0.08 <= foreground <= 0.18
    assert 0.18 <= touching / sum(int(sample.labels.max()) for sample in samples) <= 0.40


def test_nuclei_are_brighter_than_their_surroundings(samples):
    brighter = []
    for sample in samples:
        mask = (sample.labels > 0).astype(np.uint8)
        around = (cv2.dilate(mask, np.ones((9, 9))) > 0) & (cv2.dilate(mask, np.ones((3, 3))) == 0)
        outside = sample.image[around].mean()
        assert sample.image[mask > 0].mean() > outside + 3.0
        numbers = np.arange(1, sample.labels.max() + 1)
        brighter.extend(ndimage.mean(sample.image, sample.labels, numbers) > outside)
    assert np.mean(brighter) > 0.97


def test_contrast_and_background_differ_from_image_to_image(samples):
    background = [np.median(sample.image[sample.labels == 0]) for sample in samples]
    nuclei = [np.median(sample.image[sample.labels > 0]) for sample in samples]
    assert min(background) <= 5 < 12 <= max(background)
    assert min(nuclei) < 30
    assert max(nuclei) > 90


@pytest.mark.parametrize(
    ("num_images", "size", "seed", "message"),
    [(1, 63, 0, "size=63"), (-1, 64, 0, "num_images=-1"), (1, 64, -2, "seed=-2")],
)
def test_impossible_requests_fail_at_once(num_images, size, seed, message):
    with pytest.raises(DataError, match=message):
        simulate_nuclei(num_images, size=size, seed=seed)


def test_no_images_are_no_samples():
    assert list(simulate_nuclei(0, size=64, seed=0)) == []
