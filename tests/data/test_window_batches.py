from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import tube_ref, tube_sample

from nanonuclei.config.nanotubes import NanotubeExperiment
from nanonuclei.data.catalog import Catalog
from nanonuclei.data.tubes import tube_truth
from nanonuclei.data.window_batches import (
    WindowTrainBatches,
    WindowValidationBatches,
    labelled_windows,
    overlaid,
    scored_windows,
)
from nanonuclei.data.window_labels import label_windows
from nanonuclei.errors import DataError
from nanonuclei.imaging.window_geometry import WindowGeometry
from nanonuclei.imaging.windows import Window

Experiment = Callable[..., NanotubeExperiment]
GEOMETRY = WindowGeometry(32, 8, 4)
PLAIN = {"augment.intensity_probability": 0.0, "augment.mixup": 0.0}


def stream(experiment: Experiment, catalog: Catalog, settings: dict[str, object], num: int) -> list[tuple]:
    batches = WindowTrainBatches(catalog.split("train"), config=experiment(settings), geometry=GEOMETRY)
    drawn = [batches[number] for number in range(num)]
    batches.close()
    return drawn


def test_batches_are_windows_with_their_margins_and_a_label_each(
    tube_experiment: Experiment, tube_catalog: Catalog
) -> None:
    ((images, labels),) = stream(tube_experiment, tube_catalog, {}, 1)
    assert images.shape == (4, GEOMETRY.patch, GEOMETRY.patch, 3)
    assert labels.shape == (4, 1)
    assert labels.dtype == np.float32
    assert set(labels.ravel()) <= {0.0, 1.0}


@pytest.mark.parametrize(("balance", "low", "high"), [(0.0, 0.02, 0.3), (1.0, 0.4, 0.6)])
def test_classes_are_balanced_as_asked(
    tube_experiment: Experiment, tube_catalog: Catalog, balance: float, low: float, high: float
) -> None:
    settings = {**PLAIN, "train.balance": balance, "train.batch_size": 16}
    labels = np.concatenate([labels for _, labels in stream(tube_experiment, tube_catalog, settings, 20)])
    assert low < labels.mean() < high


def test_windows_between_positive_and_negative_never_appear(tube_experiment: Experiment, tube_catalog: Catalog) -> None:
    config, samples = tube_experiment(), tube_catalog.split("train")
    windows = labelled_windows(samples, config, window=32, step=8)
    left_out = 0
    for place, sample in enumerate(samples):
        mine = [window for window in windows if window.sample == place]
        shapes = [Window(y0, x0, y0 + 32, x0 + 32) for _, (y0, x0), _ in mine]
        labels = label_windows(tube_truth(sample), shapes, config.data.labels)
        assert labels.tolist() == [window.label for window in mine]
        left_out += 9 * 13 - len(mine)
    assert left_out > 0


def test_positive_windows_show_the_nanotube(tube_experiment: Experiment, tube_catalog: Catalog) -> None:
    settings = {**PLAIN, "train.batch_size": 32, "train.balance": 1.0, "augment.flip": False, "augment.turn": False}
    ((images, labels),) = stream(tube_experiment, tube_catalog, settings, 1)
    inner = images[:, GEOMETRY.margin : -GEOMETRY.margin, GEOMETRY.margin : -GEOMETRY.margin, 0]
    rows = inner.mean(axis=2)  # the nanotube runs along a row
    contrast = np.sort(rows, axis=1)[:, -2] - np.median(rows, axis=1)
    assert contrast[labels[:, 0] == 1].min() > contrast[labels[:, 0] == 0].min()
    assert np.median(contrast[labels[:, 0] == 1]) > 0.15


def test_turns_show_the_nanotube_upright_too(tube_experiment: Experiment, tube_catalog: Catalog) -> None:
    def upright(settings: dict[str, object]) -> float:
        ((images, labels),) = stream(
            tube_experiment, tube_catalog, {**PLAIN, "train.batch_size": 32, "train.balance": 1.0, **settings}, 1
        )
        positive = images[labels[:, 0] == 1][..., 0]
        return float((positive.mean(axis=1).std(axis=1) > positive.mean(axis=2).std(axis=1)).mean())

    assert upright({"augment.turn": False}) < 0.2
    assert 0.2 < upright({"augment.turn": True}) < 0.8


def test_overlaid_line_keeps_its_contrast_and_makes_the_window_positive() -> None:
    line = np.full((8, 8, 3), 0.1, np.float32)
    line[4] = 0.5
    ground = np.full((8, 8, 3), 0.05, np.float32)
    for pair in (((line, 1), (ground, 0)), ((ground, 0), (line, 1))):
        image, label = overlaid(*pair)
        assert label == 1
        assert (image[4] - image[2] == line[4] - line[2]).all()
    assert overlaid((ground, 0), (ground, 0))[1] == 0


def test_overlaying_happens_as_often_as_asked(tube_experiment: Experiment, tube_catalog: Catalog) -> None:
    shares = []
    for mixup in (0.0, 1.0):
        settings = {**PLAIN, "augment.mixup": mixup, "train.balance": 1.0, "train.batch_size": 64}
        labels = np.concatenate([labels for _, labels in stream(tube_experiment, tube_catalog, settings, 4)])
        shares.append(labels.mean())
    assert shares[0] == pytest.approx(0.5, abs=0.1)
    assert shares[1] == pytest.approx(0.75, abs=0.1)  # 1 - 0.5 ** 2


def test_validation_is_every_labelled_window_once(tube_experiment: Experiment, tube_catalog: Catalog) -> None:
    config, samples = tube_experiment(), tube_catalog.split("val")
    batches = WindowValidationBatches(samples, config=config, geometry=GEOMETRY)
    drawn = [batches[number] for number in range(batches.num_batches)]
    windows = labelled_windows(samples, config, window=32, step=32)
    assert sum(len(labels) for _, labels in drawn) == len(windows)
    assert np.concatenate([labels for _, labels in drawn]).ravel().tolist() == [window.label for window in windows]


@pytest.mark.parametrize("seeds", [(1, 3), (0,)])
def test_split_that_lacks_a_class_is_refused(tube_experiment: Experiment, tmp_path: Path, seeds: tuple[int]) -> None:
    refs = [tube_ref(tmp_path, tube_sample(f"tube{seed:02}", seed=seed), "train") for seed in seeds]
    settings = {"data.labels.clear_margin": 200} if seeds == (0,) else {}
    with pytest.raises(DataError, match="the train split must hold windows with and without nanotubes"):
        WindowTrainBatches(refs, config=tube_experiment(settings), geometry=GEOMETRY)


@pytest.mark.parametrize("shape", [(20, 20), (32, 32), (70, 101), (96, 128)])
def test_windows_of_a_score_lie_where_the_scan_goes_and_hold_every_pixel_but_a_stride(shape: tuple[int, int]) -> None:
    windows = scored_windows(shape, GEOMETRY)
    assert all(window.y0 % 4 == 0 and window.x0 % 4 == 0 for window in windows)
    seen = np.zeros(shape, bool)
    for y0, x0, y1, x1 in windows:
        seen[y0:y1, x0:x1] = True
    assert seen[: shape[0] - 3, : shape[1] - 3].all()
