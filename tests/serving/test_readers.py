from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nanonuclei.config.experiment import EXPERIMENTS, NucleiExperiment
from nanonuclei.config.params import flatten
from nanonuclei.serving.readers import PARAMETERS, READERS, create_reader
from nanonuclei.tasks import create_task


def test_reader_of_a_task_answers_as_the_task(experiment: Callable[..., NucleiExperiment]) -> None:
    rng = np.random.default_rng(0)
    config = experiment({"instances.min_score": 0.3, "instances.min_area": 3})
    task, reader = create_task(config), create_reader(config)
    for image in (rng.integers(0, 255, (37, 61), np.uint8), rng.integers(0, 4000, (40, 40, 3), np.uint16)):
        np.testing.assert_array_equal(reader.network_input(image), task.network_input(image))
    score_map = rng.dirichlet((1, 1, 1), (48, 48)).astype(np.float32)
    ours, theirs = reader.instances(score_map), task.instances(score_map)
    assert len(ours) > 3
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    np.testing.assert_array_equal(ours.scores, theirs.scores)
    assert reader.windows == config.windows


def test_every_task_can_be_served_with_parameters_that_are_settings(
    experiment: Callable[..., NucleiExperiment],
) -> None:
    assert set(READERS) == set(PARAMETERS) == set(EXPERIMENTS)
    assert set(PARAMETERS["nuclei"].values()) <= set(flatten(experiment()))
