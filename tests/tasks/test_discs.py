"""A third task, of another package, goes through every command without a change of the program."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import mlflow
import pandas as pd
import pytest
import yaml
from mlflow.tracking import MlflowClient
from tests.conftest import ROOT

from nanonuclei import tasks
from nanonuclei.cli import main
from nanonuclei.config.params import load_experiment
from nanonuclei.serving.probe import post, served
from nanonuclei.tasks import create_dataset, create_reader, task_names
from nanonuclei.tracking.registry import CHAMPION, at_alias

DISCS = Path(__file__).parent
SHARED = ("normalize", "augment", "train", "evaluate", "tune")
"""Sections that the discs have as nuclei have them, but for a few values."""
TRAIN = {"epochs": 10, "steps_per_epoch": 40, "batch_size": 4, "patch_size": 32, "learning_rate": 0.03}
TRAIN |= {"precision": "float32", "schedule": "constant", "warmup_epochs": 0, "ema_momentum": 0.0, "tensorboard": False}
SPACE = {"network.filters": {"type": "int", "low": 2, "high": 6, "step": 2, "log": False}}


def sections() -> dict[str, object]:
    nuclei = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["nuclei"]
    own = {name: nuclei[name] for name in SHARED}
    own["train"] |= TRAIN
    own["augment"] |= {"intensity_probability": 0.0, "warp_probability": 0.0, "invert": 0.0}  # bright stays bright
    own["evaluate"] |= {"bootstrap": 20}
    own["tune"] |= {"metric": "val/accuracy", "epochs": 1, "num_startup_trials": 1, "space": SPACE}
    data = {"seed": 7, "dataset": "auto", "on_bad_sample": "fail", "max_train_samples": 0, "num_images": 16, "size": 96}
    return {
        "seed": 7,
        "data": {**data, "split": {"train": 0.5, "val": 0.25, "test": 0.25}},
        "network": {"filters": 6},
        "windows": {"precision": "float32"},
        "reading": {"threshold": 0.5, "min_area": 20},
        **own,
    }


@pytest.fixture
def discs(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The project with the section and the gate of the discs, which are found by their entry point."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    tree["discs"] = sections()
    costs = {"max_cpu_seconds_per_megapixel": 100.0, "max_megabytes": 100.0}
    tree["gate"]["discs"] = {**tree["gate"]["nuclei"], "least": {"f1": 0.0}, "most": {}, "compared": "f1", **costs}
    (project / "params.yaml").unlink()
    (project / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    monkeypatch.syspath_prepend(DISCS)
    monkeypatch.setenv("PYTHONPATH", f"{DISCS}:{ROOT / 'src'}")
    monkeypatch.setattr(tasks, "_added", {})
    tasks._elsewhere.cache_clear()
    yield project
    tasks._elsewhere.cache_clear()


def runs(stage: str) -> list[mlflow.entities.Run]:
    client = MlflowClient()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.stage = '{stage}'"))


def test_discs_are_a_task_of_their_own(discs: Path) -> None:
    assert task_names() == ("nuclei", "nanotubes", "discs")
    config = load_experiment("discs", path=Path("params.yaml"), settings={"data.dataset": "simulated"})
    assert create_dataset(config).noun.count(1) == "1 disc"


@pytest.mark.slow
def test_discs_go_through_every_command(discs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["explore", "discs"]) == 0
    assert runs("explore")[0].data.metrics["objects"] > 30

    assert main(["train", "discs"]) == 0
    (trained,) = runs("train")
    assert trained.data.metrics["test/accuracy"] > 0.9
    assert main(["evaluate", "--run", trained.info.run_id, "--set", "reading.min_area=10"]) == 0
    assert runs("evaluate")[0].data.metrics["test/f1"] > 0.5

    assert main(["train", "discs", "--resume", trained.info.run_id]) == 0
    assert len(runs("train")) == 1

    config = load_experiment("discs", path=Path("params.yaml"), settings={"data.dataset": "simulated"})
    cv2.imwrite("disc.png", create_reader(config).example())
    assert main(["predict", "--model", trained.info.run_id, "--input", "disc.png", "--output", "found"]) == 0
    (disc,) = pd.read_csv("found/objects.csv").to_dict("records")
    assert disc["diameter"] == pytest.approx(17.0, abs=2.5)
    assert "covered" in pd.read_csv("found/images.csv").columns

    for tuner in ("optuna", "keras-tuner"):
        assert main(["tune", "discs", "--tuner", tuner, "--trials", "2"]) == 0
    assert {run.data.tags["tuner"] for run in runs("tune")} == {"optuna", "keras-tuner"}

    Path("small.yaml").write_text("network.filters: 2\n")
    assert main(["compare", "discs", "--recipes", "default ./small.yaml", "--seeds", "1"]) == 0
    assert "F1 of discs" in runs("compare")[0].data.tags["mlflow.note.content"]

    assert main(["promote", "discs", "--run", trained.info.run_id, "--allow-simulated"]) == 0
    assert at_alias("discs", CHAMPION) is not None
    assert main(["lineage", trained.info.run_id]) in (0, 1)

    model = Path(mlflow.artifacts.download_artifacts(trained.data.tags["model.uri"], dst_path="model"))
    monkeypatch.delenv("PYTHONPATH")
    image = base64.b64encode(Path("disc.png").read_bytes()).decode("ascii")
    request = {"dataframe_split": {"columns": ["image"], "data": [[image]]}}
    Path("empty").mkdir()
    with served(model.resolve(), folder=Path("empty").resolve()) as server:
        status, answer = post(f"{server.address}/invocations", json.dumps(request).encode())
    assert (status, len(answer["predictions"])) == (200, 1)
