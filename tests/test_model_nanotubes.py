"""The model of nanotubes that comes along: whole, small, told where it comes from, and quiet where nothing is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from tests.conftest import ROOT
from tests.stages.shipped_model import as_cloned, first_champion_served

from nanonuclei.imaging.types import Image
from nanonuclei.serving.named import open_model
from nanonuclei.serving.shipped.checks import check_shipped
from nanonuclei.serving.shipped.provenance import SCORED_IN, read_provenance
from nanonuclei.stages.predict.predict import predict
from nanonuclei.stages.predict.request import Request
from nanonuclei.tasks import create_reader

FOLDER = ROOT / "models" / "nanotubes"
MOST_MEGABYTES = 12.0


def quiet(_: str) -> None:
    pass


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with as_cloned(tmp_path / "clone", monkeypatch) as folder:
        yield folder


def found_in(*images: Image) -> list[int]:
    """Returns the candidates in each image."""
    opened = open_model("nanotubes")
    reader = create_reader(opened.config)
    inputs = [reader.network_input(image) for image in images]
    maps = reader.score_maps(opened.network, inputs)
    return [len(reader.instances(each, image.shape[:2])) for each, image in zip(maps, images, strict=True)]


def test_its_files_settings_and_answers_are_those_that_were_shipped() -> None:
    _, checks = check_shipped(FOLDER, data=ROOT / "data", lock=ROOT / "requirements.txt", params=ROOT / "params.yaml")
    assert {check.subject: check.detail for check in checks if check.verdict == "broken"} == {}
    assert {check.subject for check in checks if check.verdict == "holds"} >= {"files", "settings", "answers"}


def test_it_is_small_and_tells_where_it_comes_from() -> None:
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    assert size / 1e6 <= MOST_MEGABYTES
    made = read_provenance(FOLDER)
    assert made.data.real
    assert made.half_difference <= 0.01
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    for text in ("CC-BY", "CC0", "EfficientNet-Lite0", "ImageNet", "docs/nanotubes.md", made.training.run):
        assert text in card
    assert f"in {made.training.hardware[SCORED_IN]}, with 95 %" in card
    assert create_reader(open_model("nanotubes").config).choices in card
    assert "chosen on the validation images" not in card


def test_examples_are_found_again_through_predict(clone: Path) -> None:
    predict(Request(str(FOLDER / "examples"), "nanotubes", output=clone / "found"), say=quiet)
    stored = json.loads((FOLDER / "answers.json").read_text(encoding="utf-8"))
    counts = pd.read_csv(clone / "found" / "images.csv").set_index("image")["num_objects"].to_dict()
    assert counts == {name: len(boxes) for name, boxes in stored.items()}
    assert {"score", "length", "line"} <= set(pd.read_csv(clone / "found" / "objects.csv").columns)


def test_fields_without_anything_have_no_candidate() -> None:
    rng = np.random.default_rng(5)
    slope = np.linspace(0.0, 120.0, 320)
    noise = rng.normal(60.0, 8.0, (240, 320))
    one_value = np.full((240, 320), 90.0)
    fields = [np.clip(field, 0, 255).astype(np.uint8) for field in (noise, noise + slope, one_value, one_value + slope)]
    assert found_in(*fields) == [0, 0, 0, 0]


def test_neurites_and_marked_nanotubes_are_told_apart(shared_data: Path) -> None:
    neurites = [
        cv2.imread(str(shared_data / "data" / "neuron_processes" / "images" / f"img_{number:03}.jpg"), 0)
        for number in (75, 80)
    ]
    assert found_in(*(image[200:680, 300:940] for image in neurites)) == [0, 0]
    panel = cv2.imread(str(shared_data / "data" / "tnt_figures" / "panels" / "rpe_wga.png"))
    assert found_in(np.ascontiguousarray(panel[..., ::-1]))[0] >= 1


@pytest.mark.slow
def test_first_champion_is_served_over_http_without_training(clone: Path, tmp_path: Path) -> None:
    with first_champion_served("nanotubes", tmp_path) as ask:
        answer = ask((FOLDER / "examples" / "simulated-1.png").read_bytes())
    stored = json.loads((FOLDER / "answers.json").read_text(encoding="utf-8"))
    assert len(answer["predictions"]) == len(stored["simulated-1"])
