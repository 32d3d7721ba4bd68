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
from mlflow.tracking import MlflowClient

from nanonuclei.cli import main
from nanonuclei.config.experiment import NucleiExperiment
from nanonuclei.config.params import with_settings
from nanonuclei.errors import ConfigError, TrackingError
from nanonuclei.serving.store import log_model, model_uri
from nanonuclei.stages import promote as stage
from nanonuclei.stages.promote import Promotion, promote, rollback
from nanonuclei.tasks import create_task
from nanonuclei.tracking.registry import CHALLENGER, CHAMPION, at_alias, move_champion, register_once
from nanonuclei.tracking.runs import existing_run

DATA = {"data.dataset": "simulated", "data.simulated.num_images": 20, "data.simulated.size": 64}
LOOSE = {"least": {"iou": 0.0}, "most": {}, "min_gain": 0.0, "min_gain_low": -0.5, "max_loss": 0.5}


@pytest.fixture
def lab(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose gate small networks can pass, and models that are said to serve; another test starts them."""
    tree = yaml.safe_load((project / "params.yaml").read_text())
    tree["gate"]["nuclei"] |= {**LOOSE, "compared": "iou", "min_images": 2, "bootstrap": 100}
    (project / "params.yaml").unlink()
    (project / "params.yaml").write_text(yaml.safe_dump(tree))
    monkeypatch.setattr(stage, "problem", lambda uri: "")
    return project


@pytest.fixture
def trained(bright_network: object, served_config: NucleiExperiment, lab: Path) -> Callable[..., str]:
    """Logs a run with a model: the network that finds bright discs, or one that takes everything for a nucleus."""
    import keras

    def log(*, good: bool, settings: dict[str, object] | None = None) -> str:
        config = with_settings(served_config, {**DATA, **(settings or {})})
        model = create_task(config).build_network()
        model.set_weights(bright_network.get_weights())
        if not good:
            last = model.get_layer("score")
            last.set_weights([np.zeros_like(weight) + 0.1 for weight in last.get_weights()])
        with mlflow.start_run(tags={"task": "nuclei", "stage": "train"}) as run:
            log_model(model, config, folder=lab / "work" / run.info.run_id)
        keras.backend.clear_session()
        return str(run.info.run_id)

    return log


def quiet(_: str) -> None:
    pass


def allowed(run: str) -> Promotion:
    return promote("nuclei", run, allow_simulated=True, say=quiet)


def champion() -> str | None:
    version = at_alias("nuclei", CHAMPION)
    return None if version is None else str(version.version)


def test_challenger_is_refused_then_promoted_then_beaten_and_rolled_back(trained: Callable[..., str]) -> None:
    bad, good = trained(good=False), trained(good=True)

    said: list[str] = []
    refused = promote("nuclei", bad, say=said.append)
    assert not refused.decision.promoted
    assert "--allow-simulated" in refused.decision.reasons[0]
    assert "NOT MET" in said[-1]
    assert champion() is None
    assert str(at_alias("nuclei", CHALLENGER).version) == refused.version
    run = existing_run(refused.run_id)
    assert (run.data.tags["decision"], run.data.tags["mlflow.parentRunId"]) == ("refused", bad)

    first = allowed(bad)
    assert first.version == refused.version  # registered once per run
    assert champion() == first.version

    second = allowed(good)
    assert second.decision.promoted
    assert champion() == second.version
    run = existing_run(second.run_id)
    assert run.data.tags["champion.scored"] == "before"
    assert run.data.metrics["promote/all/gain"] > 0.1
    decided = json.loads(mlflow.artifacts.load_text(f"runs:/{second.run_id}/promotion/decision.json"))
    assert decided["champion"] == first.version
    assert {gain["group"] for gain in decided["gains"]} >= {"all", "fluorescence"}
    assert {criterion["name"] for criterion in decided["criteria"]} >= {"gain", "gain_low", "signature", "serves"}
    before = pd.read_csv(io.StringIO(mlflow.artifacts.load_text(f"runs:/{first.run_id}/promotion/per_image.csv")))
    after = pd.read_csv(io.StringIO(mlflow.artifacts.load_text(f"runs:/{second.run_id}/promotion/per_image.csv")))
    assert run.data.metrics["promote/all/gain"] == pytest.approx(after["iou"].mean() - before["iou"].mean())

    version = MlflowClient().get_model_version("nuclei", second.version)
    assert version.tags["gate"] == "promoted"
    for text in ("champion", "foreground IoU", "Limits", "Licence", "mlflow models serve", "network.depth=1", good):
        assert text.lower() in version.description.lower(), text

    with pytest.raises(TrackingError, match="is champion already"):
        allowed(good)
    worse = allowed(trained(good=False))
    assert any(reason.startswith("iou must gain") for reason in worse.decision.reasons)
    assert champion() == second.version

    assert rollback("nuclei", say=quiet) == first.version
    assert champion() == first.version
    assert {run.info.status for run in MlflowClient().search_runs(["0"])} <= {"FINISHED", "FAILED"}


def test_champion_of_another_split_is_scored_anew(trained: Callable[..., str]) -> None:
    allowed(trained(good=False))
    second = allowed(trained(good=True, settings={"data.seed": 8}))
    assert existing_run(second.run_id).data.tags["champion.scored"] == "anew"
    assert second.decision.promoted


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
    assert champion() == "2"


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
        assert "needs --run RUN_ID" in capsys.readouterr().err
