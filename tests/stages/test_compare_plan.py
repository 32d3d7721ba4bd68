"""What a comparison reads of its recipes, its named runs and the settings of trainings, before it trains."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nanonuclei.config.params import flatten, load_experiment
from nanonuclei.config.recipes import recipe_path
from nanonuclei.stages.compare.plan import CompareOptions, named_runs, plan, recipe_names
from nanonuclei.stages.compare.report import unequal
from nanonuclei.stages.compare.runs import decisive
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.settings import Choices, resolve
from nanonuclei.stages.tune.plan import comparison

pytestmark = pytest.mark.usefixtures("project")


def quiet(_: str) -> None:
    pass


def test_recipes_are_files_names_or_the_parameters_alone() -> None:
    assert recipe_names("unet recipes/unet-tuned.yaml ''") == {
        "unet": "unet",
        "unet-tuned": "recipes/unet-tuned.yaml",
        "default": "default",
    }
    assert recipe_names("default") == {"default": "default"}
    found = "scratch/tune/short/best.yaml scratch/tune/long/best.yaml best.yaml default"
    assert list(recipe_names("'plates of May/my rec.yaml' default")) == ["my_rec", "default"]
    assert list(recipe_names(found)) == ["short-best", "long-best", "this-folder-best", "default"]
    assert [recipe_path(name) for name in ("unet", "./mine.yaml", "default")] == [
        Path("recipes/unet.yaml"),
        Path("mine.yaml"),
        None,
    ]


def test_default_is_the_parameters_alone_whatever_the_data() -> None:
    for dataset in ("simulated", "auto"):
        config = resolve(Choices("nuclei", dataset, "default"), say=quiet)
        assert config == load_experiment("nuclei", path=PARAMS, settings={"data.dataset": "simulated"})
    small = resolve(Choices("nuclei", "simulated"), say=quiet)
    assert small.network.base_filters < config.network.base_filters


def test_unequal_budgets_and_networks_are_named() -> None:
    columns = ["arm", "epochs", "steps_per_epoch", "batch_size", "num_params"]
    runs = pd.DataFrame([("default", 8, 25, 4, 1_084_731), ("tuned", 8, 25, 4, 121_195)], columns=columns)
    assert unequal(runs) == "parameters of the networks (default 1,084,731, tuned 121,195)"
    assert unequal(runs.assign(num_params=5)) == ""
    assert (
        unequal(runs.assign(num_params=5, epochs=[8, 9]))
        == "epochs x steps x batch (default 8 x 25 x 4, tuned 9 x 25 x 4)"
    )


def test_names_and_runs_of_a_comparison_are_read() -> None:
    assert named_runs(" a=1,2  b=3 ") == {"a": ["1", "2"], "b": ["3"]}


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"seed": 7}, {"seed": 7, "data.seed": 7}, True),
        ({"seed": 7, "data.seed": 7}, {"seed": 8, "data.seed": 7}, False),
        ({"data.seed": 8}, {"data.seed": 7}, False),
        ({}, {"train.workers": 1, "tune.epochs": 3, "evaluate.bootstrap": 9}, True),
        ({}, {"windows.num_views": 8}, False),
        ({"data.dataset": "dsb2018"}, {"data.dataset": "dsb2018", "data.simulated.size": 64}, True),
        ({"data.dataset": "simulated"}, {"data.dataset": "simulated", "data.simulated.size": 64}, False),
    ],
)
def test_settings_that_decide_a_score_tell_trainings_apart(
    one: dict[str, Any], other: dict[str, Any], equal: bool
) -> None:
    config = load_experiment("nuclei", path=PARAMS)
    first, second = (flatten(load_experiment("nuclei", path=PARAMS, settings=given)) for given in (one, other))
    logged = {**{path: str(value) for path, value in second.items()}, "dataset": "auto", "recipe": ""}
    assert (decisive(first, config) == decisive(logged, config)) is equal


def test_older_runs_without_a_seed_of_the_data_are_recognised() -> None:
    config = load_experiment("nuclei", path=PARAMS, settings={"data.seed": 7})
    now = flatten(config)
    then = {path: str(value) for path, value in now.items() if path != "data.seed" and not path.startswith("tune")}
    assert decisive(now, config) == decisive(then, config)


def test_what_a_search_prints_compares_its_best_with_what_it_began_with_for_as_long_on_the_same_images() -> None:
    best = Path("best.yaml")
    best.write_text(
        "data.simulated.num_images: 30\ndata.on_bad_sample: skip\ntrain.epochs: 6\ntrain.steps_per_epoch: 3\n"
        "train.patch_size: 64\ntrain.learning_rate: 0.01\nnetwork.depth: 2\n"
    )
    found = ("train.learning_rate", "network.depth")
    words = shlex.split(comparison("nuclei", "simulated", ("simulated", str(best)), searched=found))
    assert words[-1].removeprefix("set=").split() == [
        "data.on_bad_sample=skip",
        "data.simulated.num_images=30",
        "train.epochs=6",
        "train.patch_size=64",
        "train.steps_per_epoch=3",
    ]
    settings = tuple(words[-1].removeprefix("set=").split())
    wanted = CompareOptions(f"simulated {best}", 1, "", False)
    plan(Choices("nuclei", "simulated", None, settings), wanted, say=quiet)
    best.write_text("train.learning_rate: 0.01\ntrain.epochs: 8\ntrain.steps_per_epoch: 25\n")
    assert "steps_per_epoch" not in comparison("nuclei", "simulated", ("simulated", str(best)), searched=found)
