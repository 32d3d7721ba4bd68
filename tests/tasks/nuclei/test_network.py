from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.conftest import disc_labels

from nanonuclei.data.catalog import Catalog
from nanonuclei.imaging.matching import matching_dataset
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tasks.nuclei.network import NucleiTask
from nanonuclei.tasks.nuclei.score import THRESHOLDS
from nanonuclei.tasks.nuclei.target import cores, near_another

Experiment = Callable[..., NucleiExperiment]

TOUCHING = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 2, 2, 2, 0],
        [0, 1, 1, 1, 2, 2, 2, 0],
        [0, 1, 1, 1, 2, 2, 2, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ],
    np.uint16,
)


def statistics_of(task: NucleiTask, labels: np.ndarray, score_map: np.ndarray) -> dict[str, float]:
    """What one image adds to the score; the loss as the task computes it."""

    class Sample:
        def labels(self) -> np.ndarray:
            return labels

    return task.assess(Sample(), score_map).statistics  # type: ignore[arg-type]


def probabilities(labels: np.ndarray, target: np.ndarray) -> np.ndarray:
    """A network that is never wrong and always sure."""
    return np.eye(3, dtype=np.float32)[target[..., 0]]


@pytest.mark.parametrize(("reach", "columns"), [(1, [3, 4]), (2, [2, 3, 4, 5])])
def test_border_is_where_another_nucleus_is_within_reach(reach: int, columns: list[int]) -> None:
    expected = np.zeros(TOUCHING.shape, bool)
    expected[1:4, columns] = True
    np.testing.assert_array_equal(near_another(TOUCHING, reach=reach), expected)


def test_lone_nucleus_has_no_border() -> None:
    assert not near_another(disc_labels((20, 20), [(10, 10, 5)]), reach=3).any()


def test_boundary_target_has_three_classes_and_foreground_target_two(experiment: Experiment) -> None:
    boundary = NucleiTask(experiment({"target.border": 1})).target(TOUCHING)[..., 0]
    assert boundary[2].tolist() == [0, 1, 1, 2, 2, 1, 1, 0]
    settings = {"target.kind": "foreground", "loss.kind": "binary_crossentropy"}
    foreground = NucleiTask(experiment(settings)).target(TOUCHING)[..., 0]
    assert foreground[2].tolist() == [0, 1, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize(
    ("settings", "channels"),
    [
        ({"target.kind": "boundary", "loss.kind": "sparse_categorical_crossentropy+dice"}, 3),
        ({"target.kind": "foreground", "loss.kind": "sparse_categorical_crossentropy"}, 2),
        ({"target.kind": "foreground", "loss.kind": "binary_crossentropy+dice"}, 1),
        ({"target.kind": "foreground", "loss.kind": "dice"}, 1),
    ],
)
def test_network_has_as_many_channels_as_target_and_loss_need(
    experiment: Experiment, settings: dict[str, object], channels: int
) -> None:
    assert NucleiTask(experiment(settings)).build_network().output_shape[-1] == channels


def test_perfect_answer_scores_perfectly(experiment: Experiment) -> None:
    task = NucleiTask(experiment({"instances.min_area": 0}))
    labels = disc_labels((64, 64), [(16, 16, 8), (16, 33, 8), (45, 40, 12)])
    score_map = probabilities(labels, task.target(labels))
    row = statistics_of(task, labels, score_map)
    score = {name: float(value[0]) for name, value in task.score({k: np.array([v]) for k, v in row.items()}).items()}
    for name in ("accuracy", "iou", "dice", "ap50_pooled", "ap50_image", "ap95_pooled", "map_pooled", "pq", "f1"):
        assert score[name] == 1.0, name
    assert score["count_error"] == 0.0
    assert score["binary_crossentropy"] < 1e-5


def test_network_that_tells_diameters_learns_from_its_batches(experiment: Experiment, disc_catalog: Catalog) -> None:
    task = NucleiTask(experiment({"target.diameter": True}))
    batches, model = task.batches(disc_catalog.split("train"), training=True), task.build_model()
    images, targets = batches[0]
    batches.close()
    assert targets.shape == (*model.predict_on_batch(images).shape[:-1], 2)
    losses = [float(model.train_on_batch(images, targets)[0]) for _ in range(15)]
    assert losses[-1] < losses[0]


def test_loss_of_a_map_in_another_size_compares_diameters_in_px_of_the_image(experiment: Experiment) -> None:
    labels = disc_labels((96, 96), [(30.0, 30.0, 20.0), (70.0, 70.0, 16.0)])
    half = labels[::2, ::2]
    losses = []
    for weight in (0.0, 10.0):
        task = NucleiTask(experiment({"target.diameter": True, "loss.diameter_weight": weight}))
        target = task.target(half)
        told = np.where(target[..., 1:] > 0, target[..., 1:] / np.float32(24 * 8), np.float32(0.5))
        told = np.concatenate([probabilities(half, target), told], axis=-1)
        losses.append(statistics_of(task, labels, told)["loss"])
    assert (losses[1] - losses[0]) / 10 < 0.02  # an octave of 8 would be 0.125


def test_border_by_area_is_wider_in_larger_nuclei(experiment: Experiment) -> None:
    labels = np.zeros((120, 120), np.uint16)
    labels[10:20, 10:20], labels[10:20, 20:30] = 1, 2  # 100 px each
    labels[40:60, 10:30], labels[40:60, 30:50] = 3, 4  # 400 px each
    labels[70:120, 10:60], labels[70:120, 60:110] = 5, 6  # 2500 px each
    settings = {"target.kind": "boundary", "target.border_width": "by_area"}
    target = NucleiTask(experiment(settings)).target(labels)[..., 0]
    for row, pairs, reach in ((15, 20, 1), (50, 30, 2), (95, 60, 3)):
        assert np.flatnonzero(target[row] == 2).tolist() == list(range(pairs - reach, pairs + reach))


def test_cores_lie_apart_even_where_nuclei_touch(experiment: Experiment) -> None:
    labels = np.zeros((60, 60), np.uint16)
    labels[10:30, 10:30], labels[10:30, 30:50] = 1, 2  # two squares of 20 px side by side
    labels[45:48, 5:8] = 3  # a nucleus of 9 px
    target = NucleiTask(experiment({"target.kind": "core", "target.core": 0.5})).target(labels)[..., 0]
    np.testing.assert_array_equal(target > 0, labels > 0)
    np.testing.assert_array_equal(np.flatnonzero(target[20] == 1), [*range(14, 25), *range(35, 46)])
    assert target[46, 6] == 1
    assert set(target[45, 5:8]) == {1}  # depth 1 of 2 at its rim: half of it is deep enough


def test_cores_follow_the_share_asked_for() -> None:
    labels = disc_labels((64, 64), [(32.0, 32.0, 20.0)])
    for share in (0.25, 0.5, 0.75):
        radius = np.sqrt(cores(labels, share=share).sum() / np.pi)
        assert radius == pytest.approx(20.0 * (1.0 - share), abs=1.2)


def test_metrics_of_a_case_by_hand(experiment: Experiment) -> None:
    """Two nuclei of 10 x 10 px: one found half (IoU 0.5), one missed, one false of 4 x 5 px."""
    task = NucleiTask(
        experiment({"instances.min_area": 0, "target.kind": "foreground", "loss.kind": "binary_crossentropy"})
    )
    labels = np.zeros((40, 40), np.uint16)
    labels[2:12, 2:12], labels[22:32, 22:32] = 1, 2
    score_map = np.full((40, 40, 1), 0.1, np.float32)
    score_map[2:12, 2:7], score_map[30:34, 2:7] = 0.9, 0.9
    row = statistics_of(task, labels, score_map)
    score = {name: float(value[0]) for name, value in task.score({k: np.array([v]) for k, v in row.items()}).items()}
    assert score["accuracy"] == pytest.approx(1 - 170 / 1600)
    assert score["iou"] == score["iou_pooled"] == pytest.approx(50 / 220)
    assert score["dice"] == pytest.approx(100 / 270)
    assert score["binary_crossentropy"] == pytest.approx(-(1430 * np.log(0.9) + 170 * np.log(0.1)) / 1600, rel=1e-5)
    assert score["loss"] == pytest.approx(score["binary_crossentropy"], rel=1e-4)
    assert score["ap50_pooled"] == pytest.approx(1 / 3)
    assert score["ap50_image"] == pytest.approx(1 / 3)
    assert score["map_competition"] == 0.0  # the competition matches above 0.5 only
    assert score["ap55_pooled"] == 0.0
    assert score["map_pooled"] == pytest.approx(1 / 15)
    assert score["pq"] == pytest.approx(0.5 / 2)
    assert (score["precision"], score["recall"], score["f1"]) == (0.5, 0.5, 0.5)
    assert score["count_error"] == 0.0


def test_pooled_and_image_figures_are_those_of_the_matching_module(experiment: Experiment) -> None:
    task = NucleiTask(
        experiment(
            {
                "instances.kind": "components",
                "instances.min_area": 0,
                "target.kind": "foreground",
                "loss.kind": "binary_crossentropy",
            }
        )
    )
    rng = np.random.default_rng(3)
    true, found, rows = [], [], []
    for _ in range(4):
        discs = [(rng.uniform(0, 60), rng.uniform(0, 60), rng.uniform(3, 8)) for _ in range(8)]
        labels = disc_labels((60, 60), discs)
        moved = disc_labels((60, 60), [(y + rng.normal(0, 1), x + rng.normal(0, 1), r) for y, x, r in discs])
        score_map = (moved > 0).astype(np.float32)[..., None]
        instances = task.instances(score_map, labels.shape)
        rows.append(statistics_of(task, labels, score_map))
        true.append(labels)
        found.append(instances.labels)
    score = task.score({name: np.array([sum(row[name] for row in rows)]) for name in rows[0]})
    pooled = matching_dataset(true, found, thresh=THRESHOLDS)
    by_image = matching_dataset(true, found, thresh=THRESHOLDS, by_image=True)
    for threshold, over_all, mean in zip(THRESHOLDS, pooled, by_image, strict=True):
        name = f"ap{round(threshold * 100)}"
        assert score[f"{name}_pooled"][0] == pytest.approx(over_all.accuracy)
        assert score[f"{name}_image"][0] == pytest.approx(mean.accuracy)
    assert score["pq"][0] == pytest.approx(pooled[0].panoptic_quality)
    assert score["f1"][0] == pytest.approx(pooled[0].f1)
