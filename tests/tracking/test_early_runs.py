"""One look at a run: another stage or task is told without MLflow; the run of an entry point gets a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from tests.stages.bright_model import bright_model, write_images

from nanonuclei.cli import main
from nanonuclei.errors import TrackingError
from nanonuclei.serving.live.followed import parse_followed
from nanonuclei.tracking.early.runs import check_compared, check_holds_model, finished_training, tags_of

TRAINING = {"stage": "train", "task": "nuclei", "finished": "true", "model.uri": "models:/m-1"}


@pytest.fixture
def run(project: Path) -> Callable[..., str]:
    """Makes runs by their tags."""
    return lambda **tags: str(MlflowClient().create_run("0", tags=tags).info.run_id)


def test_a_finished_training_is_what_all_take(run: Callable[..., str]) -> None:
    known = run(**TRAINING)
    assert (tags_of(known) or {}).items() >= TRAINING.items()
    check_holds_model(known, task="nuclei")
    check_compared(known, task="nuclei")
    assert finished_training(known).startswith(f"Run {known} is finished: nothing was changed.")
    assert finished_training(run(**TRAINING | {"finished": "false"}), task="nuclei") == ""


def test_a_run_of_another_stage_or_task_is_told(run: Callable[..., str]) -> None:
    training, cut_off, comparison = run(**TRAINING), run(stage="train", task="nuclei"), run(stage="compare")
    explored, scored = run(stage="explore", task="nuclei"), run(stage="evaluate", task="nuclei", evaluates=training)
    wrong = [
        (lambda: check_holds_model(training, task="nanotubes"), "holds a model for nuclei, not for nanotubes"),
        (lambda: check_holds_model(cut_off), "its training did not end, .* go on with `.*train.* --resume|-P resume="),
        (lambda: check_holds_model(comparison), "holds no model: it is one of compare. Name a run of train"),
        (lambda: check_compared(training, task="nanotubes"), "is one of nuclei. Compare trainings of one task"),
        (
            lambda: check_compared(cut_off, task="nuclei"),
            "is not finished. Wait for its end where .* --resume|-P resume=",
        ),
        (lambda: check_compared(explored, task="nuclei"), "is one of explore. Name a run of train"),
        (lambda: check_compared(scored, task="nuclei"), f"one of evaluate. Name the run of train .* about, {training}"),
        (lambda: check_holds_model(scored), f"one of evaluate. Name the run of train that it is about, {training}"),
        (lambda: parse_followed(explored), "holds no model: it is one of explore. Name a run of train"),
        (lambda: parse_followed(training[:12]), f"promote .*{training}` once, then serve models:/nuclei@champion"),
        (lambda: finished_training(comparison), "a training can be gone on with, but run .* is one of compare"),
        (lambda: finished_training(training, task="nanotubes"), "is a training of nuclei, not of nanotubes"),
    ]
    for look, sentence in wrong:
        with pytest.raises(TrackingError, match=sentence):
            look()


def test_a_server_is_left_to_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "http://localhost:1")
    assert tags_of("0" * 32) is None
    check_holds_model("0" * 32, task="nuclei")
    assert finished_training("0" * 32) == ""


def test_the_run_of_an_entry_point_that_does_nothing_is_named(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finished, own, other, third = run(**TRAINING), run(), run(), run()
    monkeypatch.setenv("MLFLOW_RUN_ID", own)
    assert main(["train", "--resume", finished]) == 0
    assert "is finished: nothing was changed" in capsys.readouterr().out
    monkeypatch.setenv("MLFLOW_RUN_ID", other)
    assert main(["compare", "nuclei", "--recipes", "unte default"]) == 2
    monkeypatch.setenv("MLFLOW_RUN_ID", third)
    assert main(["clean"]) == 0
    names = [mlflow.get_run(each).info.run_name for each in (own, other, third)]
    assert names == [f"resume of {finished[:8]}", "compare that could not begin", "clean"]
    assert mlflow.get_run(other).data.tags["error"].startswith("no recipe at recipes/unte.yaml")


def test_the_run_of_predict_is_named_after_its_images(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = run()
    monkeypatch.setenv("MLFLOW_RUN_ID", own)
    write_images(tmp_path / "plate", ["a.png"])
    model = bright_model(tmp_path / "model")
    assert main(["predict", str(tmp_path / "plate"), "--model", f"{model}/", "--output", str(tmp_path / "out")]) == 0
    named = mlflow.get_run(own)
    assert (named.info.run_name, named.data.tags["stage"]) == ("predict plate", "predict")
