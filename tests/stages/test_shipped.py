"""A model comes along: weights from elsewhere become a run, the run a folder, and the folder predicts anywhere."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.tracking import MlflowClient
from tests.conftest import disc_labels
from tests.databases import own_database
from tests.stages.shipped_model import DISCS, change_network, make_project, told, write_training

from nanonuclei.errors import ConfigError, DataError, TrackingError
from nanonuclei.serving.named import open_model
from nanonuclei.serving.shipped.places import shipped_names
from nanonuclei.serving.shipped.provenance import folder_sha256, read_provenance
from nanonuclei.stages.export.export import export
from nanonuclei.stages.shipped import register
from nanonuclei.stages.shipped.adopt import adopt
from nanonuclei.stages.shipped.register import promote_named
from nanonuclei.stages.shipped.ship import ship
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tracking.origin.lineage import trace
from nanonuclei.tracking.registry import CHAMPION, at_alias, register_once
from nanonuclei.tracking.runs import existing_run, stage_run


@dataclass(frozen=True)
class Made:
    """A training elsewhere, the run that took it up, and the model that was shipped."""

    training: Path
    project: Path
    run: str

    @property
    def folder(self) -> Path:
        return self.project / "models" / "nuclei"


@pytest.fixture(scope="module")
def made(
    bright_network: object, served_config: NucleiExperiment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    base = tmp_path_factory.mktemp("shipped")
    training = write_training(bright_network, served_config, base / "training")
    project = make_project(base / "project")
    with pytest.MonkeyPatch.context() as patch, own_database(project):
        patch.chdir(project)
        run = adopt(training, settings=["windows.size=64"], say=quiet)
        ship(run, say=quiet)
        yield Made(training, project, run)


@pytest.fixture
def place(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh clone with a copy of the model, as the current folder: no data, no runs, no network of a training."""
    folder = make_project(tmp_path / "clone")
    shutil.copytree(made.folder, folder / "models" / "nuclei")
    monkeypatch.chdir(folder)
    with own_database(folder):
        yield folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "discs.png"), np.where(disc_labels((90, 80), DISCS) > 0, 230, 15).astype(np.uint8))
    return folder


def quiet(_: str) -> None:
    pass


def test_adopted_weights_are_a_run_as_a_training_makes_one(made: Made) -> None:
    run = existing_run(made.run)
    assert run.data.tags["hardware.name"] == "a GPU"
    assert run.data.tags["trained.elsewhere"] == "true"
    assert run.data.metrics["train_seconds"] == 12.5
    assert run.data.metrics["val/loss"] == 0.3
    assert run.data.metrics["test/iou"] > 0.3
    assert run.data.params["windows.size"] == "64"
    checks = {check.subject: check.verdict for check in trace(made.run).checks}
    assert checks["model"] == checks["split"] == checks["tags"] == "holds"


def test_shipped_folder_tells_what_made_it(made: Made) -> None:
    provenance = read_provenance(made.folder)
    assert provenance.files == folder_sha256(made.folder)
    assert {"network.onnx", "config.yaml", "README.md", "answers.json", "examples/example.png"} <= set(provenance.files)
    assert "network.keras" not in provenance.files
    assert (provenance.data.name, provenance.data.real, provenance.data.md5) == ("simulated", False, "")
    assert sum(provenance.data.images.values()) == 12
    assert (provenance.training.seconds, provenance.training.epochs) == (12.5, 2)
    assert len(provenance.training.lock) == 64
    scores = {(score.group, score.metric): score for score in provenance.scores}
    assert scores["all", "iou"].value == pytest.approx(existing_run(made.run).data.metrics["test/iou"], abs=1e-5)
    assert scores["all", "iou"].low <= scores["all", "iou"].value <= scores["all", "iou"].high
    config = yaml.safe_load((made.folder / "config.yaml").read_text())
    assert list(config) == ["nuclei"]
    assert config["nuclei"]["instances"]["tune"] is False
    card = (made.folder / "README.md").read_text()
    for text in ("a GPU", "foreground IoU", "simulated", "Limits", "licence", made.run):
        assert text in card


def test_shipping_the_same_run_again_gives_the_same_bytes(made: Made, tmp_path: Path) -> None:
    again = ship(made.run, models=tmp_path / "models", say=quiet)
    assert folder_sha256(again) == folder_sha256(made.folder)
    assert (again / "provenance.json").read_bytes() == (made.folder / "provenance.json").read_bytes()


def test_run_without_a_score_cannot_be_shipped(made: Made) -> None:
    with mlflow.start_run() as run:
        pass
    with pytest.raises(TrackingError, match="holds no model"):
        ship(run.info.run_id, say=quiet)


def test_weights_of_another_network_are_told(made: Made, tmp_path: Path) -> None:
    other = shutil.copytree(made.training, tmp_path / "other")
    (other / "weights-1.npz").unlink()
    with pytest.raises(DataError, match=r"must hold the \d+ arrays.*Fetch all parts"):
        adopt(other, say=quiet)
    (other / "history.json").unlink()
    with pytest.raises(DataError, match=r"history\.json must tell"):
        adopt(other, say=quiet)
    with pytest.raises(ConfigError, match=r"keeps its network\.depth"):
        adopt(made.training, settings=["network.depth=1"], say=quiet)


def test_one_model_has_many_names(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.project)
    uri = existing_run(made.run).data.tags["model.uri"]
    logged = mlflow.artifacts.download_artifacts(uri)
    assert "nuclei" in shipped_names()
    image = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    answers = [open_model(name).network(image) for name in ("nuclei", made.run, uri, str(logged), str(made.folder))]
    for other in answers[1:]:
        np.testing.assert_allclose(answers[0], other, atol=0.002)


def test_predict_takes_the_model_that_comes_along_and_says_what_it_was_trained_on(
    place: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = told(capsys, "predict", "--input", str(images), "--output", "found")
    assert code == 0
    first, second = text.splitlines()[:2]
    assert first.startswith("Model nuclei: trained on simulated")
    assert second.startswith("Warning: trained on simulated images only")
    assert pd.read_csv("found/images.csv")["num_objects"].tolist() == [3]


def test_lineage_holds_until_a_file_is_changed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = told(capsys, "lineage", "nuclei")
    assert code == 0, text
    for line in ("holds    files", "holds    settings", "holds    answers", "The lineage holds"):
        assert line in text
    absent = sum(line.startswith("  not here ") for line in text.splitlines())
    differing = sum(line.startswith("  differs ") for line in text.splitlines())
    assert (f"{absent} could not be made here" in text.splitlines()[-1]) == (absent > 0)
    assert (f"{differing} differ" in text.splitlines()[-1]) == (differing > 0)
    settings = place / "models" / "nuclei" / "config.yaml"
    stored = settings.read_text()
    for content in ("", "- 1", "a", "a: &a [*a]"):
        settings.write_text(content)
        code, text = told(capsys, "lineage", "nuclei")
        assert code == 1
        assert "config.yaml was changed" in text
        assert re.search(r"broken   settings     \S+config\.yaml (must be a YAML mapping|is not valid YAML)", text)
    settings.write_text(stored)
    (place / "models" / "nuclei" / "README.md").write_text("mine")
    code, text = told(capsys, "lineage", "nuclei")
    assert code == 1
    assert "broken   files        README.md was changed" in text
    change_network(place / "models" / "nuclei")
    (place / "models" / "nuclei" / "more.txt").write_text("x")
    code, text = told(capsys, "lineage", "models/nuclei")
    assert code == 1
    assert "README.md was changed, network.onnx was changed, more.txt was added" in text


def test_shipped_model_becomes_the_first_champion_and_later_ones_pass_the_gate(
    made: Made, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(register, "problem", lambda uri: "")
    with pytest.raises(ConfigError, match=r"simulated images\. Promote another, or give -P allow_simulated=true"):
        promote_named("nuclei", "nuclei", say=quiet)
    with pytest.raises(TrackingError, match="is a model for nuclei, not for nanotubes"):
        promote_named("nanotubes", "nuclei", say=quiet)
    monkeypatch.setattr(register, "problem", lambda uri: "it does not")
    with pytest.raises(TrackingError, match="must serve to become champion, but it does not"):
        promote_named("nuclei", "nuclei", allow_simulated=True, say=quiet)
    monkeypatch.setattr(register, "problem", lambda uri: "")
    assert not MlflowClient().search_model_versions("name = 'nuclei'")
    code, text = told(capsys, "promote", "nuclei", "--model", "nuclei", "--allow-simulated")
    assert code == 0
    assert "Version 1 of nuclei, the model nuclei that comes along, is champion, the first one.\nServe it" in text
    champion = at_alias("nuclei", CHAMPION)
    assert str(champion.version) == "1"
    assert "# The model `nuclei`" in MlflowClient().get_model_version("nuclei", "1").description
    run = existing_run(champion.run_id)
    assert (run.data.tags["dataset.name"], run.data.tags["recipe"]) == ("simulated", "nuclei")
    (promotion,) = MlflowClient().search_runs(["0"], "tags.stage = 'promote'")
    wanted = {"decision": "promoted", "recipe": "nuclei", "task": "nuclei", "promotes": champion.run_id}
    assert {**wanted, "parent": champion.run_id}.items() <= promotion.data.tags.items()
    assert promotion.data.metrics["headline/iou"] == run.data.metrics["test/iou"]
    assert f"Run {promotion.info.run_id}, child of {champion.run_id}: " in text
    assert MlflowClient().get_model_version("nuclei", "1").tags["gate.run"] == promotion.info.run_id
    assert run.data.metrics["test/iou"] > 0.3
    loaded = mlflow.pyfunc.load_model("models:/nuclei@champion")
    image = np.where(disc_labels((90, 80), DISCS) > 0, 230, 15).astype(np.uint8)
    assert len(loaded.predict(pd.DataFrame({"image": [image]}, dtype=object))) == 3
    checks = {check.subject: check.verdict for check in trace("models:/nuclei@champion").checks}
    assert checks["model"] == "holds"
    capsys.readouterr()
    code, text = told(capsys, "lineage", "models:/nuclei@champion")
    assert code == 0, text
    for line in ("holds    model", "holds    came along", "holds    answers", "The lineage holds"):
        assert line in text
    (place / "models" / "nuclei" / "README.md").write_text("mine")
    code, text = told(capsys, "lineage", champion.run_id)
    assert code == 1
    assert "broken   files        README.md was changed" in text
    shutil.copy(made.folder / "README.md", place / "models" / "nuclei")
    with pytest.raises(TrackingError, match="is champion already"):
        promote_named("nuclei", "nuclei", allow_simulated=True, say=quiet)
    code, text = told(capsys, "promote", "nuclei", "--model", "nuclei")
    assert code == 0
    assert "is champion already: nothing was changed" in text


def test_a_challenger_that_was_refused_has_the_number_before_the_first_champion(
    made: Made, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register, "problem", lambda uri: "")
    with stage_run("train", name="refused", tags={}) as refused:
        pass
    register_once("nuclei", (place / "models" / "nuclei").as_uri(), run_id=refused)
    said: list[str] = []
    assert promote_named("nuclei", "nuclei", allow_simulated=True, say=said.append)
    champion = at_alias("nuclei", CHAMPION)
    assert str(champion.version) == "2"
    assert "Version 2 of nuclei" in said[-1]
    assert "Version numbers count refused challengers too." in said[-1]


# bioimageio.spec 0.5.12 leaves the files that it reads to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
def test_a_run_becomes_a_package_for_other_tools_that_tells_what_made_it(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made.project)
    said: list[str] = []
    path = export(made.run, tmp_path / "package.zip", say=said.append)
    with zipfile.ZipFile(path) as archive:
        description, text = yaml.safe_load(archive.read("rdf.yaml")), archive.read("README.md").decode()
    assert set(description["weights"]) == {"onnx", "tensorflow_saved_model_bundle"}
    assert not [line for line in said if line.startswith("Left out")]
    assert any("asks for authors and a licence" in line for line in said)
    assert description["config"]["nanonuclei"]["run"] == made.run
    assert description["inputs"][0]["axes"][1]["size"] == {"min": 4, "step": 2}
    assert "Trained on simulated: " in text
    assert "| foreground IoU |" in text
    assert "has not told its licence" in text
