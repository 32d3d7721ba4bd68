"""What holds for every task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.conftest import TINY

from nanonuclei.config.experiment import EXPERIMENTS
from nanonuclei.config.params import load_experiment
from nanonuclei.data.catalog import Catalog
from nanonuclei.tasks import TASKS, Task, create_task

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=sorted(TASKS))
def task(request: pytest.FixtureRequest) -> Task:
    return create_task(load_experiment(request.param, path=ROOT / "params.yaml", settings=TINY))


def test_every_experiment_has_a_task() -> None:
    assert set(TASKS) == set(EXPERIMENTS)


def test_training_batches_have_the_promised_shape_and_range(task: Task, disc_catalog: Catalog) -> None:
    batches = task.batches(disc_catalog.split("train"), training=True)
    image, target = batches[0]
    size, batch = task.config.train.patch_size, task.config.train.batch_size
    assert image.shape == (batch, size, size, 3)
    assert image.dtype == np.float32
    assert 0.0 <= image.min() <= image.max() <= 1.0
    assert target.shape == (batch, size, size, 1)
    assert target.dtype == np.uint8
    batches.close()


def test_network_answers_one_score_per_pixel_in_0_to_1(task: Task) -> None:
    size = task.config.windows.size
    answer = task.build_network().predict_on_batch(np.zeros((2, size, size, 3), np.float32))
    assert answer.shape[:3] == (2, size, size)
    assert answer.dtype == np.float32
    assert 0.0 <= answer.min() <= answer.max() <= 1.0


def test_model_is_compiled_and_takes_the_batches(task: Task, disc_catalog: Catalog) -> None:
    batches = task.batches(disc_catalog.split("val"), training=False)
    losses = task.build_model().test_on_batch(*batches[0])
    assert np.isfinite(losses[0])


def test_statistics_of_images_add_up_to_one_score(task: Task, disc_catalog: Catalog) -> None:
    rows = []
    for sample in disc_catalog.split("test"):
        score_map = task.build_network().predict_on_batch(task.network_input(sample.image())[None])[0]
        rows.append(task.statistics(sample.labels(), score_map, task.instances(score_map)))
    sums = {name: np.array([sum(row[name] for row in rows)]) for name in rows[0]}
    score = task.score(sums)
    assert all(values.shape == (1,) and np.isfinite(values).all() for values in score.values())


def test_score_of_nothing_found_is_no_error(task: Task, disc_catalog: Catalog) -> None:
    sample = disc_catalog.samples[0]
    score_map = np.zeros((sample.height, sample.width, task.build_network().output_shape[-1]), np.float32)
    score_map[..., 0] = 1.0 if score_map.shape[-1] > 1 else 0.0
    found = task.instances(score_map)
    assert len(found) == 0
    row = task.statistics(sample.labels(), score_map, found)
    score = task.score({name: np.array([value]) for name, value in row.items()})
    assert score["f1"] == 0.0
