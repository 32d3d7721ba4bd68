"""The comparison about overfitting: what becomes of images and masks, which images are whose, how runs add up."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from neuron_windows import image_of, reduced, thin_part, write_images, write_windows
from overfitting import config_of, few, measures, one_by_one, threshold_of
from overfitting_arms import ARMS
from overfitting_tables import COLUMNS, curves_figure, markdown, spread, summary, with_gaps

from nanonuclei.data.catalog import Catalog, SampleRef
from nanonuclei.errors import DataError
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment

ROOT = Path(__file__).parents[2]


@pytest.fixture
def in_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def disc_with_line() -> np.ndarray:
    mask = np.zeros((100, 200), np.uint8)
    cv2.circle(mask, (40, 50), 25, 1, -1)
    mask[48:53, 60:180] = 1
    return mask


def test_thin_part_is_the_line_without_the_disc() -> None:
    thin = thin_part(disc_with_line(), 21)
    assert thin[48:53, 75:180].all()
    assert thin[:, :60].mean() < 0.01  # single px at the border of a drawn disc
    assert thin[:, 60:].sum() <= 5 * 120


def test_reducing_takes_means_and_cuts_off_what_is_left_over() -> None:
    assert reduced(np.arange(16.0).reshape(4, 4), 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert reduced(np.ones((7, 11)), 5).shape == (1, 2)


def write_source(folder: Path, *, masks: bool = True) -> Path:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    image = np.full((500, 500), 200, np.uint8)
    image[240:260] = 50
    cv2.imwrite(str(folder / "images" / "img_001.jpg"), image)
    if masks:
        cv2.imwrite(str(folder / "masks" / "img_001.png"), np.where(image < 100, 255, 0).astype(np.uint8))
    return folder


def test_processes_become_bright_lines_beside_a_mask_of_their_own(tmp_path: Path) -> None:
    assert write_images(write_source(tmp_path / "source"), tmp_path / "out") == 1
    image = cv2.imread(str(tmp_path / "out/images/img_001.png"), cv2.IMREAD_UNCHANGED)
    mask = cv2.imread(str(tmp_path / "out/masks/img_001.png"), cv2.IMREAD_UNCHANGED)
    assert image.shape == mask.shape == (100, 100)
    assert image[48:52].mean() > 190
    assert image[:40].mean() < 70
    assert np.flatnonzero(mask.all(axis=1)).tolist() == [48, 49, 50, 51]
    assert np.unique(mask).tolist() == [0, 255]


@pytest.mark.parametrize(
    ("what", "message"), [("nothing", "has no such image"), ("no masks", r"img_001.png must be images of one size")]
)
def test_folder_that_is_no_such_dataset_is_refused(tmp_path: Path, what: str, message: str) -> None:
    source = tmp_path / "source"
    if what == "no masks":
        write_source(source, masks=False)
    with pytest.raises(DataError, match=message):
        write_images(source, tmp_path / "out")


def test_windows_are_cut_into_folders_by_what_they_hold(
    tmp_path: Path, tube_catalog: Catalog, tube_experiment: Callable[..., NanotubeExperiment]
) -> None:
    config = tube_experiment({"train.patch_size": 32, "data.labels.min_pixels": 20, "data.labels.core": 1.0})
    samples = [one for one in tube_catalog.samples if one.sample_id in ("tube00", "tube01")]
    negative, positive = write_windows(samples, tmp_path / "cut", config=config, step=32)
    cut = {path.stem: path for path in (tmp_path / "cut").glob("*/*.png")}
    assert (negative, positive) == (8 + 12, 4)  # the line runs along the upper third, of four windows
    assert {path.stem for path in (tmp_path / "cut/positive").glob("*.png")} == {
        f"tube00_000_{x:03}" for x in (0, 32, 64, 96)
    }
    part = cv2.imread(str(cut["tube01_032_064"]), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(part, samples[1].image()[32:64, 64:96])


@pytest.mark.parametrize(
    ("window", "image"), [("img_001_000_020", "img_001"), ("a_000_240", "a"), ("a_b_c_100_008", "a_b_c")]
)
def test_window_tells_which_image_it_was_cut_from(window: str, image: str) -> None:
    assert image_of(window) == image


def sample(number: int, split: str) -> SampleRef:
    path = Path(f"{number}.png")
    return SampleRef(f"{number:03}", path, path, 64, 64, "other", 1, number, split, f"{number:016x}")  # type: ignore[arg-type]


def test_few_images_are_the_same_for_every_training_and_stay_in_their_split() -> None:
    splits = ["train"] * 48 + ["val"] * 12 + ["test"] * 20
    catalog = Catalog("tnt", "0" * 32, tuple(sample(number, split) for number, split in enumerate(splits)))
    drawn = few(catalog, 7)
    assert {split: len(samples) for split, samples in drawn.items()} == {"train": 9, "val": 3}
    assert all(one.split == split for split, samples in drawn.items() for one in samples)
    assert few(catalog, 7) == drawn
    assert few(catalog, 8) != drawn


def test_windows_are_dealt_each_on_its_own() -> None:
    windows = [dataclasses.replace(sample(number, "train"), num_objects=number % 3 == 0) for number in range(120)]
    parts = one_by_one(windows, 7)
    assert {split: len(dealt) for split, dealt in parts.items()} == {"train": 84, "val": 30}
    assert {split: sum(window.num_objects for window in dealt) for split, dealt in parts.items()} == {
        "train": 28,
        "val": 10,
    }


@pytest.mark.usefixtures("in_project")
@pytest.mark.parametrize("name", list(ARMS))
def test_row_is_a_valid_experiment_of_the_asked_length(name: str) -> None:
    config = config_of(ARMS[name], 2, 240)
    assert config.train.epochs * config.train.steps_per_epoch == 240
    assert config.seed == 2
    assert config.data == config_of(ARMS["ours"], 1, 240).data


@pytest.mark.usefixtures("in_project")
def test_row_without_a_remedy_differs_from_ours() -> None:
    ours = config_of(ARMS["ours"], 1, 240)
    same = [name for name in ARMS if config_of(ARMS[name], 1, 240) == ours]
    assert same == ["ours", "ours-few"]  # on fewer images


def test_measures_are_those_computed_by_hand() -> None:
    found = measures(np.array([1, 1, 0, 0, 0]), np.array([0.9, 0.3, 0.6, 0.2, 0.1], np.float32), 0.5)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["pr_auc"] == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)
    assert (found["positive"], found["windows"]) == (pytest.approx(2 / 5), 5)


def test_threshold_parts_classes_that_can_be_parted() -> None:
    assert 0.2 < threshold_of(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.7, 0.8], np.float32)) < 0.7


def figures(**changes: float) -> dict[str, float]:
    return with_gaps({**dict.fromkeys(COLUMNS.values(), 0.5), **changes})


def test_spread_is_mean_and_sample_deviation_over_seeds() -> None:
    runs = [figures(**{"end/train_accuracy": value}) for value in (0.8, 1.0)]
    found = spread(runs)
    assert found["end/train_accuracy"] == pytest.approx(0.9)
    assert found["end/train_accuracy sd"] == pytest.approx(math.sqrt(0.02))
    assert found["gap"] == pytest.approx(40.0)
    assert spread([figures(**{"end/untouched_accuracy": 0.25})])["untouched_gap"] == pytest.approx(25.0)


def test_one_seed_has_no_deviation() -> None:
    assert math.isnan(spread([figures()])["gap sd"])


def test_table_adds_up_the_newest_finished_run_of_each_seed(project: Path) -> None:
    import mlflow

    def log(accuracy: float, *, seed: int, finished: bool = True, steps: int = 60) -> None:
        tags = {"arm": "ours", "seed": str(seed), "steps": str(steps), "finished": str(finished).lower()}
        with mlflow.start_run(tags=tags):
            mlflow.log_metrics(figures(**{"end/train_accuracy": accuracy}))
            for split in ("train", "val"):
                mlflow.log_metric(f"{split}/accuracy", accuracy, step=1)
                mlflow.log_metric(f"{split}/loss", 1.0 - accuracy, step=1)

    log(0.1, seed=1)
    log(0.6, seed=1)
    log(0.8, seed=2)
    log(0.9, seed=3, finished=False)
    log(0.9, seed=3, steps=30)
    log(0.9, seed=4)
    table = summary(["published", "ours"], steps=60, seeds=[1, 2, 3])
    assert table["arm"].tolist() == ["ours"]
    assert table["seeds"].tolist() == [2]
    assert "| 2 | 0.700 ± 0.141 | 0.500 ± 0.000 | 20.0 ± 14.1 | 0.500 ± 0.000 | 20.0 ± 14.1 |" in markdown(table)
    drawn = curves_figure({"published": "published", "ours": "ours"}, steps=60, seeds=[1, 2, 3])
    assert [len(axes.lines) for axes in drawn.axes] == [0, 4, 0, 4]
