from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from nanonuclei.data.catalog import Catalog
from nanonuclei.engine.evaluate import evaluate, summarise
from nanonuclei.errors import DataError
from nanonuclei.tasks import create_task
from nanonuclei.tasks.base import Task
from nanonuclei.tasks.nuclei.config import NucleiExperiment

Experiment = Callable[..., NucleiExperiment]


class Oracle:
    """A network that is bright where the image is bright: right on the drawn discs."""

    def predict_on_batch(self, batch: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-40.0 * (batch[..., :1] - 0.5)))


@pytest.fixture
def task(experiment: Experiment) -> Task:
    settings = {"target.kind": "foreground", "loss.kind": "binary_crossentropy", "instances.min_area": 5}
    return create_task(experiment({**settings, "evaluate.bootstrap": 200}))


def test_network_that_sees_the_discs_scores_high(task: Task, disc_catalog: Catalog) -> None:
    report = evaluate(task, Oracle(), disc_catalog.split("test"))
    assert report.metrics["accuracy"] > 0.99
    assert report.metrics["iou"] > 0.95
    assert report.metrics["ap50_pooled"] > 0.5
    assert len(report.per_image) == 4
    assert report.per_image["sample_id"].tolist() == [s.sample_id for s in disc_catalog.split("test")]


def test_report_has_all_groups_and_intervals_that_hold_the_value(task: Task, disc_catalog: Catalog) -> None:
    report = evaluate(task, Oracle(), disc_catalog.samples)
    assert report.groups() == ["fluorescence", "stained"]
    assert "stained/ap50_pooled" in report.metrics
    assert set(report.intervals["group"]) == {"all", "fluorescence", "stained"}
    flat = report.flat("test")
    assert flat["test/iou_low"] <= flat["test/iou"] <= flat["test/iou_high"]


def test_no_image_is_refused(task: Task) -> None:
    with pytest.raises(DataError, match="at least one image"):
        evaluate(task, Oracle(), ())


def rows(task: Task, catalog: Catalog, fields: list[int]) -> pd.DataFrame:
    table = evaluate(task, Oracle(), catalog.split("test")).per_image
    return table.assign(field=fields)


def test_interval_of_one_field_is_a_point_as_fields_are_resampled(task: Task, disc_catalog: Catalog) -> None:
    one = rows(task, disc_catalog, [1, 1, 1, 1]).assign(modality="fluorescence")
    _, intervals = summarise(task, one, resamplings=50, seed=0)
    np.testing.assert_allclose(intervals["low"], intervals["high"])
    np.testing.assert_allclose(intervals["low"], intervals["value"])


def test_metrics_do_not_depend_on_the_resampling(task: Task, disc_catalog: Catalog) -> None:
    table = rows(task, disc_catalog, [0, 1, 2, 3])
    with_intervals, _ = summarise(task, table, resamplings=50, seed=0)
    without, intervals = summarise(task, table, resamplings=0, seed=1)
    assert with_intervals == pytest.approx(without)
    assert intervals["low"].isna().all()


def test_image_metrics_are_means_over_images(task: Task, disc_catalog: Catalog) -> None:
    table = rows(task, disc_catalog, [0, 1, 2, 3])
    metrics, _ = summarise(task, table, resamplings=0, seed=0)
    assert metrics["accuracy"] == pytest.approx(table["accuracy"].mean())
    assert metrics["ap50_image"] == pytest.approx(table["ap_50"].mean())
