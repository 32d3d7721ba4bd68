from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nanonuclei.data.batches import TrainBatches, ValidationBatches
from nanonuclei.data.catalog import Catalog
from nanonuclei.data.patches import Patches
from nanonuclei.data.workers import MOST_THREADS, Workers, number_of_workers, share_of_memory
from nanonuclei.tasks.nuclei.config import NucleiExperiment, TargetConfig
from nanonuclei.tasks.nuclei.target import NucleiTarget

Experiment = Callable[..., NucleiExperiment]


TARGET = NucleiTarget(TargetConfig(kind="foreground", border_width="fixed", border=1, core=0.5, diameter=False))


def stream(config: NucleiExperiment, catalog: Catalog) -> TrainBatches:
    patches = Patches(catalog.split("train"), config=config, target=TARGET)
    return TrainBatches(patches, workers=config.train.workers)


def test_batch_depends_on_seed_and_number_alone(experiment: Experiment, disc_catalog: Catalog) -> None:
    first, second = stream(experiment(), disc_catalog), stream(experiment({"train.workers": 1}), disc_catalog)
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
    batches = ValidationBatches(samples, config=experiment({"train.patch_size": 16}), target=TARGET)
    shown = [batches[place] for place in range(batches.num_batches)]
    patches = sum(len(images) for images, _ in shown)
    assert patches == sum(-(-s.height // 16) * -(-s.width // 16) for s in samples)
    assert sum(int(targets.sum()) for _, targets in shown) >= sum(int((s.labels() > 0).sum()) for s in samples)


@pytest.mark.parametrize("kept", [True, False])
def test_validation_is_the_same_each_time(
    experiment: Experiment, disc_catalog: Catalog, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kept:
        monkeypatch.setattr("nanonuclei.data.batches.MOST_KEPT", 0)
    made: list[None] = []

    def target(labels: np.ndarray, diameters: None) -> np.ndarray:
        made.append(None)
        return TARGET(labels, diameters)

    batches = ValidationBatches(disc_catalog.split("val"), config=experiment(), target=target)
    (images, targets), (images_again, targets_again) = batches[0], batches[0]
    np.testing.assert_array_equal(images, images_again)
    np.testing.assert_array_equal(targets, targets_again)
    assert len(made) == len(images) * (1 if kept else 2)
    assert (images is images_again) == kept


def test_threads_and_processes_give_the_same_batches(experiment: Experiment, disc_catalog: Catalog) -> None:
    assert MOST_THREADS < 3
    few, many = (stream(experiment({"train.workers": workers}), disc_catalog) for workers in (1, 3))
    for number in (0, 1, 4):
        for mine, other in zip(many[number], few[number], strict=True):
            np.testing.assert_array_equal(mine, other)
    few.close()
    many.close()


def test_number_of_workers_follows_the_machine_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for cores in (1, 2, 4, 16, 128, None):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        found[cores] = (number_of_workers("auto", gpu=False), number_of_workers("auto", gpu=True))
        assert number_of_workers(5, gpu=True) == 5
    assert found == {1: (2, 2), 2: (2, 2), 4: (2, 2), 16: (2, 14), 128: (2, 64), None: (2, 2)}


class Shares:
    def batch(self, number: int) -> tuple[float]:
        return (share_of_memory(),)


def test_processes_share_the_memory_for_images() -> None:
    for number, share in ((2, 1.0), (4, 0.25)):
        workers = Workers(Shares(), number)
        assert workers.submit(0).result() == (share,)
        workers.close()


def test_bytes_of_a_stream_become_floats_and_floats_stay() -> None:
    class Ramps:
        def batch(self, number: int) -> tuple[np.ndarray, ...]:
            ramp = np.arange(256).reshape(1, 16, 16, 1)
            return (ramp.astype(np.uint8) if number == 0 else ramp / np.float32(512.0), np.full((1, 1), number))

    batches = TrainBatches(Ramps(), workers=1)
    images, numbers = batches[0]
    np.testing.assert_allclose(images.ravel(), np.arange(256) / 255.0, rtol=1e-6)
    assert images.dtype == np.float32
    assert numbers.item() == 0
    np.testing.assert_array_equal(batches[1][0].ravel(), np.arange(256, dtype=np.float32) / 512.0)
    batches.close()
