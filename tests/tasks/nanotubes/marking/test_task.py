from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import score_map_of
from tests.tasks.nanotubes.marking.test_patches import LINES

from nanonuclei.data.catalog import Catalog
from nanonuclei.engine.evaluate import evaluate
from nanonuclei.engine.export import export_onnx
from nanonuclei.engine.networks import network_of
from nanonuclei.errors import ConfigError
from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks import create_task
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.marking.task import LineTask

Experiment = Callable[..., NanotubeExperiment]
READ = {**LINES, "windows.tile": 128, "tubes.lines": "map", "tubes.window_threshold": 0.5, "tubes.min_score": 0.3}


def marked(batch: Float32Array) -> Float32Array:
    """Answers as a network that marks every row 24, where the drawn nanotubes are."""
    answer = np.zeros((*batch.shape[:3], 1), np.float32)
    answer[:, 23:26, 25:104] = batch[:, 23:26, 25:104, :1] > 0.3
    return answer


def test_line_network_is_chosen_by_the_config_and_answers_pixel_by_pixel(
    tube_experiment: Experiment, tube_catalog: Catalog, tmp_path: Path
) -> None:
    task = create_task(tube_experiment(READ))
    assert isinstance(task, LineTask)
    model = task.build_model()
    batch = task.batches(tube_catalog.split("val"), training=False)[0]
    losses = model.test_on_batch(*batch, return_dict=True)
    assert np.isfinite(losses["loss"])
    assert {name: "pixel" in title.lower() for name, (title, _) in task.curve_names.items()} == {
        name: True for name in losses if name != "loss"
    }
    image = tube_catalog.samples[0].image()
    score_map = score_map_of(task, network_of(task, model), image)
    assert score_map.shape == (96, 128, 2)
    np.testing.assert_array_equal(score_map[..., 1], task.network_input(image)[..., 0])
    assert export_onnx(model, tmp_path / "network.onnx", shapes=task.export_shapes) < 1e-3


def test_map_that_marks_the_nanotubes_scores_one(tube_experiment: Experiment, tube_catalog: Catalog) -> None:
    task = LineTask(tube_experiment(READ))
    maps = list(task.score_maps(marked, [task.network_input(s.image()) for s in tube_catalog.samples]))
    rows = [task.assess(s, m).statistics for s, m in zip(tube_catalog.samples, maps, strict=True)]
    sums = {name: np.array([sum(row[name] for row in rows)]) for name in rows[0]}
    metrics = {name: float(values[0]) for name, values in task.score(sums).items()}
    for name in ("object_f1", "window_pr_auc"):
        assert metrics[name] == pytest.approx(1.0), name
    assert metrics["false_alarms"] == 0.0


def test_false_alarms_are_told_per_megapixel(tube_experiment: Experiment, tube_catalog: Catalog) -> None:
    task = LineTask(tube_experiment({**READ, "tubes.min_straightness": 0.0}))

    def wrong(batch: Float32Array) -> Float32Array:
        answer = np.zeros((*batch.shape[:3], 1), np.float32)
        answer[:, 70:73, 20:100] = 1.0
        return answer

    sample = tube_catalog.samples[1]
    (score_map,) = task.score_maps(wrong, [task.network_input(sample.image())])
    figures = {name: np.array([value]) for name, value in task.assess(sample, score_map).statistics.items()}
    assert task.score(figures)["false_alarms"][0] == pytest.approx(1e6 / (96 * 128))


def test_trained_network_is_evaluated_and_its_weights_begin_another(
    tube_experiment: Experiment, tube_catalog: Catalog, tmp_path: Path
) -> None:
    task = LineTask(tube_experiment(READ))
    model = task.build_model()
    report = evaluate(task, model, tube_catalog.split("test"))
    assert 0.0 <= report.metrics["window_accuracy"] <= 1.0
    model.save(tmp_path / "first.keras")
    again = LineTask(tube_experiment({**READ, "network.weights": str(tmp_path / "first.keras")})).build_model()
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ConfigError, match=r"base_filters 4, but .* does not"):
        LineTask(
            tube_experiment({**READ, "network.base_filters": 4, "network.weights": str(tmp_path / "first.keras")})
        ).build_model()
    with pytest.raises(ConfigError, match=r"a file that exists, got 'none.keras'"):
        LineTask(tube_experiment({**READ, "network.weights": "none.keras"})).build_model()
