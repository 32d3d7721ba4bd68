from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nanonuclei.config.legal import check_space, trial_config
from nanonuclei.config.params import flatten, load_experiment, with_settings
from nanonuclei.config.recipes import load_recipe
from nanonuclei.config.space import Choice, FloatRange, IntRange
from nanonuclei.errors import ConfigError
from nanonuclei.tasks.nuclei.config import NucleiExperiment

ROOT = Path(__file__).parents[2]
Experiment = Callable[..., NucleiExperiment]


def floats(low: float, high: float, *, log: bool = False) -> dict[str, Any]:
    return {"type": "float", "low": low, "high": high, "log": log}


def ints(low: int, high: int, step: int = 1) -> dict[str, Any]:
    return {"type": "int", "low": low, "high": high, "step": step, "log": False}


def choice(*values: object) -> dict[str, Any]:
    return {"type": "choice", "values": list(values)}


def test_space_of_the_project_is_legal() -> None:
    check_space(load_experiment("nuclei", path=ROOT / "params.yaml"))


def test_space_is_one_setting_that_survives_flattening_and_is_replaced_whole(
    experiment: Experiment, tmp_path: Path
) -> None:
    config = experiment()
    assert flatten(config)["tune.space"] == config.model_dump()["tune"]["space"]
    assert with_settings(config, flatten(config)) == config
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("tune:\n  space:\n    network.depth: {type: int, low: 1, high: 4, step: 1, log: false}\n")
    changed = with_settings(config, load_recipe(recipe))
    assert changed.tune.space == {"network.depth": IntRange(type="int", low=1, high=4, step=1, log=False)}


@pytest.mark.parametrize(
    ("span", "ends", "shown"),
    [
        (FloatRange(**floats(0.001, 0.1, log=True)), (0.001, 0.1), "0.001..0.1 log"),
        (IntRange(**ints(8, 24, 8)), (8, 24), "8..24 by 8"),
        (Choice(**choice("adam", "sgd")), ("adam", "sgd"), "adam | sgd"),
    ],
)
def test_ranges_know_their_ends(span: FloatRange | IntRange | Choice, ends: tuple[object, ...], shown: str) -> None:
    assert (span.ends(), str(span)) == (ends, shown)


@pytest.mark.parametrize(
    ("path", "span", "message"),
    [
        (
            "train.learning_rat",
            floats(0.1, 1.0),
            "unknown setting 'train.learning_rat'. Did you mean",
        ),
        ("train", floats(0.1, 1.0), "unknown setting 'train'. It is a group"),
        (
            "train.learning_rate",
            floats(0.1, 11.0),
            "train.learning_rate = 0.1..11: train.learning_rate=11.0: input",
        ),
        ("network.dropout", floats(-0.1, 0.5), "network.dropout=-0.1: input should be greater than or equal to 0"),
        ("network.depth", ints(1, 7), "network.depth=7: input should be less than or equal to 6"),
        ("network.depth", floats(1.0, 3.5), "network.depth=3.5: input should be a valid integer"),
        ("train.optimizer", choice("adam", "adamx"), "train.optimizer=adamx"),
        ("train.epochs", ints(5, 10), "train.epochs is what tune.epochs sets"),
        ("instances.threshold", floats(0.2, 0.8), "instances.threshold has no influence on val/iou"),
        ("seed", ints(1, 9), "seed changes the images of a trial"),
    ],
)
def test_illegal_space_is_refused_with_path_and_reason(
    experiment: Experiment, path: str, span: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_space(experiment({"tune.space": {path: span}}))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("span", "message"),
    [
        (floats(0.2, 0.1), "low must be below high, got low=0.2 and high=0.1"),
        (floats(0.0, 0.1, log=True), "must begin above 0"),
        (ints(8, 25, 8), "Take high=24"),
        (choice(), "at least 1 item"),
        (choice("adam", "adam"), "each value may stand once"),
        (
            {"type": "integer", "low": 1, "high": 2},
            "type must be float or int or choice, got 'integer'. Did you mean int?",
        ),
        ({"type": "float", "low": 0.1, "high": 0.2}, "setting 'tune.space.train.learning_rate.log' is missing"),
    ],
)
def test_range_that_is_none_is_refused(experiment: Experiment, span: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        experiment({"tune.space": {"train.learning_rate": span}})
    assert message in str(caught.value)


def test_values_that_fit_only_together_are_legal(experiment: Experiment) -> None:
    space = {
        "target.kind": choice("boundary", "foreground"),
        "loss.kind": choice("sparse_categorical_crossentropy", "dice"),
    }
    check_space(experiment({"tune.space": space}))
    with pytest.raises(ConfigError, match=r"target\.kind=core has three classes"):
        check_space(experiment({"tune.space": {"loss.kind": space["loss.kind"]}}))


def test_space_of_the_project_covers_network_training_loss_and_augmentation_and_needs_no_download() -> None:
    space = load_experiment("nuclei", path=ROOT / "params.yaml").tune.space
    assert {"network.kind", "network.depth", "loss.border_weight", "augment.scale", "train.learning_rate"} <= set(space)
    assert space["network.weights"].ends() == ("none",)


def test_validation_loss_cannot_be_compared_between_losses(experiment: Experiment) -> None:
    space = {"loss.border_weight": floats(1.0, 5.0)}
    check_space(experiment({"tune.space": space}))
    with pytest.raises(ConfigError, match=r"set tune\.metric=val/accuracy"):
        check_space(experiment({"tune.space": space, "tune.metric": "val/loss"}))


def test_empty_space_is_refused(experiment: Experiment) -> None:
    with pytest.raises(ConfigError, match="at least one setting"):
        check_space(experiment({"tune.space": {}}))


def test_trial_trains_for_the_epochs_of_the_search_unless_the_tuner_says_else(experiment: Experiment) -> None:
    config = experiment({"tune.epochs": 9})
    assert trial_config(config, {"train.learning_rate": 0.5}).train.epochs == 9
    assert trial_config(config, {"train.epochs": 3}).train.epochs == 3
    assert trial_config(config, {"train.learning_rate": 0.5}).train.learning_rate == 0.5


def test_grace_shorter_than_two_heartbeats_is_refused(experiment: Experiment) -> None:
    with pytest.raises(ConfigError, match="at least two heartbeats"):
        experiment({"tune.heartbeat": 10, "tune.grace": 15})
