from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from nanonuclei.config.params import with_settings
from nanonuclei.config.pixels import InstancesConfig
from nanonuclei.data.catalog import Catalog
from nanonuclei.engine.networks import network_of
from nanonuclei.errors import DataError
from nanonuclei.tasks import create_task
from nanonuclei.tasks.base import Task
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tasks.nuclei.reader import NucleiReader
from nanonuclei.tasks.nuclei.thresholds import CHOICES, MAX_SECONDS, decide_thresholds

Experiment = Callable[..., NucleiExperiment]


class Timid:
    """A network that is sure of nothing: it answers 0.58 on the drawn discs and 0.47 on the ground."""

    def predict_on_batch(self, batch: np.ndarray) -> np.ndarray:
        return np.where(batch[..., :1] > 0.5, 0.58, 0.47).astype(np.float32)


def decided(task: Task, catalog: Catalog) -> tuple[InstancesConfig, pd.DataFrame]:
    network = network_of(task, Timid())
    inputs = (task.network_input(sample.image()) for sample in catalog.samples)
    found = task.decide(catalog.samples, task.score_maps(network, inputs))
    assert found.tried is not None
    return with_settings(task.config, found.settings).instances, found.tried


FOREGROUND = {"target.kind": "foreground", "loss.kind": "binary_crossentropy", "instances.min_area": 5}


@pytest.mark.parametrize(("threshold", "min_score"), [(0.4, 0.0), (0.6, 0.0), (0.5, 0.75)])
def test_thresholds_are_moved_to_where_the_nuclei_are_read_rightly(
    experiment: Experiment, disc_catalog: Catalog, threshold: float, min_score: float
) -> None:
    settings = {**FOREGROUND, "instances.threshold": threshold, "instances.min_score": min_score}
    task = create_task(experiment(settings))
    chosen, tried = decided(task, disc_catalog)
    assert 0.47 < chosen.threshold < 0.58
    assert chosen.min_score <= 0.58
    assert not chosen.tune
    assert tried["score"].iloc[0] < 0.1
    assert tried.loc[tried["chosen"], "score"].iloc[0] > 0.5
    assert tried["chosen"].sum() == 1


def test_settings_that_nothing_beats_are_kept(experiment: Experiment, disc_catalog: Catalog) -> None:
    settings = {**FOREGROUND, "instances.threshold": 0.5, "instances.min_score": 0.0, "instances.kind": "components"}
    config = experiment(settings)
    chosen, tried = decided(create_task(config), disc_catalog)
    assert chosen == config.instances.model_copy(update={"tune": False})
    assert tried.iloc[0]["chosen"]
    assert set(tried["seed_threshold"]) == {config.instances.seed_threshold}  # components have no seeds


def test_values_to_choose_from_are_legal(experiment: Experiment) -> None:
    for name, values in CHOICES.items():
        for value in values:
            experiment({f"instances.{name}": value})


def test_search_ends_in_its_time_whatever_the_network_answers(experiment: Experiment, disc_catalog: Catalog) -> None:
    config = experiment({"instances.tune": True})
    rng = np.random.default_rng(0)
    maps = [rng.random((sample.height, sample.width, 2), np.float32) for sample in disc_catalog.samples]
    seconds = itertools.count(step=MAX_SECONDS / 3)
    found = decide_thresholds(NucleiReader(config), disc_catalog.samples, maps, clock=lambda: next(seconds))
    assert found.tried is not None
    assert len(found.tried) <= 4
    assert found.settings["instances.tune"] is False
    assert "The search was ended after 60 s." in found.sentence


def test_tuning_needs_images(experiment: Experiment) -> None:
    with pytest.raises(DataError, match=r"data\.split\.val"):
        create_task(experiment()).decide((), ())
