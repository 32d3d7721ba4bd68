"""Training patches of nuclei."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest

from nanonuclei.config.params import Scalar
from nanonuclei.data.catalog import Catalog
from nanonuclei.data.patches import Patches, decoder, sampling_weights
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tasks.nuclei.target import NucleiTarget

Experiment = Callable[..., NucleiExperiment]
LOOKS: dict[str, Scalar] = {
    **{f"augment.{name}": 0.5 for name in ("stain", "tint", "dim", "blur", "shade", "camera", "hot_pixels")},
    **{f"augment.{name}": 0.5 for name in ("compress", "stretch", "empty", "size_probability")},
    "target.diameter": True,
}


def patches(config: NucleiExperiment, catalog: Catalog) -> Patches:
    return Patches(catalog.split("train"), config=config, target=NucleiTarget(config.target))


def test_batch_is_bytes_of_images_and_targets(experiment: Experiment, disc_catalog: Catalog) -> None:
    images, targets = patches(experiment({**LOOKS, "train.batch_size": 6}), disc_catalog).batch(0)
    assert images.dtype == targets.dtype == np.uint8
    assert images.shape == (6, 32, 32, 3)
    assert targets.shape == (6, 32, 32, 2)
    assert set(np.unique(targets[..., 0])) <= {0, 1, 2}
    np.testing.assert_array_equal(targets[..., 0] > 0, targets[..., 1] > 0)


def test_batch_depends_on_seed_and_number_alone(experiment: Experiment, disc_catalog: Catalog) -> None:
    config = experiment(LOOKS)
    one, other = patches(config, disc_catalog), patches(config, disc_catalog)
    expected = [one.batch(number) for number in range(3)]
    np.random.default_rng(0).random(5)
    for number in (2, 0, 1):
        for mine, theirs in zip(other.batch(number), expected[number], strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert not np.array_equal(expected[0][0], expected[1][0])
    again = patches(experiment({**LOOKS, "seed": 8}), disc_catalog).batch(0)
    assert not np.array_equal(again[0], expected[0][0])


def test_patches_that_were_sent_elsewhere_give_the_same_batches(experiment: Experiment, disc_catalog: Catalog) -> None:
    here = patches(experiment(LOOKS), disc_catalog)
    expected = here.batch(1)
    content = pickle.dumps(here)
    assert len(content) < 20_000  # the images stay behind
    for mine, theirs in zip(pickle.loads(content).batch(1), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_without_looks_a_patch_of_a_grey_image_is_grey(experiment: Experiment, disc_catalog: Catalog) -> None:
    for number in range(5):
        images, _ = patches(experiment(), disc_catalog).batch(number)
        assert (images == images[..., :1]).all()


def test_tinted_patches_have_colours(experiment: Experiment, disc_catalog: Catalog) -> None:
    images, _ = patches(experiment({"augment.tint": 1.0}), disc_catalog).batch(0)
    assert all(not (image == image[..., :1]).all() for image in images)


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0.0, 0.0), (0.5, 0.35, 0.65), (1.0, 1.0, 1.0)])
def test_as_many_patches_are_empty_fields_as_asked(
    experiment: Experiment, disc_catalog: Catalog, share: float, low: float, high: float
) -> None:
    settings: dict[str, Scalar] = {"augment.empty": share, "train.batch_size": 100, "train.patch_size": 40}
    config = experiment({**settings, "augment.size_probability": 1.0, "target.diameter": True})
    _, targets = patches(config, disc_catalog).batch(0)
    without = float(np.mean(~targets.any(axis=(1, 2, 3))))
    assert low <= without <= high + 0.1  # a fifth of the patches of a size lies anywhere, some of them beside all discs


def test_diameters_are_those_of_the_zoomed_nuclei(experiment: Experiment, disc_catalog: Catalog) -> None:
    """All nuclei of 6 to 12 px are brought to about 24 px; the diameter told is that of the whole, cut or not."""
    sizes = {f"augment.{name}_diameter": 24.0 for name in ("least", "usual", "largest")}
    config = experiment({**sizes, "augment.size_probability": 1.0, "target.diameter": True, "train.batch_size": 40})
    _, targets = patches(config, disc_catalog).batch(0)
    told = 2.0 ** (targets[..., 1][targets[..., 1] > 0] / 24.0)
    assert 15.0 < np.median(told) < 35.0
    assert told.min() > 6.0


@pytest.mark.parametrize(("balance", "share_of_rare"), [(0.0, 0.1), (1.0, 0.5), (0.5, 1 / (1 + 3.0))])
def test_balance_moves_from_images_to_modalities(balance: float, share_of_rare: float) -> None:
    weights = sampling_weights(["a"] * 9 + ["b"], balance=balance)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[-1] == pytest.approx(share_of_rare)


def test_decoded_sample_holds_areas_and_sizes_of_its_labels(experiment: Experiment, disc_catalog: Catalog) -> None:
    samples = disc_catalog.split("val")
    decode = decoder(samples, experiment())
    found, labels = decode(1), samples[1].labels()
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.areas, np.bincount(labels.ravel()))
    assert len(found.objects.diameters) == len(np.unique(labels)) - 1
    assert decode(1) is found
