from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import tube_ref, tube_sample

from nanonuclei.data.catalog import Catalog
from nanonuclei.errors import DataError
from nanonuclei.imaging.normalize import grey_limits, normalize
from nanonuclei.imaging.window_geometry import WindowGeometry
from nanonuclei.imaging.windows import Window, cut
from nanonuclei.tasks.nanotubes.batches import (
    WindowTrainBatches,
    WindowValidationBatches,
    overlaid,
    scored_windows,
    window_labels,
)
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.sources.samples import tube_truth
from nanonuclei.tasks.nanotubes.target import label_windows

Experiment = Callable[..., NanotubeExperiment]
GEOMETRY = WindowGeometry(32, 8, 4)
PLAIN = {"augment.intensity_probability": 0.0, "augment.mixup": 0.0}


def stream(
    experiment: Experiment, catalog: Catalog, settings: dict[str, object], num: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    config = experiment({"train.tile_windows": 1, **settings})
    batches = WindowTrainBatches(catalog.split("train"), config=config, geometry=GEOMETRY)
    drawn = [batches[number] for number in range(num)]
    batches.close()
    return drawn


@pytest.mark.parametrize("number", [1, 5])
def test_batches_are_tiles_with_a_label_and_a_weight_per_window(
    tube_experiment: Experiment, tube_catalog: Catalog, number: int
) -> None:
    settings = {"train.tile_windows": number}
    ((images, labels, weights),) = stream(tube_experiment, tube_catalog, settings, 1)
    assert images.shape == (4, GEOMETRY.extent(number), GEOMETRY.extent(number), 3)
    assert labels.shape == weights.shape == (4, number, number, 1)
    assert labels.dtype == weights.dtype == np.float32
    assert set(labels.ravel()) | set(weights.ravel()) <= {0.0, 1.0}
    assert weights.reshape(4, -1).any(axis=1).all()  # each was drawn for a window that is known


@pytest.mark.parametrize(("balance", "low", "high"), [(0.0, 0.02, 0.3), (1.0, 0.4, 0.6)])
def test_classes_are_balanced_as_asked(
    tube_experiment: Experiment, tube_catalog: Catalog, balance: float, low: float, high: float
) -> None:
    settings = {**PLAIN, "train.balance": balance, "train.batch_size": 16}
    drawn = stream(tube_experiment, tube_catalog, settings, 20)
    assert low < np.concatenate([labels for _, labels, _ in drawn]).mean() < high
    assert all((weights == 1.0).all() for _, _, weights in drawn)  # single windows are known


def test_windows_of_a_tile_have_the_labels_that_they_have_alone_however_it_is_turned(
    tube_experiment: Experiment, tube_catalog: Catalog
) -> None:
    config, sample = tube_experiment({**PLAIN, "train.tile_windows": 6}), tube_catalog.split("train")[0]
    batches = WindowTrainBatches([sample], config=config, geometry=GEOMETRY)
    images, labels, weights = (np.concatenate(parts) for parts in zip(batches[0], batches[1], strict=True))
    batches.close()
    whole = normalize(sample.image(), grey_limits(sample.image(), config.normalize))
    known = window_labels(sample, GEOMETRY, config.data.labels)
    seen: set[int] = set()
    ways = set()
    for image, label, weight in zip(images, labels[..., 0], weights[..., 0], strict=True):
        (found,) = [
            (turned(known[row : row + 6, column : column + 6], way), way)
            for row in range(known.shape[0] - 5)
            for column in range(known.shape[1] - 5)
            for way in np.ndindex(4, 2)
            if np.array_equal(image, turned(cut(whole, (row * 4 - 8, column * 4 - 8), image.shape[:2]), way))
        ]
        assert (label == (found[0] == 1)).all()
        assert (weight == (found[0] != -1)).all()
        seen |= set(found[0].ravel().tolist())
        ways.add(found[1])
    assert seen == {-1, 0, 1}
    assert len(ways) > 2


def turned(image: np.ndarray, way: tuple[int, ...]) -> np.ndarray:
    """Turns an image by quarters, and mirrors it or not."""
    quarters, mirrored = way
    return np.rot90(image, quarters)[:: -1 if mirrored else 1]


def test_tile_that_is_larger_than_its_image_weighs_no_window_beyond_it(
    tube_experiment: Experiment, tube_catalog: Catalog
) -> None:
    sample = tube_catalog.split("train")[0]
    rows, columns = (GEOMETRY.windows_along(length) for length in (sample.height, sample.width))
    ((_, _, weights),) = stream(tube_experiment, tube_catalog, {**PLAIN, "train.tile_windows": 60}, 1)
    assert weights.sum(axis=(1, 2, 3)).max() <= rows * columns < 60 * 60


def test_windows_between_positive_and_negative_are_left_out(tube_experiment: Experiment, tube_catalog: Catalog) -> None:
    config, samples = tube_experiment(), tube_catalog.split("train")
    left_out = 0
    for sample in samples:
        known = window_labels(sample, GEOMETRY, config.data.labels)
        shapes = [Window(4 * row, 4 * column, 4 * row + 32, 4 * column + 32) for row, column in np.ndindex(known.shape)]
        assert known.ravel().tolist() == label_windows(tube_truth(sample), shapes, config.data.labels).tolist()
        left_out += int((known == -1).sum())
    assert left_out > 0


def test_positive_windows_show_the_nanotube(tube_experiment: Experiment, tube_catalog: Catalog) -> None:
    settings = {**PLAIN, "train.batch_size": 32, "train.balance": 1.0, "augment.flip": False, "augment.turn": False}
    ((images, labels, _),) = stream(tube_experiment, tube_catalog, settings, 1)
    inner = images[:, GEOMETRY.margin : -GEOMETRY.margin, GEOMETRY.margin : -GEOMETRY.margin, 0]
    rows = inner.mean(axis=2)  # the nanotube runs along a row
    contrast = np.sort(rows, axis=1)[:, -2] - np.median(rows, axis=1)
    positive = labels.ravel() == 1
    assert contrast[positive].min() > contrast[~positive].min()
    assert np.median(contrast[positive]) > 0.15


def test_turns_show_the_nanotube_upright_too(tube_experiment: Experiment, tube_catalog: Catalog) -> None:
    def upright(settings: dict[str, object]) -> float:
        ((images, labels, _),) = stream(
            tube_experiment, tube_catalog, {**PLAIN, "train.batch_size": 32, "train.balance": 1.0, **settings}, 1
        )
        positive = images[labels.ravel() == 1][..., 0]
        return float((positive.mean(axis=1).std(axis=1) > positive.mean(axis=2).std(axis=1)).mean())

    assert upright({"augment.turn": False}) < 0.2
    assert 0.2 < upright({"augment.turn": True}) < 0.8


def test_overlaid_line_keeps_its_contrast_and_makes_the_window_positive() -> None:
    line = np.full((8, 8, 3), 0.1, np.float32)
    line[4] = 0.5
    ground = np.full((8, 8, 3), 0.05, np.float32)
    with_line, without, unknown = (np.full((1, 1), label, np.int8) for label in (1, 0, -1))
    for pair in (((line, with_line), (ground, without)), ((ground, without), (line, with_line))):
        image, label = overlaid(*pair)
        assert label == 1
        assert (image[4] - image[2] == line[4] - line[2]).all()
    assert overlaid((ground, without), (ground, without))[1] == 0
    assert overlaid((ground, unknown), (line, with_line))[1] == 1
    assert overlaid((ground, unknown), (ground, without))[1] == -1


def test_overlaying_happens_as_often_as_asked(tube_experiment: Experiment, tube_catalog: Catalog) -> None:
    shares = []
    for mixup in (0.0, 1.0):
        settings = {**PLAIN, "augment.mixup": mixup, "train.balance": 1.0, "train.batch_size": 64}
        labels = np.concatenate([labels for _, labels, _ in stream(tube_experiment, tube_catalog, settings, 4)])
        shares.append(labels.mean())
    assert shares[0] == pytest.approx(0.5, abs=0.1)
    assert shares[1] == pytest.approx(0.75, abs=0.1)  # 1 - 0.5 ** 2


@pytest.mark.parametrize("number", [1, 7])
def test_validation_is_every_labelled_window_side_by_side_once(
    tube_experiment: Experiment, tube_catalog: Catalog, number: int
) -> None:
    config, samples = tube_experiment({"train.tile_windows": number}), tube_catalog.split("val")
    batches = WindowValidationBatches(samples, config=config, geometry=GEOMETRY)
    drawn = [batches[place] for place in range(batches.num_batches)]
    expected = [
        label_windows(tube_truth(s), scored_windows((s.height, s.width), GEOMETRY), config.data.labels) for s in samples
    ]
    counts = [int((np.concatenate(expected) == label).sum()) for label in (0, 1)]
    labels, weights = (np.concatenate([batch[part].ravel() for batch in drawn]) for part in (1, 2))
    assert [int(weights[labels == label].sum()) for label in (0, 1)] == counts
    if number == 1:
        assert len(labels) == sum(counts)


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
