"""Comparisons of recipes: which trainings are made, taken and refused, and what is left of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from nanonuclei.cli import _parser, main
from nanonuclei.commands.options import choices_of
from nanonuclei.config.params import flatten, to_yaml, with_settings
from nanonuclei.errors import ConfigError, NanonucleiError, TrackingError
from nanonuclei.stages.compare import compare as stage
from nanonuclei.stages.compare.compare import CompareOptions, compare
from nanonuclei.stages.compare.runs import read_run
from nanonuclei.stages.places import run_folder
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.stages.settings import Choices, resolve
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tasks.nuclei.score import THRESHOLDS
from nanonuclei.tracking.runs import PARENT, log_settings, run_name
from nanonuclei.tracking.views import SHARED_STATE

pytestmark = pytest.mark.usefixtures("project")

SETTINGS = (
    "data.simulated.num_images=12 data.simulated.size=64 network.depth=1 network.base_filters=4 train.epochs=2 "
    "train.steps_per_epoch=3 train.patch_size=32 windows.size=32 windows.stride=32 evaluate.bootstrap=50"
)
CHOICES = Choices("nuclei", "simulated", None, (SETTINGS,))


def quiet(_: str) -> None:
    pass


def score_table(config: NucleiExperiment, accuracy: float) -> pd.DataFrame:
    """A test image is as good as `accuracy` says, in every way."""
    catalog, _ = prepared_dataset(config, say=quiet)
    rows = []
    for sample in catalog.split("test"):
        matched = {"tp": 10 * accuracy, "fp": 10 * (1 - accuracy), "fn": 0.0, "ap": accuracy}
        rows.append(
            {
                **{name: getattr(sample, name) for name in ("sample_id", "modality", "field", "height", "width")},
                **dict.fromkeys(("accuracy", "iou", "dice", "shared_pixels", "iou_sum_50", "competition"), accuracy),
                **dict.fromkeys(("images", "pixels", "either_pixels", "num_true", "num_found"), 1.0),
                **dict.fromkeys(("loss", "binary_crossentropy", "count_difference"), 1.0 - accuracy),
                **{f"{kind}_{round(100 * t)}": value for kind, value in matched.items() for t in THRESHOLDS},
            }
        )
    return pd.DataFrame(rows)


def finished(config: NucleiExperiment, accuracy: float, *, place: str = "0", **tags: str) -> str:
    """Makes the run of a finished training in an experiment; an empty tag is left out."""
    client = MlflowClient()
    catalog, _ = prepared_dataset(config, say=quiet)
    given = {
        "stage": "train",
        "task": "nuclei",
        "finished": "true",
        "split.fingerprint": catalog.split_fingerprint(),
        **tags,
    }
    tags = {name: value for name, value in given.items() if value}
    run_id: str = client.create_run(place, tags=tags, run_name=run_name(config)).info.run_id
    log_settings(run_id, flatten(config))
    curve = [Metric(name, 0.1 * step, 0, step) for name in ("train/loss", "val/accuracy") for step in (1, 2)]
    numbers = [Metric(name, 60.0, 0, 0) for name in ("train_seconds", "test/network_seconds")]
    client.log_batch(run_id, metrics=[*curve, *numbers])
    client.log_text(run_id, to_yaml(config), "config.yaml")
    client.log_text(run_id, score_table(config, accuracy).to_csv(index=False), "evaluation/test_per_image.csv")
    client.set_terminated(run_id, "FINISHED" if given["finished"] else "KILLED")
    return run_id


class Trainings:
    """Takes the place of the child process: makes the run that the real command line would train."""

    def __init__(self) -> None:
        self.words: list[Sequence[str]] = []
        self.configs: list[NucleiExperiment] = []
        self.fails = False

    def __call__(self, words: Sequence[str], parent: str) -> int:
        self.words.append(words)
        if self.fails:
            return 2
        options = _parser().parse_args(words[1:])
        if options.resume:
            MlflowClient().set_tag(options.resume, "finished", "true")
            return 0
        config = resolve(choices_of(options), say=quiet)
        self.configs.append(config)
        better = config.train.learning_rate == 0.01
        finished(config, 0.8 + 0.1 * better + 0.01 * (config.seed - 7), **{PARENT: parent})
        return 0


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    found = Trainings()
    monkeypatch.setattr(stage, "run_child", found)
    return found


@pytest.fixture
def recipes(project: Path) -> str:
    (project / "worse.yaml").write_text("train.learning_rate: 0.002\n")
    (project / "tuned.yaml").write_text("train.learning_rate: 0.01\n")
    return "./worse.yaml ./tuned.yaml"


@pytest.fixture
def config(experiment: Callable[..., NucleiExperiment]) -> NucleiExperiment:
    return experiment({"data.dataset": "simulated", "data.simulated.num_images": 12, "data.simulated.size": 64})


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


def test_named_runs_are_taken_as_they_are(config: NucleiExperiment, trainings: Trainings) -> None:
    runs = [finished(with_settings(config, {"seed": s, "data.seed": 7}), 0.01 * s, recipe="own") for s in (7, 8, 9)]
    before = [mlflow.get_run(run).data.tags for run in runs]
    text = f"a={runs[0]},{runs[1]} b={runs[2]}"
    parent = compare(CHOICES, CompareOptions(runs=text), say=quiet)
    assert [mlflow.get_run(run).data.tags for run in runs] == before
    run = mlflow.get_run(parent)
    assert (run.data.tags["task"], run.data.tags["dataset"]) == ("nuclei", "simulated")
    client = MlflowClient()
    client.create_run("0")
    shown = json.loads(client.get_experiment("0").tags[f"{SHARED_STATE}{parent}"])["searchFilter"]
    assert {run.info.run_id for run in client.search_runs(["0"], shown)} == set(runs)
    assert trainings.words == []
    assert run.data.metrics["b/iou_difference"] == pytest.approx(0.015)
    assert "The arms have different seeds" in run.data.tags["mlflow.note.content"]
    assert "fewer than three runs" in run.data.tags["mlflow.note.content"]


def test_a_run_that_stands_in_two_recipes_is_told_and_two_of_the_same_runs_show_nothing(
    config: NucleiExperiment, trainings: Trainings
) -> None:
    runs = [finished(with_settings(config, {"seed": s, "data.seed": 7}), 0.1 * s) for s in (7, 8, 9)]
    said: list[str] = []
    text = f"a={runs[0]},{runs[1]} b={runs[0]},{runs[2]} c={runs[1]},{runs[0]}"
    run = mlflow.get_run(compare(CHOICES, CompareOptions(runs=text), say=said.append))
    first, second, *_, last = [
        line[4:-2] for line in run.data.tags["mlflow.note.content"].splitlines() if "* **" in line
    ]
    assert first.startswith(
        "With 2 runs that stand in several recipes: no difference shown in AP at IoU 0.5, pooled: b"
    )
    assert second.startswith("No difference shown in foreground IoU: b minus a is 0.050")
    assert last == "No difference can be shown between a and c: they are the same runs"
    assert run.data.tags["verdict"] == first
    told = (
        f"The same run stands in several recipes: run {runs[0][:8]} in a, b, c; run {runs[1][:8]} in a, c. It does not"
    )
    assert f"Note: {told}" in "\n".join(said)
    with pytest.raises(ConfigError, match="but a names one twice"):
        compare(CHOICES, CompareOptions(runs=f"a={runs[0]},{runs[0][:12]} b={runs[1]}"), say=quiet)


def test_recipes_that_have_the_same_runs_alone_are_refused_before_anything_slow(
    config: NucleiExperiment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [finished(with_settings(config, {"seed": seed, "data.seed": 7}), 0.5) for seed in (7, 8)]
    assert main(["compare", "nuclei", "--runs", f"a={runs[0]} b={runs[0]}"]) == 2
    assert f"must have runs that differ, but a, b have the same: {runs[0]}. Name other" in capsys.readouterr().err
    assert MlflowClient().search_runs(["0"], "tags.stage = 'compare'") == []
    slow: list[bool] = []
    monkeypatch.setattr(stage, "compare", lambda *_, prepared: slow.append(prepared))
    assert main(["compare", "nuclei", "--runs", f"a={runs[0]} b={runs[0]},{runs[1]}"]) == 0
    assert capsys.readouterr().out.startswith("Note: The same run stands in several recipes")
    assert slow == [True]  # all has been told


def test_link_opens_the_experiment_of_the_trainings_or_all_side_by_side(config: NucleiExperiment) -> None:
    client = MlflowClient()
    mine = client.create_experiment("mine")
    runs = [finished(config, 0.5, place=mine), finished(config, 0.6, place=mine), finished(config, 0.7)]
    links = []
    for text in (f"a={runs[0]} b={runs[1]}", f"a={runs[0]} b={runs[2]}"):
        said: list[str] = []
        parent = compare(CHOICES, CompareOptions(runs=text), say=said.append)
        links.append(next(line for line in said if line.startswith("Side by side")))
        assert mlflow.get_run(parent).data.tags["recipe"] == "a b"
        assert mlflow.get_run(parent).data.tags["seed"] == "7"
    assert f"#/experiments/{mine}/runs?" in links[0]
    assert "#/compare-runs?runs=" in links[1]


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


def test_runs_of_different_splits_are_refused_unless_told(config: NucleiExperiment) -> None:
    runs = [finished(config, 0.5), finished(with_settings(config, {"data.seed": 8}), 0.6)]
    text = f"a={runs[0]} b={runs[1]}"
    with pytest.raises(TrackingError) as caught:
        compare(CHOICES, CompareOptions(runs=text), say=quiet)
    assert "some may have been trained on test images of the others" in str(caught.value)
    assert f"a, run {runs[0]}: {mlflow.get_run(runs[0]).data.tags['split.fingerprint']}" in str(caught.value)
    assert MlflowClient().search_runs(["0"], "tags.stage = 'compare'") == []


def test_runs_of_different_splits_are_compared_on_what_they_share_where_told(config: NucleiExperiment) -> None:
    runs = [finished(config, 0.5), finished(config, 0.6, **{"split.fingerprint": "another"})]
    options = CompareOptions(runs=f"a={runs[0]} b={runs[1]}", allow_different_splits=True)
    run = mlflow.get_run(compare(CHOICES, options, say=quiet))
    assert "The runs have different splits" in run.data.tags["mlflow.note.content"]
    assert run.data.metrics["b/accuracy_difference"] == pytest.approx(0.1)


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
    ("tags", "message"),
    [
        ({"stage": "trial"}, "takes finished trainings of nuclei, but run .* is one of trial. Name a run of train"),
        ({"finished": ""}, "is not finished. Wait for its end .*resume"),
        ({"task": "nanotubes"}, "is one of nanotubes. Compare trainings of one task"),
    ],
)
def test_run_that_is_no_finished_training_is_refused(
    config: NucleiExperiment, tags: dict[str, str], message: str
) -> None:
    with pytest.raises(TrackingError, match=message):
        read_run(finished(config, 0.5, **tags), task="nuclei")


def test_training_of_the_pipeline_is_refused_with_what_to_name_instead(config: NucleiExperiment) -> None:
    run_id = MlflowClient().create_run("0", tags={"stage": "train", "finished": "true", "task": "nuclei"}).info.run_id
    with pytest.raises(TrackingError, match=r"did not score the test images.*Name a run of"):
        read_run(run_id, task="nuclei")


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
