"""A whole search on a tiny dataset: its runs, its recipe, its figures, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from tests.conftest import ROOT

from nanonuclei.cli import _parser
from nanonuclei.commands.options import choices_of
from nanonuclei.config.params import load_experiment
from nanonuclei.config.recipes import load_recipe
from nanonuclei.data.catalog import Catalog
from nanonuclei.errors import ConfigError, NanonucleiError, TrackingError
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.settings import resolve
from nanonuclei.stages.tune import tune as stage
from nanonuclei.stages.tune.finished import finished_search
from nanonuclei.stages.tune.plan import check_study, plan
from nanonuclei.stages.tune.trial import trial_data
from nanonuclei.stages.tune.tune import TuneOptions, tune
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tracking.runs import PARENT
from nanonuclei.tune import objective

SETTINGS: dict[str, Any] = {
    "train.epochs": 40,
    "data.dataset": "simulated",
    "tune.epochs": 2,
    "tune.num_startup_trials": 2,
    "tune.num_warmup_epochs": 0,
    "tune.optuna.pruner": "none",
    "tune.space": {
        "train.learning_rate": {"type": "float", "low": 0.001, "high": 0.1, "log": True},
        "loss.border_weight": {"type": "choice", "values": [1.0, 4.0]},
    },
}


def simulated(catalog: Catalog) -> Catalog:
    """Takes drawn images for simulated ones, which are in no dataset's folder."""
    return dataclasses.replace(catalog, name="simulated")


@pytest.fixture
def config(
    project: Path, disc_catalog: Catalog, monkeypatch: pytest.MonkeyPatch, experiment: Callable[..., NucleiExperiment]
) -> NucleiExperiment:
    monkeypatch.setattr(stage, "prepared_dataset", lambda config, say: (simulated(disc_catalog), Path("images.zip")))
    return experiment(SETTINGS)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Replaces training by a curve: the value is the learning rate; `fails` names rates that diverge."""
    limits = {"fails_above": 1.0}

    def fit(task: Any, *_: object, on_epoch: Callable[..., None], **__: object) -> Any:
        rate = task.config.train.learning_rate
        for epoch in range(1, task.config.train.epochs + 1):
            diverges = rate > limits["fails_above"]
            on_epoch(epoch, {"train/loss": 1.0, "val/iou": float("nan") if diverges else rate * epoch})
        return type("Result", (), {"model": task.build_network()})()

    monkeypatch.setattr(objective, "fit", fit)
    return limits


def trials_of(parent: str) -> list[mlflow.entities.Run]:
    experiment = mlflow.get_run(parent).info.experiment_id
    found = mlflow.MlflowClient().search_runs([experiment], filter_string=f"tags.`{PARENT}` = '{parent}'")
    return sorted(found, key=lambda run: int(run.data.tags["trial"]))


def artifacts(run_id: str, folder: str = "") -> set[str]:
    return {entry.path for entry in mlflow.MlflowClient().list_artifacts(run_id, folder)}


def test_search_leaves_a_run_with_a_run_per_trial_and_the_best_as_a_recipe(
    config: NucleiExperiment, quick: dict[str, float]
) -> None:
    said: list[str] = []
    parent = tune(config, options=TuneOptions("optuna", trials=5, recipe="default"), say=said.append)
    run = mlflow.get_run(parent)
    assert run.info.status == "FINISHED"
    assert (run.data.tags["stage"], run.data.tags["study"]) == ("tune", "nuclei-simulated-optuna")
    contexts = [tag.value for entry in run.inputs.dataset_inputs for tag in entry.tags if tag.key.endswith("context")]
    assert sorted(contexts) == ["train", "val"]
    assert artifacts(parent, "figures") == {
        f"figures/{name}.png" for name in ("history", "importances", "parallel_coordinates", "slices", "pareto")
    }
    assert {"best.yaml", "trials.csv", "config.yaml"} <= artifacts(parent)

    assert any(line.startswith("Trials: 5 in all, each 2 epochs of ") for line in said)
    trials = trials_of(parent)
    assert [trial.data.tags["state"] for trial in trials] == ["complete"] * 5
    assert {trial.info.status for trial in trials} == {"FINISHED"}
    assert all(set(trial.data.params) == set(config.tune.space) for trial in trials)
    assert all({"value", "seconds", "num_params", "inference_ms", "best_epoch"} <= set(t.data.metrics) for t in trials)
    assert all(trial.data.tags["worker"] for trial in trials)
    identity = {"task": "nuclei", "recipe": "default", "dataset": "simulated", "seed": str(config.seed)}
    for one, own in ((run, {"stage": "tune"}), *((trial, {"stage": "trial", "parent": parent}) for trial in trials)):
        assert {**identity, **own}.items() <= one.data.tags.items()
    curve = mlflow.MlflowClient().get_metric_history(trials[0].info.run_id, "val/iou")
    assert [point.step for point in curve] == [1, 2]

    best = max(trials, key=lambda trial: trial.data.metrics["value"])
    assert run.data.tags["best.trial"] == best.data.tags["trial"]
    assert run.data.metrics["best_value"] == best.data.metrics["value"]
    path = Path("scratch/tune/nuclei-simulated-optuna/best.yaml")
    recipe = load_recipe(path)
    assert str(recipe["train.learning_rate"]) == best.data.params["train.learning_rate"]
    trained = load_experiment("nuclei", path=PARAMS, settings=recipe)
    assert trained.train.epochs == 40
    assert trained.network == config.network
    assert f"-P recipe={path}" in path.read_text().replace("\n", " ")
    assert any(f"recipe={path}" in line for line in said)
    other = plan(config, TuneOptions("keras-tuner", trials=5, study="nuclei-simulated-optuna"))
    with pytest.raises(ConfigError, match=r"is a search of optuna, and keras-tuner would .* `-P tuner=optuna`"):
        check_study(other, "keras-tuner")
    assert not list(path.parent.glob("trial*"))


def test_trials_are_measured_on_a_part_of_the_validation_images_that_no_seed_of_a_training_moves(
    disc_catalog: Catalog, experiment: Callable[..., NucleiExperiment]
) -> None:
    whole = trial_data(disc_catalog, experiment())
    assert whole.train == disc_catalog.split("train")
    assert whole.val == disc_catalog.split("val")
    assert len(whole.val) > 1
    parts = [trial_data(disc_catalog, experiment({"tune.max_val_samples": 1, "seed": seed})) for seed in range(5)]
    assert all(len(part.val) == 1 and part.val[0] in whole.val for part in parts)
    assert len({part.val[0].sample_id for part in parts}) == 1
    assert trial_data(disc_catalog, experiment({"tune.max_val_samples": 99})) == whole


def test_diverged_trials_are_failed_runs_with_the_reason_and_the_search_goes_on(
    config: NucleiExperiment, quick: dict[str, float]
) -> None:
    quick["fails_above"] = 0.01
    parent = tune(config, options=TuneOptions("optuna", trials=6), say=lambda text: None)
    failed = [trial for trial in trials_of(parent) if trial.data.tags["state"] == "failed"]
    assert len(failed) == mlflow.get_run(parent).data.metrics["trials/failed"] > 0
    assert {trial.info.status for trial in failed} == {"FAILED"}
    assert "val/iou must be a finite number" in failed[0].data.tags["error"]
    assert mlflow.get_run(parent).data.metrics["best_value"] <= 2 * 0.01


def test_search_without_a_finished_trial_has_no_recipe_and_fails(
    config: NucleiExperiment, quick: dict[str, float]
) -> None:
    quick["fails_above"] = 0.0
    with pytest.raises(NanonucleiError, match="no trial was finished"):
        tune(config, options=TuneOptions("optuna", trials=2), say=lambda text: None)
    assert not Path("scratch/tune/nuclei-simulated-optuna/best.yaml").exists()
    assert {run.info.status for run in mlflow.MlflowClient().search_runs(["0"])} == {"FAILED"}


def test_interrupted_search_goes_on_in_the_same_run(
    config: NucleiExperiment, quick: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = objective.fit, []

    def interrupted(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(*arguments, **named)

    monkeypatch.setattr(objective, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune(config, options=TuneOptions("optuna", trials=3), say=lambda text: None)
    first = {run.info.run_id: run for run in mlflow.MlflowClient().search_runs(["0"])}
    assert sorted(run.info.status for run in first.values()) == ["FINISHED", "KILLED", "KILLED"]

    parent = tune(config, options=TuneOptions("optuna", trials=3), say=lambda text: None)
    assert parent in first
    assert mlflow.get_run(parent).info.status == "FINISHED"
    trials = trials_of(parent)
    assert [trial.data.tags["state"] for trial in trials].count("complete") == 3
    retried = next(trial for trial in trials if "retry_of" in trial.data.tags)
    died = next(trial for trial in trials if trial.data.tags["state"] == "died")
    assert retried.data.tags["retry_of"] == died.data.tags["trial"]
    assert retried.data.params == died.data.params


LIGHT = (
    "import sys; from nanonuclei.cli import main; code = main(sys.argv[1:]); "
    "slow = {'keras', 'keras_tuner', 'matplotlib', 'mlflow', 'optuna', 'tensorflow'} & set(sys.modules); "
    "sys.exit(str(slow) if slow else code)"
)
"""The command line, which fails where it has imported what takes seconds."""


@pytest.mark.parametrize("tuner", ["optuna", "keras-tuner"])
def test_finished_search_is_told_without_slow_imports_and_its_run_stays_as_it_is(
    tuner: str, config: NucleiExperiment, quick: dict[str, float], tmp_path: Path
) -> None:
    recipe = tmp_path / "my recipes" / "slow.yaml"
    recipe.parent.mkdir()
    recipe.write_text("train.warmup_epochs: 1")
    set_ = "tune.epochs=1 network.depth=1 network.base_filters=4 train.patch_size=32 tune.optuna.pruner=none"
    words = ["tune", "nuclei", "--dataset", "simulated", "--recipe", str(recipe), "--tuner", tuner]
    words += ["--set", set_, "--trials"]
    parsed = choices_of(_parser().parse_args([*words, "1"]))
    config = resolve(parsed, say=lambda _: None)
    options = TuneOptions(tuner, trials=1, recipe=str(recipe))
    said: list[str] = []
    parent = tune(config, options=options, say=said.append)
    before = mlflow.get_run(parent)
    assert before.data.tags["recipe"] == "slow"

    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *words, "1"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, rest = done.stdout.split("\n", 1)
    assert first.startswith(f"Search nuclei-simulated-{tuner} is finished with 1 trial: nothing was changed.")
    assert parent in first
    assert next(text for text in said if text.startswith("\nTrials: ")) in rest
    for begin in ("Train it: ", "Compare:  ", "Trials:   "):
        assert f"\n{begin}" in rest
    (comparing,) = (line for line in rest.splitlines() if line.startswith("Compare:"))
    recipes = next(word for word in shlex.split(comparing.removeprefix("Compare:")) if "slow.yaml" in word)
    assert shlex.split(recipes.removeprefix("recipes="))[0] == str(recipe)
    after = mlflow.get_run(parent)
    assert (after.info.end_time, after.data.to_dictionary()) == (before.info.end_time, before.data.to_dictionary())

    def told(**changed: Any) -> str:
        other = dataclasses.replace(options, **changed)
        return finished_search(config, other, plan(config, other))

    assert told()
    assert told(trials=2) == ""  # there is work left
    with sqlite3.connect(mlflow.get_tracking_uri().removeprefix("sqlite:///")) as database:
        database.execute("update runs set status = 'RUNNING' where run_uuid = ?", (parent,))
    assert told() == ""  # somebody is at work
    with sqlite3.connect(mlflow.get_tracking_uri().removeprefix("sqlite:///")) as database:
        database.execute("update runs set status = 'FINISHED' where run_uuid = ?", (parent,))
    assert told()
    folder = Path(f"scratch/tune/nuclei-simulated-{tuner}")
    if tuner == "optuna":
        with sqlite3.connect(folder / "study.db") as database:
            database.execute("update trials set state = 'RUNNING' where number = 0")
    else:
        file = next((folder / "keras-tuner").glob("trial_0/trial.json"))
        file.write_text(json.dumps({**json.loads(file.read_text()), "status": "RUNNING"}))
    assert told() == ""  # one was cut off, or is at work


def test_search_does_not_go_on_with_other_data(
    config: NucleiExperiment, quick: dict[str, float], disc_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(config, options=TuneOptions("optuna", trials=1), say=lambda text: None)
    fewer = dataclasses.replace(simulated(disc_catalog), samples=disc_catalog.samples[1:])
    monkeypatch.setattr(stage, "prepared_dataset", lambda config, say: (fewer, Path("images.zip")))
    with pytest.raises(TrackingError, match="the data is not that of the search so far"):
        tune(config, options=TuneOptions("optuna", trials=2), say=lambda text: None)


def test_search_does_not_go_on_with_other_settings(
    config: NucleiExperiment, quick: dict[str, float], experiment: Callable[..., NucleiExperiment]
) -> None:
    tune(config, options=TuneOptions("optuna", trials=1), say=lambda text: None)
    other = experiment({**SETTINGS, "network.base_filters": 8, "train.workers": 1, "tune.max_retries": 0})
    with pytest.raises(ConfigError) as caught:
        tune(other, options=TuneOptions("optuna", trials=2), say=lambda text: None)
    assert "  network.base_filters: 4 in the study, 8 here" in str(caught.value).splitlines()
    assert "workers" not in str(caught.value)
    assert str(caught.value).splitlines()[-1] == (
        "Take them back with `-P set=network.base_filters=4`, or begin another search with "
        "`-P study=nuclei-simulated-optuna-2`"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (TuneOptions("optima", 3), "unknown tuner 'optima'"),
        (TuneOptions("optuna", 0), "at least one trial"),
        (TuneOptions("optuna", 3, study="../x"), "a study names a folder"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    config: NucleiExperiment, options: TuneOptions, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tune(config, options=options, say=lambda text: None)
    assert not Path("scratch").exists()


def test_files_for_clusters_give_commands_that_are_understood() -> None:
    folder = Path(__file__).parents[2] / "docs" / "scale"
    job = yaml.safe_load((folder / "kubernetes-job.yaml").read_text())
    assert (job["kind"], job["spec"]["parallelism"]) == ("Job", 4)
    words = job["spec"]["template"]["spec"]["containers"][0]["args"]
    script = (folder / "slurm.sh").read_text()
    assert subprocess.run(["bash", "-n", folder / "slurm.sh"], check=False).returncode == 0
    line = next(line for line in script.splitlines() if line.startswith("srun python src/nanonuclei "))
    for command in (["tune", *words], shlex.split(line)[3:]):
        options = _parser().parse_args(command)
        assert (options.tuner, bool(options.storage), bool(options.study)) == ("optuna", True, True)
