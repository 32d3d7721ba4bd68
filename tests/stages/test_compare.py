"""Comparisons of recipes: which trainings are made, and what is left of them; wrong options are refused."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from tests.stages.compared import CHOICES, SETTINGS, Trainings, finished, quiet

from nanonuclei.cli import main
from nanonuclei.errors import ConfigError, NanonucleiError
from nanonuclei.stages.compare.compare import CompareOptions, compare
from nanonuclei.stages.places import run_folder
from nanonuclei.stages.settings import Choices, resolve
from nanonuclei.tasks.nuclei.config import NucleiExperiment

pytestmark = pytest.mark.usefixtures("project")


@pytest.fixture
def recipes(project: Path) -> str:
    (project / "worse.yaml").write_text("train.learning_rate: 0.002\n")
    (project / "tuned.yaml").write_text("train.learning_rate: 0.01\n")
    return "./worse.yaml ./tuned.yaml"


def test_recipes_are_trained_with_equal_seeds_on_one_split_and_the_verdict_is_told(
    recipes: str, trainings: Trainings
) -> None:
    said: list[str] = []
    parent = compare(CHOICES, CompareOptions(recipes, seeds=2), say=said.append)
    assert [(c.train.learning_rate, c.seed, c.data.seed) for c in trainings.configs] == [
        (0.002, 7, 7),
        (0.002, 8, 7),
        (0.01, 7, 7),
        (0.01, 8, 7),
    ]
    run = mlflow.get_run(parent)
    assert (run.info.status, run.data.tags["stage"]) == ("FINISHED", "compare")
    assert {entry.path for entry in MlflowClient().list_artifacts(parent)} == {
        "comparison.md",
        "comparison.csv",
        "runs.csv",
        "curves.png",
    }
    verdict = "tuned is better by 0.100 AP at IoU 0.5, pooled, 95 % interval 0.100 to 0.100"
    assert run.data.tags["verdict"] == verdict
    assert f"* **{verdict}**" in run.data.tags["mlflow.note.content"]
    assert verdict in "\n".join(said)
    assert run.data.metrics["tuned/ap50_pooled_difference"] == pytest.approx(0.1)
    assert run.data.metrics["worse/ap50_pooled"] == pytest.approx(0.805)

    compared = MlflowClient().search_runs(["0"], f"tags.compared_in = '{parent}'")
    names = {(one.data.tags["recipe"], one.data.tags["mlflow.runName"]) for one in compared}
    called = "train {} seed {} nuclei simulated"
    assert names == {(name, called.format(name, seed)) for name in ("worse", "tuned") for seed in (7, 8)}
    assert len({one.data.tags["split.fingerprint"] for one in compared}) == 1

    MlflowClient().set_tag(compared[0].info.run_id, "mlflow.runName", "mine")
    batch = trainings.configs[0].train.batch_size
    begins = f"each 2 epochs of 3 steps with batches of {batch}."
    assert f"Trainings to make: 4 of 4 (worse 2, tuned 2), {begins}" in said
    again = compare(CHOICES, CompareOptions(recipes, seeds=3), say=said.append)
    assert f"Trainings to make: 2 of 6 (worse 1, tuned 1), {begins}" in said
    assert mlflow.get_run(compared[0].info.run_id).data.tags["compared_in"] == parent
    assert mlflow.get_run(compared[0].info.run_id).info.run_name == "mine"
    assert [(c.train.learning_rate, c.seed) for c in trainings.configs[4:]] == [(0.002, 9), (0.01, 9)]
    assert mlflow.get_run(again).data.metrics["worse/ap50_pooled"] == pytest.approx(0.81)


def test_training_that_failed_fails_the_comparison_and_the_finished_ones_are_kept(
    recipes: str, trainings: Trainings
) -> None:
    compare(CHOICES, CompareOptions(recipes, seeds=1), say=quiet)
    trainings.fails = True
    with pytest.raises(NanonucleiError, match="training of worse with seed 8 failed"):
        compare(CHOICES, CompareOptions(recipes, seeds=2), say=quiet)
    assert len(trainings.words) == 3
    states = [run.info.status for run in MlflowClient().search_runs(["0"], "tags.stage = 'compare'")]
    assert sorted(states) == ["FAILED", "FINISHED"]


def test_training_that_was_cut_off_here_goes_on(recipes: str, trainings: Trainings) -> None:
    config = resolve(Choices("nuclei", "simulated", Path("tuned.yaml"), (SETTINGS,)), say=quiet)
    begun = finished(config, 0.9, finished="")
    run_folder(begun).mkdir(parents=True)
    (run_folder(begun) / "state.json").write_text("{}")
    parent = compare(CHOICES, CompareOptions(recipes, seeds=1), say=quiet)
    assert trainings.words[1:] == [["nanonuclei", "train", "nuclei", "--resume", begun]]
    assert mlflow.get_run(begun).data.tags["compared_in"] == parent


def test_what_all_recipes_have_in_common_is_told_once(recipes: str, trainings: Trainings) -> None:
    said: list[str] = []
    compare(CHOICES, CompareOptions(recipes, seeds=1), say=quiet)
    compare(CHOICES, CompareOptions(recipes, seeds=1), say=said.append)
    assert len([line for line in said if line.startswith("Prepared images: ")]) == 1


def test_named_runs_take_the_place_of_a_recipe(recipes: str, config: NucleiExperiment, trainings: Trainings) -> None:
    given = finished(config, 0.5)
    choices = Choices("nuclei", "simulated", None, (f"{SETTINGS} windows.stride=24",))
    parent = compare(choices, CompareOptions(recipes, seeds=1, runs=f"worse={given}"), say=quiet)
    assert [c.train.learning_rate for c in trainings.configs] == [0.01]
    assert mlflow.get_run(parent).data.tags["arms"] == "worse tuned"
    assert "recipe" not in mlflow.get_run(given).data.tags


def test_recipes_that_train_for_different_times_are_refused(recipes: str, project: Path, trainings: Trainings) -> None:
    (project / "longer.yaml").write_text("train.epochs: 5\n")
    choices = Choices("nuclei", "simulated", None, (SETTINGS.replace("train.epochs=2", ""),))
    with pytest.raises(ConfigError) as caught:
        compare(choices, CompareOptions("./tuned.yaml ./longer.yaml"), say=quiet)
    assert "tuned 42 epochs of 3 steps, longer 5 epochs of 3 steps" in str(caught.value)
    assert "-P set='train.epochs=42 train.steps_per_epoch=3'" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (CompareOptions("unet"), "needs two recipes or more, got 1"),
        (CompareOptions("unet unet-better"), r"no recipe at recipes/unet-better\.yaml"),
        (CompareOptions("unet default", seeds=0), "seeds must be a number of trainings from 1"),
        (CompareOptions("unet recipes/unet.yaml"), "'unet' is given twice"),
        (CompareOptions("unet 'default"), "No closing quotation"),
        (CompareOptions(runs="a=1 a=2"), "each name and run once, got 'a=2'"),
        (CompareOptions(runs="a= b=1"), "got 'a='"),
        (CompareOptions(runs="a=1,1 b=1"), "got 'a=1,1'"),
        (CompareOptions(runs="a=1 b@c=2"), "got 'b@c'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_made(
    options: CompareOptions, message: str, trainings: Trainings
) -> None:
    with pytest.raises(ConfigError, match=message):
        compare(CHOICES, options, say=quiet)
    assert not Path("scratch").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "three"], "seeds must be a whole number from 1, got 'three'"),
        (["--allow-different-splits", "maybe"], "must be true or false, got 'maybe'"),
        (["--recipes", "unet", "--runs", "", "--allow-different-splits", ""], "needs two recipes or more, got 1"),
    ],
)
def test_command_line_tells_wrong_words_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "nuclei", *words]) == 2
    assert message in capsys.readouterr().err
