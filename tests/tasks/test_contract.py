"""What holds for every task."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import TINY, TINY_TUBES, score_map_of

from nanonuclei.config.params import load_experiment
from nanonuclei.data.catalog import Catalog
from nanonuclei.engine.evaluate import evaluate
from nanonuclei.engine.networks import network_of
from nanonuclei.tasks import create_task, task_names
from nanonuclei.tasks.base import Task

ROOT = Path(__file__).parents[2]
SMALL = {"nuclei": (TINY, "disc_catalog"), "nanotubes": (TINY_TUBES, "tube_catalog")}
"""Per task, settings under which everything takes seconds, and a fixture with images."""


@pytest.fixture(params=sorted(task_names()))
def task(request: pytest.FixtureRequest) -> Task:
    return create_task(load_experiment(request.param, path=ROOT / "params.yaml", settings=SMALL[request.param][0]))


@pytest.fixture
def catalog(task: Task, request: pytest.FixtureRequest) -> Catalog:
    found: Catalog = request.getfixturevalue(SMALL[task.config.task][1])
    return found


def test_training_batches_are_images_in_0_to_1_and_what_the_network_is_to_answer(task: Task, catalog: Catalog) -> None:
    batches = task.batches(catalog.split("train"), training=True)
    image, target, *_ = batches[0]
    size, batch = task.config.train.patch_size, task.config.train.batch_size
    assert image.shape[0] == batch
    assert image.shape[3] == 3
    assert min(image.shape[1:3]) >= size
    assert image.dtype == np.float32
    assert 0.0 <= image.min() <= image.max() <= 1.0
    answer = task.build_network().predict_on_batch(image)
    assert target.shape == (*answer.shape[:-1], 1)
    batches.close()


def test_stream_of_batches_depends_on_their_number_alone(task: Task, catalog: Catalog) -> None:
    whole, later = (task.batches(catalog.split("train"), training=True) for _ in range(2))
    later.start_at(2)
    for one, other in zip(whole[2], later[0], strict=True):
        np.testing.assert_array_equal(one, other)
    whole.close()
    later.close()


def test_network_answers_scores_in_0_to_1(task: Task, catalog: Catalog) -> None:
    image, *_ = task.batches(catalog.split("val"), training=False)[0]
    answer = task.build_network().predict_on_batch(image)
    assert answer.dtype == np.float32
    assert 0.0 <= answer.min() <= answer.max() <= 1.0


def test_model_is_compiled_and_takes_the_batches(task: Task, catalog: Catalog) -> None:
    batches = task.batches(catalog.split("val"), training=False)
    losses = task.build_model().test_on_batch(*batches[0], return_dict=True)
    assert np.isfinite(losses["loss"])
    assert list(task.curve_names) == [name for name in losses if name != "loss"]


def test_image_has_a_score_map_of_its_size_and_objects_inside_it(task: Task, catalog: Catalog) -> None:
    network, image = network_of(task, task.build_network()), catalog.samples[0].image()
    score_map = score_map_of(task, network, image)
    assert score_map.shape[:2] == image.shape[:2]
    assert score_map.dtype == np.float32
    found = task.instances(score_map, image.shape[:2])
    assert found.labels is not None
    assert found.labels.shape == image.shape[:2]
    assert (found.boxes[:, :2] >= 0).all()
    assert (found.boxes[:, 2:] <= image.shape[:2]).all()


def test_statistics_of_images_add_up_to_one_score(task: Task, catalog: Catalog) -> None:
    samples = catalog.split("test")
    report = evaluate(task, task.build_network(), samples)
    names = [name for name in report.per_image if name not in ("sample_id", "modality", "field", "height", "width")]
    score = task.score({name: np.array([report.per_image[name].sum()]) for name in names})
    assert report.per_image["images"].sum() == len(samples)
    for name, values in score.items():
        assert values.shape == (1,)
        np.testing.assert_allclose(values[0], report.metrics[name], rtol=1e-9)


def test_score_works_on_many_sums_at_once(task: Task, catalog: Catalog) -> None:
    report = evaluate(task, task.build_network(), catalog.split("test"))
    names = [name for name in report.per_image if name not in ("sample_id", "modality", "field", "height", "width")]
    rows = {name: report.per_image[name].to_numpy(float) for name in names}
    together = task.score(rows)
    for place in range(len(report.per_image)):
        alone = task.score({name: values[place : place + 1] for name, values in rows.items()})
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][place], values[0], rtol=1e-9)


def test_score_of_nothing_found_is_no_error(task: Task, catalog: Catalog) -> None:
    sample = catalog.samples[0]
    score_map = score_map_of(task, network_of(task, task.build_network()), sample.image())
    nothing = np.zeros_like(score_map)
    if nothing.shape[-1] == 3:
        nothing[..., 0] = 1.0  # all background
    assert len(task.instances(nothing, (sample.height, sample.width))) == 0
    row = task.assess(sample, nothing).statistics
    score = task.score({name: np.array([value]) for name, value in row.items()})
    assert [values[0] for name, values in score.items() if name.endswith("f1")] == [0.0]


def test_what_libraries_write_when_a_task_is_loaded_is_hidden(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def loaded(*_: str) -> Any:
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n")
        return lambda config: config

    config = load_experiment("nuclei", path=ROOT / "params.yaml")
    monkeypatch.setattr("nanonuclei.tasks._part", loaded)
    create_task(config)
    assert not capfd.readouterr().err
