"""The model that comes along: whole, small, told where it comes from, and right on images of known content."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from tests.conftest import ROOT
from tests.stages.shipped_model import as_cloned, first_champion_served

from nanonuclei.data.fingerprint.stored import read_fingerprint
from nanonuclei.serving.named import open_model
from nanonuclei.serving.shipped.checks import check_shipped
from nanonuclei.serving.shipped.provenance import read_provenance
from nanonuclei.stages.predict.predict import predict
from nanonuclei.stages.predict.request import Request
from nanonuclei.tasks import create_reader

FOLDER = ROOT / "models" / "nuclei"
MOST_MEGABYTES = 12.0
NUM_NUCLEI = 14
"""Nuclei in the labels of the reference image."""


def quiet(_: str) -> None:
    pass


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with as_cloned(tmp_path / "clone", monkeypatch) as folder:
        yield folder


@pytest.fixture
def cases() -> Path:
    """The folder of images whose content is known."""
    folder = Path(os.environ.get("NANONUCLEI_SHARED", ROOT.parent / "shared")) / "cases"
    if not (folder / "reference.png").is_file():
        pytest.skip(f"the images are not at {folder}; NANONUCLEI_SHARED names another folder")
    return folder


def test_its_files_settings_and_answers_are_those_that_were_shipped(tmp_path: Path) -> None:
    others = tmp_path / "dsb2018" / "stage1_train.zip"  # other images of a user's, which say nothing of the model
    others.parent.mkdir()
    others.write_bytes(b"others")
    _, checks = check_shipped(FOLDER, data=tmp_path, lock=ROOT / "requirements.txt", params=ROOT / "params.yaml")
    assert [check.verdict for check in checks if check.subject == "data"] == ["not here"]
    assert {check.subject: check.detail for check in checks if check.verdict == "broken"} == {}
    assert {check.subject for check in checks if check.verdict == "holds"} >= {"files", "settings", "answers"}


def test_it_is_small_and_tells_where_it_comes_from() -> None:
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    assert size / 1e6 <= MOST_MEGABYTES
    made = read_provenance(FOLDER)
    assert made.data.real
    assert made.half_difference <= 0.002
    assert len(made.data.md5.removesuffix(".dir")) == 32
    assert {score.group for score in made.scores} >= {"all", "fluorescence", "stained"}
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    for text in ("CC0", "Apache", "EfficientNet-Lite0", "ImageNet", made.data.split, made.training.run):
        assert text in card


def test_examples_are_found_again_through_predict(clone: Path) -> None:
    said: list[str] = []
    predict(Request(str(FOLDER / "examples"), "nuclei", output=clone / "found"), say=said.append)
    assert said[0].startswith("Model nuclei: trained on dsb2018")
    assert not any("simulated images only" in line for line in said)
    stored = json.loads((FOLDER / "answers.json").read_text(encoding="utf-8"))
    counts = pd.read_csv(clone / "found" / "images.csv").set_index("image")["num_objects"].to_dict()
    assert counts == {name: len(boxes) for name, boxes in stored.items()}


def test_nuclei_of_the_reference_image_are_found(cases: Path) -> None:
    opened = open_model("nuclei")
    reader = create_reader(opened.config)
    image = cv2.imread(str(cases / "reference.png"), cv2.IMREAD_UNCHANGED)
    truth = cv2.imread(str(cases / "reference_labels.png"), cv2.IMREAD_UNCHANGED)
    (score_map,) = reader.score_maps(opened.network, [reader.network_input(image)])
    found = reader.instances(score_map, image.shape[:2]).pixels()
    overlaps = []
    for label in np.unique(truth)[1:]:
        inside, others = truth == label, np.unique(found[truth == label])
        overlaps += [max((iou(inside, found == other) for other in others if other), default=0.0)]
    assert len(overlaps) == NUM_NUCLEI
    assert np.mean(overlaps) >= 0.75
    assert min(overlaps) > 0.5
    assert found.max() == NUM_NUCLEI, "no other object, such as the sliver of a nucleus at the upper edge"


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.sum(first & second) / np.sum(first | second))


@pytest.mark.slow
def test_clone_without_data_predicts_in_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nanonuclei", "predict", "--input", str(FOLDER / "examples"), "--output", "found"]
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Model nuclei: trained on dsb2018" in done.stdout
    assert (tmp_path / "found" / "objects.csv").is_file()


@pytest.mark.slow
def test_first_champion_is_served_over_http_without_training(clone: Path, tmp_path: Path) -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    with first_champion_served("nuclei", tmp_path) as ask:
        answer = ask((FOLDER / "examples" / "simulated-1.png").read_bytes())
        warned = ask(cv2.imencode(".png", board)[1].tobytes())
    assert "warnings" not in answer
    assert warned["warnings"][0].startswith("Warning: image 0 looks unlike those that the model was trained on: fine")
    assert "The model was trained on dsb2018, real images" in (tmp_path / "empty" / "server.log").read_text()
    stored = json.loads((FOLDER / "answers.json").read_text(encoding="utf-8"))
    assert len(answer["predictions"]) == len(stored["simulated-1"])


def test_its_data_are_those_that_the_repository_pins() -> None:
    lock = (ROOT / "dvc.lock").read_text(encoding="utf-8")
    assert read_provenance(FOLDER).data.md5 in lock


def test_it_holds_the_fingerprint_of_its_training_images() -> None:
    looks, made = read_fingerprint(FOLDER), read_provenance(FOLDER)
    assert looks is not None
    assert looks.likeness is not None
    assert (looks.dataset, len(looks.looks.rows)) == (made.data.name, made.data.images["train"])
    assert len(looks.likeness.rows) == made.data.images["train"] + made.data.images["val"]
    assert not (FOLDER / "likeness.json").exists()
