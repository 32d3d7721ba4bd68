"""Mistakes of a first hour: each is one line that blames the right thing, within two seconds of processor time."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from tests.conftest import ROOT
from tests.mistakes import images, models, training
from tests.mistakes.registry import CHAMPION, LOGGED

from nanonuclei.cli import _parser

BUDGET_SECONDS = 2.0
"""Processor time of a mistake on the machine where the slowest of them took 0.9 s."""
REFERENCE_SECONDS = 2.0
"""Processor time of `import mlflow` there: a slower machine is given as much more time as it takes longer for that."""

MISTAKES = {**training.MISTAKES, **images.MISTAKES, **models.MISTAKES}

WORDS = {
    "compared recipe": ["--recipes", "unet unte"],
    "compared runs": ["--runs", "a=abcd1234 b=abcd1235"],
    "broken images of a comparison": ["--recipes", "unet default"],
    "weights of a comparison that cannot be downloaded": [
        "--recipes",
        "unet default",
        "--dataset",
        "simulated",
        "--set",
        "network.kind=efficientnetb0 network.weights=imagenet",
    ],
}
"""Parameters at the end of a command line of which one holds a space."""
BROKEN = ("a/images/a.png", "a/masks/1.png", "images/b.png", "masks/b.png")
"""Files of datasets whose images cannot be read, as both tasks lay them out."""
ELSEWHERE = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:1"),
    **dict.fromkeys(("no_proxy", "NO_PROXY", "KAGGLE_API_TOKEN", "KAGGLE_KEY", "KAGGLE_KERNEL_RUN_TYPE"), ""),
    **dict.fromkeys(("KERAS_HOME", "KAGGLE_CONFIG_DIR", "KAGGLEHUB_CACHE"), "no-folder"),
}
"""Environment in which no server answers, and nothing was downloaded before."""
WITH_CHAMPION = (
    "first champion to roll back",
    "images that a champion is compared on",
    "task of a registered champion",
    "task of a registered version",
    "task of a logged model",
    "task of a run's model",
    "registered weights of another task",
    "label with a registered model of a task without pictures",
    "registered model of another task than the images",
    "logged model that is not there",
    "output of a prediction by a run",
    "channel of a prediction by a run",
    "host of a page of a run",
    "value of a scoring",
    "value of a scoring of nanotubes",
    "value of a prediction by a run",
    "value that the model of a run does not fit",
)
"""Mistakes where a registry has a champion, another model than the one that comes along, and a model of each task."""


def test_every_command_has_a_mistake() -> None:
    stages = next(action.choices for action in _parser()._actions if isinstance(action.choices, dict))
    assert set(stages) - {words.split()[0] for words, _ in MISTAKES.values()} == set()


def processor_seconds(words: list[str], folder: Path, **more: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Runs Python in a process of its own; returns its processor time and what it said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, **ELSEWHERE, "PYTHONPATH": str(ROOT / "src"), **more},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done


@pytest.fixture(scope="module")
def budget(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds that a mistake may take on this machine."""
    seconds, _ = processor_seconds(["-c", "import mlflow"], tmp_path_factory.mktemp("reference"))
    return BUDGET_SECONDS * max(1.0, seconds / REFERENCE_SECONDS)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_told_early_in_one_line_and_leaves_nothing(mistake: str, budget: float, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name, content in (("a.png", b""), ("a.zip", b""), ("c.txt", b"no weights")):
        (tmp_path / "pictures" / name).write_bytes(content)
    if mistake.startswith("channel of"):
        Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / "photo.png")
    notes = tmp_path / "scratch" / "tune" / "old" / "keras-tuner" / "study.json"
    (notes.parent / "trial_0").mkdir(parents=True)
    notes.write_text(json.dumps({"identity": {"train.batch_size": 1}}))
    (notes.parent / "trial_0" / "trial.json").write_text(json.dumps({"status": "COMPLETED"}))
    words, message = MISTAKES[mistake]
    command = [*words.split()[:2], *WORDS[mistake]] if mistake in WORDS else words.split()
    (tmp_path / "dvc.yaml").symlink_to(ROOT / "dvc.yaml")
    if mistake in WITH_CHAMPION:
        with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
            database.executescript(CHAMPION)
            database.executemany("insert into params values (?, ?, ?)", LOGGED)
            database.commit()
    if mistake.startswith("broken images"):
        for name in ("dsb2018/stage1_train.zip", "tnt/tnt.zip"):
            (tmp_path / "data" / name).parent.mkdir(parents=True)
            with zipfile.ZipFile(tmp_path / "data" / name, "w") as archive:
                for file in BROKEN:
                    archive.writestr(file, b"no image")
    if mistake == "changed images of the pipeline":
        (tmp_path / "data" / "dsb2018").mkdir(parents=True)
        (tmp_path / "data" / "dsb2018" / "stage1_train.zip").write_bytes(b"")
        (tmp_path / "data.dvc").write_text("outs: [{md5: 0123.dir, path: data}]\n")
    if mistake.startswith("conflict"):
        (tmp_path / "dvc.lock").write_text("<<<<<<< HEAD\n")
    found = sorted(tmp_path.rglob("*"))
    home = {"HOME": str(tmp_path)} if mistake.startswith("Kaggle") else {}
    seconds, done = processor_seconds(["-m", "nanonuclei", *command], tmp_path, **home)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "SECRET" not in done.stdout + done.stderr
    assert sorted(tmp_path.rglob("*")) == found
    assert seconds < budget
