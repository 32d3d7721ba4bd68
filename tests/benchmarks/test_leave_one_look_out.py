"""Looks and trainings without one of them: who is in which group, what a training sees, how results add up."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import leave_one_look_out
import look_tables
import numpy as np
import pandas as pd
import pytest
import yaml
from leave_one_look_out import arms, config_of, main, parts_without, result_path, trained
from look_tables import groups_table, markdown, results_table
from looks import Appearance, appearance, look_name, looks
from tests.benchmarks.conftest import sized_catalog, squares, unpadded

from nanonuclei.data.catalog import (
    Catalog,
)
from nanonuclei.errors import ConfigError, DataError
from nanonuclei.tasks.nuclei.config import NucleiExperiment

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_appearance_is_the_median_nucleus_its_diameter_and_its_share_of_the_range() -> None:
    image, labels = squares([100, 120, 120, 180, 220])
    seen = appearance(image, labels)
    assert seen.diameter == pytest.approx(2 * (100 / np.pi) ** 0.5)
    assert seen.brightness == pytest.approx((120 - 20) / (220 - 20))
    inverse = appearance(255 - image, labels).brightness  # nuclei are dark; the peak is below percentile 1 now
    assert inverse == pytest.approx(100 / 160)
    assert appearance(np.stack([image] * 3, axis=2), labels).brightness == pytest.approx(seen.brightness)
    assert np.isnan(appearance(image, np.zeros_like(labels))).all()


@pytest.mark.parametrize(
    ("diameter", "brightness", "name"),
    [
        (12.9, 0.45, "fluorescence-tiny-bright"),
        (13.0, 0.44, "fluorescence-small-dim"),
        (20.0, 0.9, "fluorescence-medium-bright"),
        (94.0, 0.1, "fluorescence-large-dim"),
        (np.nan, np.nan, "fluorescence-empty"),
    ],
)
def test_names_follow_from_the_bounds(diameter: float, brightness: float, name: str) -> None:
    assert look_name("fluorescence", Appearance(diameter, brightness)) == name


@pytest.fixture
def sized(tmp_path: Path) -> Catalog:
    """Eight training and four validation images."""
    return sized_catalog(tmp_path / "prepared", {"train": 8, "val": 4})


TINY_LOOK, LARGE_LOOK = "fluorescence-tiny-bright", "fluorescence-medium-bright"


def test_tiles_of_one_field_stay_together(sized: Catalog) -> None:
    apart = looks(sized.samples)
    assert [apart[f"s{number:02}"] for number in range(3)] == [TINY_LOOK, LARGE_LOOK, TINY_LOOK]
    together = [dataclasses.replace(s, field=0) if s.sample_id in ("s00", "s01", "s02") else s for s in sized.samples]
    named = looks(together)
    assert named["s00"] == named["s01"] == named["s02"] == TINY_LOOK
    assert named["s03"] == LARGE_LOOK


def test_groups_are_counted_largest_first(sized: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_tables, "LEAST", 4)
    samples = sized.split("train")[1:]
    table = groups_table(looks(samples), samples)
    assert table.to_dict("records") == [
        {"look": LARGE_LOOK, "images": 4, "fields": 4, "nuclei": 12, "left_out": True},
        {"look": TINY_LOOK, "images": 3, "fields": 3, "nuclei": 9, "left_out": False},
    ]


def test_a_training_sees_nothing_of_the_look_that_is_left_out(
    sized: Catalog, monkeypatch: pytest.MonkeyPatch, experiment: Callable[..., NucleiExperiment]
) -> None:
    names = looks(sized.samples)
    parts = parts_without(TINY_LOOK, sized, names, experiment())
    assert [[sample.sample_id for sample in part] for part in (parts.train, parts.val, parts.held_out)] == [
        ["s01", "s03", "s05", "s07"],
        ["s09", "s11"],
        ["s00", "s02", "s04", "s06"],
    ]
    monkeypatch.setattr(leave_one_look_out, "VAL_IMAGES", 1)
    few = parts_without(TINY_LOOK, sized, names, experiment({"data.max_train_samples": 2}))
    assert (len(few.train), len(few.val), len(few.held_out)) == (2, 1, 4)
    with pytest.raises(DataError, match=r"data\.modality"):
        parts_without(TINY_LOOK, sized, names, experiment({"data.modality": "stained"}))


def test_every_arm_trains_for_as_many_steps() -> None:
    for recipe in ("default", "recipes/unet.yaml", "recipes/unet-mobilenet-transpose.yaml"):
        config = config_of(recipe, steps=600, seed=3)
        assert config.seed == 3
        assert config.train.epochs * config.train.steps_per_epoch == 600
        assert config.train.early_stopping_patience == 0
        assert max(config.train.ema_momentum, config.network.norm_momentum) <= 1 - 1 / 60
        assert (config.train.keep, config.train.tensorboard, config.evaluate.bootstrap) == ("last", False, 0)
    assert config_of("default", steps=3, seed=3).train.epochs == 3
    assert config_of("default", steps=600, seed=3).network.norm_momentum == 1 - 1 / 60


def test_arms_are_named_by_their_files() -> None:
    assert arms(["default", "recipes/unet.yaml"]) == {"default": "default", "unet": "recipes/unet.yaml"}
    with pytest.raises(ConfigError, match=r"different file names, got a/x\.yaml and b/x\.yaml"):
        arms(["a/x.yaml", "b/x.yaml"])
    with pytest.raises(ConfigError, match="--steps must be at least 1, got 0"):
        config_of("default", steps=0, seed=1)


def test_a_result_has_another_file_once_settings_or_images_change(sized: Catalog, tmp_path: Path) -> None:
    names = looks(sized.samples)
    config = config_of("default", steps=6, seed=1)
    parts = parts_without(TINY_LOOK, sized, names, config)
    path = result_path(tmp_path, "default", TINY_LOOK, config=config, parts=parts)
    assert path.name.startswith(f"default--{TINY_LOOK}--seed1-")
    others = {
        result_path(tmp_path, "default", TINY_LOOK, config=changed, parts=seen)
        for changed, seen in (
            (config_of("default", steps=12, seed=1), parts),
            (config_of("default", steps=6, seed=2), parts),
            (config, dataclasses.replace(parts, train=parts.train[1:])),
        )
    }
    assert len(others | {path}) == 4
    assert path == result_path(tmp_path, "default", TINY_LOOK, config=config, parts=parts)


def test_a_finished_training_is_read_and_not_repeated(sized: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "done.json"
    path.write_text('{"ap50_pooled": 0.5}')
    config = config_of("default", steps=6, seed=1)
    parts = parts_without(TINY_LOOK, sized, looks(sized.samples), config)
    assert trained(path, "default", TINY_LOOK, config=config, parts=parts) == {"ap50_pooled": 0.5}


def test_differences_and_means_are_over_looks_that_all_arms_have() -> None:
    def result(look: str, arm: str, score: float) -> dict[str, object]:
        return {"look": look, "arm": arm, "images": 20, "nuclei": 99, "ap50_pooled": score, "train_seconds": 60.0}

    results = [result("a", "default", 0.5), result("a", "x", 0.625), result("b", "default", 0.75)]
    results += [result("c", "default", 0.25), result("c", "x", 0.125)]
    table = results_table(results, ["default", "x"], ["a", "b", "c"]).set_index("look")
    assert table["x - default"].fillna(9).tolist() == [0.125, 9, -0.125, 0]
    assert table.loc["mean", ["images", "nuclei", "default", "x"]].tolist() == [40, 198, 0.375, 0.375]
    assert unpadded(markdown(table.reset_index())).splitlines()[2:] == [
        "| a | 20 | 99 | 0.500 | 0.625 | +0.125 | 60 | 60 |",
        "| b | 20 | 99 | 0.750 | - | - | 60 | - |",
        "| c | 20 | 99 | 0.250 | 0.125 | -0.125 | 60 | 60 |",
        "| mean | 40 | 198 | 0.375 | 0.375 | +0.000 | 60 | 60 |",
    ]


@pytest.mark.slow
def test_the_command_trains_two_arms_without_a_look_and_takes_finished_ones(
    sized: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    experiment: Callable[..., NucleiExperiment],
) -> None:
    monkeypatch.setattr(look_tables, "LEAST", 4)
    monkeypatch.setattr(leave_one_look_out, "LEAST", 4)
    tiny = experiment().model_dump(include={"network": True, "train": True, "windows": True, "instances": True})
    recipes = []
    for name, rate in (("slow", 0.001), ("fast", 0.01)):
        tiny["train"]["learning_rate"] = rate
        recipes.append(tmp_path / f"{name}.yaml")
        recipes[-1].write_text(yaml.safe_dump(tiny))
    out = tmp_path / "out"
    words = ["--prepared", str(tmp_path / "prepared"), "--out", str(out), "--steps", "4"]
    words += ["--only", LARGE_LOOK, "--recipes"]
    monkeypatch.setattr(sys, "argv", ["leave_one_look_out.py", *words, *map(str, recipes)])
    main()
    printed = capsys.readouterr().out
    assert "2 looks have 4 training images or more." in printed
    files = sorted(out.glob("*.json"))
    assert [path.name.split("--")[:2] for path in files] == [["fast", LARGE_LOOK], ["slow", LARGE_LOOK]]
    result = json.loads(files[0].read_text())
    assert (result["steps"], result["patches"], result["images"], result["train_images"]) == (4, 8, 4, 4)
    assert {path.name for path in out.iterdir()} == {"looks.csv", *(path.name for path in files)}
    before = pd.read_csv(out / "looks.csv")
    assert before["look"].tolist() == [LARGE_LOOK, "mean"]
    written = [path.stat().st_mtime_ns for path in files]
    main()
    assert [path.stat().st_mtime_ns for path in files] == written
    pd.testing.assert_frame_equal(pd.read_csv(out / "looks.csv"), before)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "fluorescence-tiny-brigt"], "--only must name looks of 4 images or more, got"),
        (["--recipes", "recipes/unett.yaml"], "no recipe at recipes/unett.yaml. Did you mean"),
    ],
)
def test_a_wrong_name_ends_with_one_line(
    words: list[str],
    message: str,
    sized: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(look_tables, "LEAST", 4)
    monkeypatch.setattr(leave_one_look_out, "LEAST", 4)
    monkeypatch.setattr(sys, "argv", ["leave_one_look_out.py", "--prepared", str(tmp_path / "prepared"), *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"Error: {message}")
    assert error.count("\n") == 1


def test_looks_too_small_to_be_left_out_are_an_error(
    sized: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["leave_one_look_out.py", "--prepared", str(tmp_path / "prepared")])
    with pytest.raises(SystemExit):
        main()
    assert "one look must have 15 training images or more, the largest has 4" in capsys.readouterr().err
