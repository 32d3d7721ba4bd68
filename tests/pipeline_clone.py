"""A clone with a small dataset of its own in which the pipeline ran once, and what tests do in it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from tests.clones import Commands, environment

SETTINGS = {
    "network.depth": 1,
    "network.base_filters": 4,
    "train.patch_size": 32,
    "train.batch_size": 2,
    "train.steps_per_epoch": 4,
    "train.epochs": 2,
    "train.precision": "float32",
    "train.tensorboard": False,
    "windows.size": 32,
    "windows.stride": 32,
    "evaluate.bootstrap": 20,
    "evaluate.num_panels": 1,
}
STAGES = ("prepare@nuclei", "train@nuclei", "evaluate@nuclei")
OPEN: dict[Path, Commands] = {}
"""What runs commands, by the folder in which it does."""


def call(folder: Path, *words: str, wanted: int = 0) -> str:
    """Runs a command to its end; returns what it printed."""
    if words[0] == "git":
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        code, said = done.returncode, done.stdout + done.stderr
    else:
        code, said = OPEN[folder].run(*words)
    assert code == wanted, f"{words}: {code}\n{said}"
    return said


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Starts a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def commit(folder: Path, message: str) -> None:
    call(folder, "git", "add", "--all")
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    call(folder, "git", *who, "commit", "--quiet", "--message", message)


def write_dataset(path: Path, draw: Callable[..., Any]) -> None:
    """Writes twelve drawn images as Kaggle lays them out."""
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(12):
            sample = draw(f"disc{number:02}", seed=number)
            files = {f"images/{sample.sample_id}.png": sample.image}
            for label in np.unique(sample.labels)[1:]:
                files[f"masks/{label}.png"] = np.where(sample.labels == label, 255, 0).astype(np.uint8)
            for name, image in files.items():
                archive.writestr(f"{sample.sample_id}/{name}", cv2.imencode(".png", image)[1].tobytes())


def set_parameters(folder: Path, settings: dict[str, object]) -> None:
    tree = yaml.safe_load((folder / "params.yaml").read_text())
    for path, value in settings.items():
        *sections, name = path.split(".")
        place = tree["nuclei"]
        for section in sections:
            place = place[section]
        place[name] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))


def report(folder: Path, stage: str) -> dict[str, str]:
    return json.loads((folder / "build" / "nuclei" / "reports" / f"{stage}.json").read_text())


def outdated(folder: Path) -> set[str]:
    return set(json.loads(call(folder, "dvc", "status", "--json").strip().splitlines()[-1])) & set(STAGES)


@pytest.fixture(scope="module")
def pipeline(
    tmp_path_factory: pytest.TempPathFactory, copy_project: Callable[[Path], Path], draw_sample: Callable[..., Any]
) -> Iterator[Path]:
    """A clone with data, in which the pipeline ran once."""
    folder = copy_project(tmp_path_factory.mktemp("pipeline") / "clone")
    shutil.rmtree(folder / "build", ignore_errors=True)
    (folder / "dvc.lock").unlink(missing_ok=True)
    OPEN[folder] = Commands(folder)
    write_dataset(folder / "data" / "dsb2018" / "stage1_train.zip", draw_sample)
    set_parameters(folder, SETTINGS)
    call(folder, "git", "init", "--quiet")
    call(folder, "dvc", "add", "--quiet", "data")
    commit(folder, "small")
    call(folder, "mlflow", "run", ".", "--env-manager", "local", "--experiment-name", "nuclei")
    commit(folder, "reproduced")
    yield folder
    OPEN.pop(folder).close()
