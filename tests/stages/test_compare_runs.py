"""Comparisons of runs that are named: which are taken, which are refused, and what is told of them."""

from __future__ import annotations

import json

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from tests.stages.compared import CHOICES, Trainings, finished, quiet

from nanonuclei.cli import main
from nanonuclei.config.params import with_settings
from nanonuclei.errors import ConfigError, TrackingError
from nanonuclei.stages.compare import compare as stage
from nanonuclei.stages.compare.compare import CompareOptions, compare
from nanonuclei.stages.compare.runs import read_run
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tracking.views import SHARED_STATE

pytestmark = pytest.mark.usefixtures("project")


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
