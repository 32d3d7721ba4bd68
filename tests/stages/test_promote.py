"""From a run's model to the registry: refused, promoted, compared, rolled back."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient
from tests.conftest import ROOT

from nanonuclei.cli import main
from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import load_experiment, with_settings
from nanonuclei.errors import ConfigError, DoneAlreadyError, TrackingError
from nanonuclei.serving.store import log_model, model_uri
from nanonuclei.stages.promote import promote as stage
from nanonuclei.stages.promote.promote import Promotion, promote, rollback
from nanonuclei.stages.shipped.ship import ship
from nanonuclei.stages.train import train
from nanonuclei.tasks import create_task
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tracking.registry import CHALLENGER, CHAMPION, at_alias, move_champion, register_once
from nanonuclei.tracking.runs import existing_run

TASKS = {
    "nuclei": {"data.dataset": "simulated", "data.simulated.num_images": 20, "data.simulated.size": 64},
    "nanotubes": {
        "data.dataset": "simulated",
        "data.simulated.num_images": 12,
        "data.simulated.size": 160,
        "data.simulated.cell_radius": 14.0,
        "data.simulated.coverage": 0.35,
        "data.simulated.tubes_per_cell": 0.8,
        "data.simulated.faint": 0.0,
        "data.simulated.distractors": 0.0,
        "data.simulated.tile": 0,
        "tubes.window_threshold": 0.5,
        "tubes.min_score": 0.5,
        "tubes.joins": "two",
    },
}
"""Per task, the settings of a small dataset."""
COMPARED = {"nuclei": "iou", "nanotubes": "object_f1"}
LOOSE = {"most": {}, "min_gain": 0.0, "min_gain_low": -0.5, "max_loss": 0.5}


@pytest.fixture
def lab(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose gate small networks can pass, and models that are said to serve; another test starts them."""
    tree = yaml.safe_load((project / "params.yaml").read_text())
    for task, metric in COMPARED.items():
        loose = {**LOOSE, "least": {metric: 0.0}, "compared": metric, "min_images": 2, "bootstrap": 100}
        tree["gate"][task] |= loose
    (project / "params.yaml").unlink()
    (project / "params.yaml").write_text(yaml.safe_dump(tree))
    monkeypatch.setattr(stage, "problem", lambda uri: "")
    return project


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> str:
    """Name of the task."""
    return str(request.param)


@pytest.fixture
def configs(served_config: NucleiExperiment, served_tubes_config: NanotubeExperiment) -> dict[str, ExperimentConfig]:
    """Config per task, with a small dataset."""
    return {config.task: with_settings(config, TASKS[config.task]) for config in (served_config, served_tubes_config)}


@pytest.fixture
def trained(bright_network: object, configs: dict[str, ExperimentConfig], lab: Path) -> Callable[..., str]:
    """Logs a run with a model of a task.

    A good one finds bright discs, or takes every window for one with a nanotube and leaves the rest to the lines of the
    image; a bad one takes everything for a nucleus, or no window for one with a nanotube.
    """
    import keras

    def log(task: str = "nuclei", *, good: bool, settings: dict[str, object] | None = None) -> str:
        config = with_settings(configs[task], settings or {})
        model = create_task(config).build_network()
        if task == "nuclei":
            model.set_weights(bright_network.get_weights())
        if task == "nanotubes" or not good:
            last = model.get_layer("score")
            kernel, bias = (np.zeros_like(weight) for weight in last.get_weights())
            last.set_weights([kernel + 0.1, bias + 0.1] if task == "nuclei" else [kernel, bias + (4 if good else -4)])
        with mlflow.start_run(tags={"task": task, "stage": "train"}) as run:
            log_model(model, config, folder=lab / "work" / run.info.run_id)
        keras.backend.clear_session()
        return str(run.info.run_id)

    return log


def quiet(_: str) -> None:
    pass


def allowed(run: str, task: str = "nuclei") -> Promotion:
    return promote(task, run, allow_simulated=True, say=quiet)


def champion(task: str = "nuclei") -> str | None:
    version = at_alias(task, CHAMPION)
    return None if version is None else str(version.version)


TOLD = {
    "nuclei": ("foreground IoU", "network.depth=1"),
    "nanotubes": (
        "F1 of nanotubes",
        "hover above the substrate",
        "Simulated images are not real",
        "tubes.min_score=0.5",
    ),
}
"""Per task, what its model card says."""


def score(task: str, per_image: pd.DataFrame) -> dict[str, float]:
    """Metrics of statistics per image, as the task adds them up."""
    config = load_experiment(task, path=ROOT / "params.yaml")
    numbers = per_image.select_dtypes("number")
    found = create_task(config).score({name: np.array([numbers[name].sum()]) for name in numbers})
    return {name: float(values[0]) for name, values in found.items()}


def test_challenger_is_refused_then_promoted_then_beaten_and_rolled_back(
    task: str, trained: Callable[..., str]
) -> None:
    bad, good, compared = trained(task, good=False), trained(task, good=True), COMPARED[task]

    said: list[str] = []
    refused = promote(task, bad, say=said.append)
    assert not refused.decision.promoted
    assert "-P allow_simulated=true" in refused.decision.reasons[0]
    assert "NOT MET" in said[-1]
    assert champion(task) is None
    assert str(at_alias(task, CHALLENGER).version) == refused.version
    run = existing_run(refused.run_id)
    assert (run.data.tags["decision"], run.data.tags["mlflow.parentRunId"]) == ("refused", bad)
    assert run.info.status == "FAILED"  # as `mlflow run` calls the run of a command that ends with 1
    assert run.data.tags["error"].startswith("refused: ")
    assert f"Run {refused.run_id}, child of {bad}: " in said[-1]
    assert f"/runs/{refused.run_id}" in said[-1]
    assert [entry.tags[0].value for entry in run.inputs.dataset_inputs] == ["test"]
    assert run.data.tags["split.fingerprint"]
    assert f"headline/{compared}" in run.data.metrics

    assert promote(task, bad[:12], say=quiet).version == refused.version
    assert len(MlflowClient().search_model_versions(f"name = '{task}'")) == 1
    first = allowed(bad, task)
    assert first.version == refused.version  # registered once per run
    assert champion(task) == first.version

    second = allowed(good, task)
    assert second.decision.promoted
    assert champion(task) == second.version
    run = existing_run(second.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["champion.scored"] == "before"
    assert run.data.metrics["promote/all/gain"] > 0.1
    decided = json.loads(mlflow.artifacts.load_text(f"runs:/{second.run_id}/promotion/decision.json"))
    assert decided["champion"] == first.version
    assert {gain["group"] for gain in decided["gains"]} >= {"all", "fluorescence"}
    assert {criterion["name"] for criterion in decided["criteria"]} >= {"gain", "gain_low", "signature", "serves"}
    before = pd.read_csv(io.StringIO(mlflow.artifacts.load_text(f"runs:/{first.run_id}/promotion/per_image.csv")))
    after = pd.read_csv(io.StringIO(mlflow.artifacts.load_text(f"runs:/{second.run_id}/promotion/per_image.csv")))
    gained = score(task, after)[compared] - score(task, before)[compared]
    assert run.data.metrics["promote/all/gain"] == pytest.approx(gained)
    assert run.data.metrics[f"test/{compared}"] == pytest.approx(score(task, after)[compared])

    version = MlflowClient().get_model_version(task, second.version)
    assert version.tags["gate"] == "promoted"
    for text in ("champion", "Limits", "Licence", "mlflow models serve", good, *TOLD[task]):
        assert text.lower() in version.description.lower(), text

    with pytest.raises(DoneAlreadyError, match="is champion already: nothing was changed"):
        allowed(good, task)
    worse = allowed(trained(task, good=False), task)
    assert any(reason.startswith(f"{compared} must gain") for reason in worse.decision.reasons)
    assert champion(task) == second.version

    said.clear()
    assert rollback(task, say=said.append) == first.version
    assert "`serve` takes it up by itself" in said[-1]
    assert "\nRun " in said[-1]
    assert champion(task) == first.version
    assert {run.info.status for run in MlflowClient().search_runs(["0"])} <= {"FINISHED", "FAILED"}


def test_training_of_nanotubes_becomes_champion_and_what_has_no_value_does_not(
    lab: Path, configs: dict[str, ExperimentConfig]
) -> None:
    settings = {"tubes.window_threshold": "auto", "tubes.min_score": "auto", "train.epochs": 1}
    run = train(with_settings(configs["nanotubes"], settings), say=quiet)
    first = allowed(run, "nanotubes")
    assert first.decision.promoted, first.decision.reasons
    assert champion("nanotubes") == "1"
    assert (ship(run, models=lab / "models", say=quiet) / "answers.json").is_file()
    metrics = existing_run(first.run_id).data.metrics
    trained_metrics = existing_run(run).data.metrics
    for name in ("test/window_pr_auc", "test/window_accuracy", "test/object_precision"):
        assert (name in metrics) == (name in trained_metrics)
        assert metrics.get(name) == pytest.approx(trained_metrics.get(name), abs=1e-3), name

    tree = yaml.safe_load((lab / "params.yaml").read_text())
    tree["gate"]["nanotubes"] |= {"least": {"window_pr_auc": 0.0}, "most": {"no_such_metric": 1e9}}
    (lab / "params.yaml").write_text(yaml.safe_dump(tree))
    second = train(with_settings(configs["nanotubes"], {"train.epochs": 1, "seed": 8}), say=quiet)
    refused = allowed(second, "nanotubes")
    assert "test no_such_metric must be at most 1e+09, got nan" in refused.decision.reasons
    assert champion("nanotubes") == "1"


def test_champion_of_another_split_is_scored_anew(trained: Callable[..., str]) -> None:
    allowed(trained(good=False))
    second = allowed(trained(good=True, settings={"data.seed": 8}))
    assert existing_run(second.run_id).data.tags["champion.scored"] == "anew"
    assert second.decision.promoted


def test_promotion_that_fails_leaves_no_version(trained: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(uri: str) -> str:
        raise TrackingError("broken")

    monkeypatch.setattr(stage, "problem", broken)
    with pytest.raises(TrackingError, match="broken"):
        allowed(trained(good=True))
    assert MlflowClient().search_model_versions("name = 'nuclei'") == []


def test_model_that_does_not_serve_is_refused(trained: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "problem", lambda uri: "its server did not answer within 300 s")
    assert allowed(trained(good=True)).decision.reasons == ("its server did not answer within 300 s",)


def test_promotion_that_another_one_overtakes_does_not_win(
    trained: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, fast = trained(good=True), trained(good=True)

    def overtaken(uri: str) -> str:
        other = register_once("nuclei", model_uri(existing_run(fast)), run_id=fast)
        move_champion(other, expected="")
        return ""

    monkeypatch.setattr(stage, "problem", overtaken)
    with pytest.raises(TrackingError, match="another promotion was faster"):
        allowed(slow)
    assert at_alias("nuclei", CHAMPION).run_id == fast
    (lost,) = [one for one in MlflowClient().search_model_versions("name = 'nuclei'") if one.run_id == slow]
    assert MlflowClient().get_model_version("nuclei", lost.version).tags["gate"] == "overtaken"


def test_champion_is_described_before_it_is_one(trained: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(version: ModelVersion, *, expected: str) -> None:
        raise KeyboardInterrupt

    run = trained(good=True)
    with monkeypatch.context() as patch:
        patch.setattr(stage, "move_champion", killed)
        with pytest.raises(KeyboardInterrupt):
            allowed(run)
    (version,) = MlflowClient().search_model_versions("name = 'nuclei'")
    told = MlflowClient().get_model_version("nuclei", version.version)
    assert (told.tags["gate"], "Limits" in told.description) == ("promoted", True)
    assert at_alias("nuclei", CHAMPION) is None
    assert allowed(run).version == str(version.version)  # the documented way on: the same command


@pytest.mark.usefixtures("lab")
def test_what_cannot_be_promoted_is_told() -> None:
    run_id = MlflowClient().create_run("0").info.run_id
    with pytest.raises(TrackingError, match="holds no model"):
        promote("nuclei", run_id)
    with pytest.raises(ConfigError, match=r"unknown task 'nucleii'\. Did you mean nuclei"):
        promote("nucleii", run_id)
    with pytest.raises(TrackingError, match="has no champion"):
        rollback("nuclei")


def test_command_line_wants_a_run_or_a_rollback(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["promote", "nuclei"], ["promote", "nuclei", "--run", "abc", "--rollback", "true"]):
        assert main(words) == 2
        assert "needs -P run=RUN_ID" in capsys.readouterr().err
