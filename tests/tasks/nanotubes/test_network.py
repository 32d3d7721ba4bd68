from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import tube_ref, tube_sample

from nanonuclei.config.params import with_settings
from nanonuclei.data.catalog import Catalog, SampleRef
from nanonuclei.errors import ConfigError
from nanonuclei.imaging.types import Float32Array
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.lines.detection import CANDIDATE_COLUMNS
from nanonuclei.tasks.nanotubes.network import NanotubeTask

Experiment = Callable[..., NanotubeExperiment]


def ideal(task: NanotubeTask, sample: SampleRef, *, right: float = 0.9, wrong: float = 0.1) -> Float32Array:
    """Makes the score map of a classifier that knows where the nanotube is."""
    scores = np.full((sample.height, sample.width), wrong, np.float32)
    if sample.num_objects:
        scores[:48] = right
    return np.stack([scores, task.network_input(sample.image())[..., 0]], axis=-1)


def scored(task: NanotubeTask, samples: list[SampleRef], **scores: float) -> dict[str, float]:
    rows = [task.assess(sample, ideal(task, sample, **scores)).statistics for sample in samples]
    sums = {name: np.array([sum(row[name] for row in rows)]) for name in rows[0]}
    return {name: float(values[0]) for name, values in task.score(sums).items()}


def test_ideal_classifier_finds_the_nanotube_and_counts_the_cells(
    tube_experiment: Experiment, tube_catalog: Catalog
) -> None:
    task = NanotubeTask(tube_experiment({"tubes.joins": "two"}))
    metrics = scored(task, list(tube_catalog.samples))
    for name in ("window_pr_auc", "window_roc_auc", "object_precision", "object_recall", "object_f1"):
        assert metrics[name] == pytest.approx(1.0), name
    assert metrics["tcr_true"] == pytest.approx(4 / 16)
    for name in ("count_error", "tcr_error", "tcr_bias", "tcr_limit_below", "tcr_limit_above"):
        assert metrics[name] == pytest.approx(0.0), name


def test_classifier_that_is_always_wrong_finds_nothing(tube_experiment: Experiment, tube_catalog: Catalog) -> None:
    task = NanotubeTask(
        tube_experiment({"tubes.ridge": 6.0})
    )  # else some lines of noise pass, where they need no cells
    metrics = scored(task, list(tube_catalog.samples), right=0.1, wrong=0.9)
    assert metrics["object_recall"] == 0.0
    assert metrics["window_roc_auc"] < 0.6
    assert metrics["tcr_error"] == pytest.approx(1.0)


def test_candidate_is_reported_with_box_lengths_and_cells(tube_experiment: Experiment, tube_catalog: Catalog) -> None:
    task, sample = NanotubeTask(tube_experiment()), tube_catalog.samples[0]
    objects = task.assess(sample, ideal(task, sample)).objects
    assert list(objects.columns) == ["matched", *CANDIDATE_COLUMNS]
    (row,) = objects.to_dict("records")
    assert row["matched"] == 1.0
    assert row["score"] == pytest.approx(0.9)
    assert row["length"] == pytest.approx(80.0, abs=6.0)
    assert row["length_um"] == pytest.approx(row["length"] * 0.5)
    assert row["width_um"] == pytest.approx(row["width"] * 0.5)
    assert {row["first_cell"], row["last_cell"]} == {1, 2}
    xs = [x for x, _ in json.loads(row["line"])]
    assert min(xs) == pytest.approx(24, abs=6)
    assert max(xs) == pytest.approx(104, abs=6)


def test_image_without_nanotubes_gives_an_empty_table_of_candidates(
    tube_experiment: Experiment, tube_catalog: Catalog
) -> None:
    task, sample = NanotubeTask(tube_experiment()), tube_catalog.samples[1]
    assessed = task.assess(sample, ideal(task, sample))
    assert list(assessed.objects.columns) == ["matched", *CANDIDATE_COLUMNS]
    assert len(assessed.objects) == 0
    assert assessed.statistics["num_true"] == assessed.statistics["num_found"] == 0.0


def test_boxes_are_found_by_candidates_that_lie_in_them(tube_experiment: Experiment, tmp_path: Path) -> None:
    refs = [tube_ref(tmp_path, tube_sample(f"tube{seed:02}", seed=seed, kind="boxes"), "test") for seed in (0, 1)]
    metrics = scored(NanotubeTask(tube_experiment()), refs)
    assert metrics["object_f1"] == 1.0


def test_patches_have_window_scores_and_no_object_scores(tube_experiment: Experiment, tmp_path: Path) -> None:
    refs = [tube_ref(tmp_path, tube_sample(f"tube{seed:02}", seed=seed, kind="patch"), "test") for seed in (0, 1)]
    task = NanotubeTask(tube_experiment({"train.patch_size": 128}))
    metrics = scored(task, refs, right=0.9)
    assert np.isnan(metrics["object_recall"])
    assert np.isnan(metrics["tcr_error"])
    assert metrics["window_baseline"] == 0.5


def test_thresholds_left_open_are_chosen_where_they_part_right_from_wrong(
    tube_experiment: Experiment, tube_catalog: Catalog
) -> None:
    task, samples = NanotubeTask(tube_experiment()), tube_catalog.split("val")
    assert task.window_threshold == task.min_score == 0.5
    chosen = task.decide(samples, [ideal(task, sample, right=0.3, wrong=0.1) for sample in samples]).settings
    assert set(chosen) == {"tubes.window_threshold", "tubes.min_score"}
    assert 0.1 < chosen["tubes.window_threshold"] <= 0.3
    assert 0.0 <= chosen["tubes.min_score"] <= 0.3
    decided = NanotubeTask(with_settings(task.config, chosen))
    assert decided.window_threshold == chosen["tubes.window_threshold"]
    metrics = scored(decided, list(samples), right=0.3, wrong=0.1)
    assert metrics["object_f1"] == 1.0
    assert metrics["window_accuracy"] == 1.0


def test_thresholds_that_are_given_are_kept(tube_experiment: Experiment, tube_catalog: Catalog) -> None:
    task = NanotubeTask(tube_experiment({"tubes.window_threshold": 0.4, "tubes.min_score": 0.6}))
    samples = tube_catalog.split("val")
    assert task.decide(samples, [ideal(task, sample) for sample in samples]).settings == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train.encoder": "frozen"}, "train.encoder must be unfrozen with network.weights=none"),
        ({"network.learns_from": "block_1_expand"}, "network.learns_from must be all with network.weights=none"),
        ({"network.alpha": 0.4, "network.weights": "imagenet"}, "alpha must be one of"),
        ({"tubes.narrow": 3.0}, "narrow must be at most broad"),
        ({"tubes.min_score": "often"}, "tubes.min_score"),
        ({"tubes.min_score": 1.5}, "tubes.min_score"),
        ({"train.monitor": "val/iou"}, "train.monitor"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    tube_experiment: Experiment, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tube_experiment(settings)
