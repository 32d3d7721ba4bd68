from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nanonuclei.data.batches import TrainBatches, ValidationBatches, sampling_weights
from nanonuclei.data.catalog import Catalog
from nanonuclei.tasks.nuclei.config import NucleiExperiment

Experiment = Callable[..., NucleiExperiment]


def target(labels: np.ndarray) -> np.ndarray:
    return (labels > 0).astype(np.uint8)[..., None]


def stream(config: NucleiExperiment, catalog: Catalog) -> TrainBatches:
    return TrainBatches(catalog.split("train"), config=config, target=target)


def test_batch_depends_on_seed_and_number_alone(experiment: Experiment, disc_catalog: Catalog) -> None:
    first, second = stream(experiment(), disc_catalog), stream(experiment({"train.workers": 3}), disc_catalog)
    expected = [first[number] for number in range(4)]
    np.random.default_rng(0).random(7)
    for number in (2, 0, 3, 1):
        for mine, other in zip(second[number], expected[number], strict=True):
            np.testing.assert_array_equal(mine, other)
    first.close()
    second.close()


def test_stream_that_starts_later_gives_the_later_batches(experiment: Experiment, disc_catalog: Catalog) -> None:
    whole, rest = stream(experiment(), disc_catalog), stream(experiment(), disc_catalog)
    rest.start_at(3)
    np.testing.assert_array_equal(rest[0][0], whole[3][0])
    whole.close()
    rest.close()


def test_batches_differ(experiment: Experiment, disc_catalog: Catalog) -> None:
    batches = stream(experiment(), disc_catalog)
    assert not np.array_equal(batches[0][0], batches[1][0])
    batches.close()


def test_validation_shows_every_pixel_of_the_split(experiment: Experiment, disc_catalog: Catalog) -> None:
    samples = disc_catalog.split("val")
    batches = ValidationBatches(samples, config=experiment({"train.patch_size": 16}), target=target)
    shown = [batches[place] for place in range(batches.num_batches)]
    patches = sum(len(images) for images, _ in shown)
    assert patches == sum(-(-s.height // 16) * -(-s.width // 16) for s in samples)
    assert sum(int(targets.sum()) for _, targets in shown) >= sum(int((s.labels() > 0).sum()) for s in samples)


def test_validation_is_the_same_each_time(experiment: Experiment, disc_catalog: Catalog) -> None:
    batches = ValidationBatches(disc_catalog.split("val"), config=experiment(), target=target)
    np.testing.assert_array_equal(batches[0][0], batches[0][0])


@pytest.mark.parametrize(("balance", "share_of_rare"), [(0.0, 0.1), (1.0, 0.5), (0.5, 1 / (1 + 3.0))])
def test_balance_moves_from_images_to_modalities(balance: float, share_of_rare: float) -> None:
    weights = sampling_weights(["a"] * 9 + ["b"], balance=balance)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[-1] == pytest.approx(share_of_rare)
