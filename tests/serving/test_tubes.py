"""The logged model of nanotubes: its answers are those of Keras, with neither Keras nor repository."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pytest
from tests.conftest import score_map_of, tube_sample
from tests.serving.test_model import ask, found_elsewhere

from nanonuclei.engine.networks import network_of
from nanonuclei.errors import DataError
from nanonuclei.imaging.scan import TileNetwork
from nanonuclei.serving.probe import problem
from nanonuclei.serving.refusal import Refused
from nanonuclei.serving.store import CONFIG, NETWORK, ONNX, example_png, load_served
from nanonuclei.tasks import create_reader, create_task
from nanonuclei.tasks.nanotubes.classifier import window_geometry
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.lines.candidates import Candidate
from nanonuclei.tasks.nanotubes.network import NanotubeTask
from nanonuclei.tasks.nanotubes.reader import GEOMETRY, NanotubeReader


@pytest.fixture(scope="module")
def model(logged_tubes: Path) -> mlflow.pyfunc.PyFuncModel:
    return mlflow.pyfunc.load_model(str(logged_tubes))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Two cells joined by a nanotube, ``(96, 128)`` uint8."""
    return tube_sample("tube", seed=0).image


@pytest.fixture(scope="module")
def expected(spread_classifier: object, served_tubes_config: NanotubeExperiment, image: np.ndarray) -> list[Candidate]:
    """What Keras finds."""
    task = create_task(served_tubes_config)
    assert isinstance(task, NanotubeTask)
    score_map = score_map_of(task, network_of(task, spread_classifier), image)
    return task.candidates(score_map, task.cells(score_map))


def test_served_nanotubes_are_those_of_keras(
    model: mlflow.pyfunc.PyFuncModel, image: np.ndarray, expected: list[Candidate], png: Callable[[np.ndarray], bytes]
) -> None:
    found = ask(model, png(image))
    assert list(found.columns) == ["image", "object", *NanotubeReader.columns]
    assert len(found) == len(expected) >= 1
    assert 0.05 < found["score"].iloc[0] < 0.95  # where a wrong logit would show
    np.testing.assert_allclose(found["score"], [one.score for one in expected], atol=1e-4)
    for name in ("length", "width", "straightness"):
        np.testing.assert_array_equal(found[name], [getattr(one.line, name) for one in expected])
    assert list(zip(found["first_cell"], found["last_cell"], strict=True)) == [one.cells for one in expected]
    longest = found.loc[found["length"].idxmax()]
    assert longest["length"] == pytest.approx(79.0, abs=4.0)
    assert all(abs(y - 24.0) < 1.5 for _, y in json.loads(longest["line"]))


def test_labels_on_demand_show_the_lines(model: mlflow.pyfunc.PyFuncModel, image: np.ndarray) -> None:
    found = ask(model, image)
    row = ask(model, image, **{"return": "labels"}).iloc[0]
    labels = cv2.imdecode(np.frombuffer(base64.b64decode(row["labels"]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert labels.shape == image.shape == (row["height"], row["width"])
    assert row["num_objects"] == len(found) == labels.max()
    for box in found.itertuples():
        places = np.argwhere(labels == box.object)
        assert (places >= (box.y0, box.x0)).all()
        assert (places < (box.y1, box.x1)).all()


def test_parameters_change_what_is_kept(model: mlflow.pyfunc.PyFuncModel, image: np.ndarray) -> None:
    lonely = tube_sample("tube", seed=1).image.copy()
    lonely[23:26, 30:70] = 90  # ends in the open
    lengths = {joins: ask(model, lonely, joins=joins)["length"].max() for joins in ("all", "two")}
    assert lengths["all"] == pytest.approx(40.0, abs=8.0)
    assert np.isnan(lengths["two"])
    score = ask(model, image)["score"].max()
    assert len(ask(model, image, min_score=score - 0.001)) >= 1
    for params in ({"min_score": score + 0.001}, {"min_length": 200.0}, {"max_width": 0.5}, {"window_threshold": 1.0}):
        assert len(ask(model, image, **params)) == 0, params


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"joins": "three"}, "joins=three"),
        ({"min_score": 1.5}, "min_score=1.5"),
        ({"window_threshold": -0.1}, "window_threshold=-0.1"),
        ({"min_length": -1.0}, "min_length=-1.0"),
    ],
)
def test_parameters_out_of_range_are_refused(
    model: mlflow.pyfunc.PyFuncModel, image: np.ndarray, params: dict[str, object], sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence):
        ask(model, image, **params)


def test_model_tells_how_its_windows_lie(logged_tubes: Path, served_tubes_config: NanotubeExperiment) -> None:
    assert {path.name for path in (logged_tubes / "artifacts").iterdir()} == {NETWORK, ONNX, CONFIG, GEOMETRY}
    config, network = load_served(str(logged_tubes))
    assert config == served_tubes_config
    assert isinstance(network, TileNetwork)
    assert network.geometry == window_geometry(config.network, window=config.train.patch_size)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"window": 32, "margin": 8}', '{"window": 32, "margin": 8, "stride": "4"}']
)
def test_broken_geometry_is_told(text: str) -> None:
    from nanonuclei.imaging.window_geometry import read_geometry

    with pytest.raises(DataError, match="whole numbers for margin, stride, window, got"):
        read_geometry(text)


def test_model_finds_its_example_from_an_empty_folder_without_keras(
    logged_tubes: Path, served_tubes_config: NanotubeExperiment, tmp_path: Path
) -> None:
    example = example_png(create_reader(served_tubes_config))
    assert len(found_elsewhere(logged_tubes, example, tmp_path)) == 1


@pytest.mark.slow
def test_model_serves_from_an_empty_folder(logged_tubes: Path) -> None:
    assert problem(str(logged_tubes)) == ""
