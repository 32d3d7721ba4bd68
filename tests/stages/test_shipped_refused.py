"""A model that comes along and is not as it should be, or is asked for by a wrong name or with wrong words."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import ROOT, disc_labels
from tests.databases import own_database
from tests.stages.shipped_model import DISCS, change_network, make_project, told

from nanonuclei.config.params import load_experiment
from nanonuclei.errors import DataError, TrackingError
from nanonuclei.serving.named import find_model
from nanonuclei.serving.shipped.made_for import check_place
from nanonuclei.serving.shipped.provenance import FORMAT
from nanonuclei.stages.shipped.ship import batch_of
from nanonuclei.tasks import create_task, task_names


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh clone with a copy of the model that comes along, as the current folder: no data, no runs."""
    folder = make_project(tmp_path / "clone")
    shutil.copytree(ROOT / "models" / "nuclei", folder / "models" / "nuclei")
    monkeypatch.chdir(folder)
    with own_database(folder):
        yield folder


def test_unknown_names_come_with_the_nearest(place: Path) -> None:
    with pytest.raises(TrackingError, match=r"no model 'nucleii'\. Did you mean nuclei\?"):
        find_model("nucleii")
    with pytest.raises(TrackingError, match="no run"):
        find_model("0" * 32)
    with pytest.raises(TrackingError, match="no model 'models:/none/1'"):
        find_model("models:/none/1")


def test_predict_needs_neither_keras_nor_mlflow(place: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "discs.png"), np.where(disc_labels((90, 80), DISCS) > 0, 230, 15).astype(np.uint8))
    script = (
        "import sys\nfrom nanonuclei.cli import main\n"
        f"assert main(['predict', '--input', {str(tmp_path / 'discs.png')!r}, '--output', 'found']) == 0\n"
        "print(sorted({'keras', 'tensorflow', 'mlflow', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def make_newer(folder: Path) -> None:
    tree = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps({**tree, "format": FORMAT + 1, "new": 1}))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (change_network, r"network\.onnx was changed\. Restore it with `git checkout"),
        (lambda folder: (folder / "network.onnx").unlink(), r"network\.onnx is missing\. Restore it with `git"),
        (lambda folder: (folder / "config.yaml").write_text("nuclei: {}"), r"config\.yaml was changed"),
        (lambda folder: (folder / "provenance.json").unlink(), r"provenance\.json must tell.*Restore it with"),
        (lambda folder: (folder / "provenance.json").write_text('{"format": 1}'), r"is not valid: task.*Restore it"),
        (make_newer, rf"has format {FORMAT + 1}, but .* reads formats up to {FORMAT}\. Update nanonuclei"),
    ],
)
def test_harmed_model_is_refused_in_one_line(place: Path, harm: object, message: str) -> None:
    harm(place / "models" / "nuclei")
    with pytest.raises(DataError, match=message) as error:
        find_model("nuclei")
    assert "\n" not in str(error.value)


def test_changed_card_does_not_keep_a_model_from_predicting(place: Path) -> None:
    (place / "models" / "nuclei" / "README.md").write_text("mine")
    assert find_model("nuclei").provenance is not None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ship"], "ship needs one of -P run=RUN_ID and -P model=MODEL and -P weights=FOLDER, got none"),
        (["ship", "--run", "a", "--set", "windows.size=64"], "keeps the settings that it was scored with"),
        (["promote", "nuclei", "--model", "nuclei", "--rollback"], "got 2 of them"),
    ],
)
def test_wrong_words_are_told_with_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = told(capsys, *words)
    assert code == 2
    assert message in text


@pytest.mark.parametrize(
    ("name", "task", "dataset", "message"),
    [
        ("nuclei", "nanotubes", "", "models/nuclei is for a model of nuclei, but this is one of nanotubes"),
        ("nanotubes", "nuclei", "", "models/nanotubes is for a model of nanotubes, but this is one of nuclei"),
        ("nuclei", "nuclei", "simulated", "was trained on real images, but this one was trained on simulated ones"),
        ("", "nuclei", "simulated", "was trained on real images, but this one was trained on simulated ones"),
    ],
)
def test_a_model_does_not_take_the_place_of_a_better_one(
    place: Path, name: str, task: str, dataset: str, message: str
) -> None:
    with pytest.raises(TrackingError, match=f"{message}. Give another name"):
        check_place(name, task, dataset=dataset)


def test_a_model_takes_a_place_of_its_own_and_that_of_its_like(place: Path) -> None:
    check_place("mine", "nuclei", dataset="simulated")
    check_place("nuclei", "nuclei", dataset="dsb2018")
    check_place("", "nanotubes", dataset="simulated")


@pytest.mark.parametrize("task", task_names())
def test_an_image_smaller_than_a_network_takes_is_mirrored_for_it(task: str) -> None:
    config = load_experiment(task, path=ROOT / "params.yaml")
    batch = batch_of(config, np.arange(40 * 70, dtype=np.uint8).reshape(40, 70))
    least = [min(shape[axis] for shape in create_task(config).export_shapes) for axis in (1, 2)]
    assert batch.shape == (1, max(32, least[0]), max(64, least[1]), 3)
    assert batch.dtype == np.float32
