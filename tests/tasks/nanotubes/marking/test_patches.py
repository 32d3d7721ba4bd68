from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import tube_ref, tube_sample

from nanonuclei.data.catalog import Catalog
from nanonuclei.errors import ConfigError, DataError
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.lines.line import Line, resample
from nanonuclei.tasks.nanotubes.marking.batches import LineTrainBatches, LineValidationBatches
from nanonuclei.tasks.nanotubes.marking.patches import LinePatches, chances, cut_patch, marks
from nanonuclei.tasks.nanotubes.marking.shown import Shown, of_sample, simulated

Experiment = Callable[..., NanotubeExperiment]

LINES = {
    "network.answer": "line",
    "network.kind": "efficientnetlite0",
    "network.depth": 2,
    "network.base_filters": 2,
    "train.patch_size": 64,
    "data.simulated.size": 128,
    "data.simulated.num_images": 3,
}


def drawn_line(width: float) -> Shown:
    """Makes an image of one bright horizontal line of a Gaussian profile, full width at half maximum `width`."""
    y = np.arange(200, dtype=np.float32)[:, None]
    grey = np.zeros((200, 300), np.float32)
    grey[:, 20:281] = np.exp(-((y - 100.0) ** 2) / (2.0 * (width / 2.355) ** 2))
    line = Line(resample(np.array([[100.0, 20.0], [100.0, 280.0]])), width)
    return Shown(grey, (line,), (), width)


def test_target_is_three_px_wide_and_pixels_beside_it_and_near_doubtful_lines_weigh_nothing() -> None:
    sure = [np.array([[20.0, 0.0], [20.0, 63.0]])]
    doubtful = [np.array([[50.0, 0.0], [50.0, 63.0]])]
    target, weight = marks((64, 64), sure, doubtful, width=2.0, weight=5.0)
    assert np.flatnonzero(target[:, 30]).tolist() == [19, 20, 21]
    assert weight[20, 30] == 5.0
    assert np.flatnonzero(weight[:, 30] == 0.0).tolist() == [17, 18, 22, 23, *range(45, 56)]
    broad = marks((64, 64), sure, [], width=14.0, weight=5.0)[1]
    assert np.flatnonzero(broad[:, 30] == 0.0).tolist() == [*range(12, 19), *range(22, 29)]


@pytest.mark.parametrize("width", [2.0, 6.0])
@pytest.mark.parametrize("shown_at", [2.0, 8.0])
def test_line_is_marked_where_it_is_bright_at_any_angle_and_zoom(
    width: float, shown_at: float, tube_experiment: Experiment
) -> None:
    config = tube_experiment(
        {**LINES, "marking.narrowest": shown_at, "marking.broadest": shown_at, "marking.near": 1.0}
    )
    for seed in range(5):
        image, target, weight = cut_patch(drawn_line(width), 96, config=config.marking, rng=np.random.default_rng(seed))
        assert target.any()
        assert image[(target > 0) & (weight > 0)].mean() > 0.4
        inside = (image > 0.95) & (weight > 0)
        assert target[inside].all()


def test_batches_are_images_targets_and_weights_and_depend_on_their_number_alone(
    tube_experiment: Experiment, tube_catalog: Catalog
) -> None:
    config = tube_experiment(LINES)
    first, second = (LinePatches(tube_catalog.split("train"), config=config).batch(3) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    images, targets, weights = first
    assert images.shape == (4, 64, 64, 3)
    assert images.dtype == np.uint8
    assert targets.shape == weights.shape == (4, 64, 64, 1)
    assert set(np.unique(targets)) <= {0.0, 1.0}


def test_validation_shows_every_image_once_and_nothing_beyond_its_border(
    tube_experiment: Experiment, tube_catalog: Catalog
) -> None:
    batches = LineValidationBatches(tube_catalog.split("val"), config=tube_experiment(LINES))
    weights = np.concatenate([batches[number][2] for number in range(batches.num_batches)])
    targets = np.concatenate([batches[number][1] for number in range(batches.num_batches)])
    assert weights.shape == (8, 64, 64, 1)  # 96 x 128 px are four patches
    assert targets.any()


def test_images_with_and_without_nanotubes_are_drawn_alike_at_full_balance(tube_catalog: Catalog) -> None:
    samples = [sample for sample in tube_catalog.samples if sample.num_objects or sample.sample_id == "tube01"]
    shares = np.diff(chances(samples, balance=1.0), prepend=0.0)
    without = [share for share, sample in zip(shares, samples, strict=True) if not sample.num_objects]
    assert without == [pytest.approx(0.5)]
    assert shares.sum() == pytest.approx(1.0)


def test_samples_that_are_there_several_times_are_drawn_as_often(tube_catalog: Catalog) -> None:
    new, *old = [sample for sample in tube_catalog.samples if sample.num_objects]
    shares = np.diff(chances([*[new] * len(old), *old], balance=1.0), prepend=0.0)
    assert shares[: len(old)].sum() == pytest.approx(0.5)


def test_simulated_images_depend_on_seed_and_index_alone(tube_experiment: Experiment) -> None:
    config = tube_experiment(LINES)
    one, same, other = (
        simulated(index, config.data.simulated, normalize_by=config.normalize, seed=3) for index in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.grey, same.grey)
    assert one.grey.shape == (128, 128)
    assert not np.array_equal(one.grey, other.grey)


def test_boxes_and_images_without_any_nanotube_are_refused(
    tube_experiment: Experiment, tube_catalog: Catalog, tmp_path: Path
) -> None:
    config = tube_experiment({**LINES, "marking.simulated": 0.0})
    boxes = tube_ref(tmp_path, tube_sample("boxes00", seed=0, kind="boxes"), "train")
    with pytest.raises(DataError, match=r"boxes00 is marked by boxes. Take network.answer=window"):
        of_sample(boxes, config.normalize)
    empty = [sample for sample in tube_catalog.samples if not sample.num_objects]
    with pytest.raises(DataError, match=r"must hold images with nanotubes.*marking.simulated=0.5"):
        LineTrainBatches(empty, config=config)


def test_settings_that_do_not_fit_together_are_refused(tube_experiment: Experiment) -> None:
    with pytest.raises(ConfigError, match=r"patch_size must be a multiple of .* = 4 .* Take 80 or 84"):
        tube_experiment({**LINES, "train.patch_size": 82})
    with pytest.raises(ConfigError, match=r"tubes.lines=map needs network.answer=line"):
        tube_experiment({"tubes.lines": "map"})
    with pytest.raises(ConfigError, match="narrowest must be at most broadest"):
        tube_experiment({"marking.narrowest": 9.0, "marking.broadest": 3.0})
