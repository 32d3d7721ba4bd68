"""A network that takes bright pixels for nuclei, as weights trained elsewhere, and project folders for models."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from tests.conftest import ROOT
from tests.databases import own_database

from nanonuclei.cli import main
from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import to_yaml, with_settings
from nanonuclei.serving.probe import post, served
from nanonuclei.stages.shipped.register import promote_named

DISCS = [(20.0, 20.0, 9.0), (44.0, 60.0, 11.0), (70.0, 24.0, 8.0)]
"""Middles and radii of discs, px."""

SIMULATED = {
    "data.dataset": "simulated",
    "data.simulated.num_images": 12,
    "data.simulated.size": 64,
    "instances.tune": True,
}
HISTORY = {
    "seconds": 12.5,
    "hardware": {"backend": "jax", "device": "gpu", "name": "a GPU", "num_devices": 1, "precision": "bfloat16"},
    "history": {"train/loss": [0.5, 0.25], "val/loss": [0.6, 0.3], "learning_rate": [0.001, 0.0001]},
}


def write_training(model: Any, config: ExperimentConfig, folder: Path) -> Path:
    """Writes the weights of a model as a training elsewhere does, in two parts."""
    folder.mkdir(parents=True)
    arrays = {f"{place:04}": array for place, array in enumerate(model.get_weights())}
    half = len(arrays) // 2
    for part, names in enumerate((list(arrays)[:half], list(arrays)[half:])):
        np.savez(folder / f"weights-{part}.npz", **{name: arrays[name] for name in names})
    (folder / "config.yaml").write_text(to_yaml(with_settings(config, SIMULATED)), encoding="utf-8")
    (folder / "history.json").write_text(json.dumps(HISTORY), encoding="utf-8")
    return folder


def make_project(folder: Path) -> Path:
    """Makes a folder with the parameters, recipes and lock of the project."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("params.yaml", "requirements.txt", "recipes"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@contextlib.contextmanager
def as_cloned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Makes a folder as after a clone, without data and runs, the working folder and its database MLflow's."""
    make_project(folder)
    (folder / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(folder)
    with own_database(folder):
        yield folder


@contextlib.contextmanager
def first_champion_served(name: str, folder: Path) -> Iterator[Callable[[bytes], dict[str, Any]]]:
    """Promotes a model that comes along and serves it; yields what asks it for the objects of an image."""
    assert promote_named(name, name, say=lambda _: None)
    model = Path(mlflow.artifacts.download_artifacts(f"models:/{name}@champion", dst_path=str(folder / "model")))
    (folder / "empty").mkdir()
    with served(model, folder=folder / "empty") as server:

        def ask(image: bytes) -> dict[str, Any]:
            rows = {"columns": ["image"], "data": [[base64.b64encode(image).decode()]]}
            status, answer = post(f"{server.address}/invocations", json.dumps({"dataframe_split": rows}).encode())
            assert status == 200
            return answer

        yield ask


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code of a command, and all that it printed."""
    code = main(words)
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def change_network(folder: Path) -> None:
    """Changes one bit of the network of a model."""
    content = bytearray((folder / "network.onnx").read_bytes())
    content[-20] ^= 1
    (folder / "network.onnx").write_bytes(content)
