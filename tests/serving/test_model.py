"""The logged model in this process, and in one that has nothing of this repository."""

from __future__ import annotations

import base64
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pandas as pd
import pytest
from tests.conftest import score_map_of
from tests.databases import own_database
from tests.run_lengths import from_run_lengths
from tests.stages.bright_model import write_looks

from nanonuclei.config.params import with_settings
from nanonuclei.engine.networks import network_of
from nanonuclei.errors import ConfigError, TrackingError
from nanonuclei.serving.limits import REQUEST_LIMITS, limits
from nanonuclei.serving.model import SERVER, ObjectModel
from nanonuclei.serving.probe import bare_environment
from nanonuclei.serving.refusal import Refused
from nanonuclei.serving.store import CONFIG, NETWORK, ONNX, REQUIREMENTS, load_served, log_files
from nanonuclei.tasks import create_task
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tasks.nuclei.reader import NucleiReader

LOADING = """
import json, pathlib, sys
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
found = model.predict(pd.DataFrame({"image": [pathlib.Path(sys.argv[2])]}))
heavy = {"keras", "tensorflow", "torch", "jax", "sklearn", "matplotlib", "nanonuclei.models"}
heavy |= {f"nanonuclei.tasks.{task}.network" for task in ("nuclei", "nanotubes")}
origin = sys.modules["nanonuclei"].__file__
print(json.dumps({"rows": found.to_dict("records"), "heavy": sorted(heavy & set(sys.modules)), "origin": origin}))
"""


def found_elsewhere(logged: Path, image: bytes, folder: Path) -> list[dict[str, object]]:
    """What a logged model finds in an image from an empty folder; it loads nothing of a training."""
    (folder / "image.png").write_bytes(image)
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(logged), str(folder / "image.png")],
        cwd=folder,
        env=bare_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["heavy"] == []
    assert Path(answer["origin"]).is_relative_to(logged)
    return list(answer["rows"])


@pytest.fixture(scope="module")
def model(logged: Path) -> mlflow.pyfunc.PyFuncModel:
    return mlflow.pyfunc.load_model(str(logged))


def ask(model: mlflow.pyfunc.PyFuncModel, *items: object, **params: object) -> pd.DataFrame:
    column = np.empty(len(items), object)
    column[:] = items
    return model.predict(pd.DataFrame({"image": column}), params=params)


def test_served_objects_are_those_of_keras(
    model: mlflow.pyfunc.PyFuncModel,
    bright_network: object,
    served_config: NucleiExperiment,
    golden: np.ndarray,
    png: Callable[[np.ndarray], bytes],
) -> None:
    task = create_task(served_config)
    expected = task.instances(score_map_of(task, network_of(task, bright_network), golden), golden.shape[:2])
    found = ask(model, png(golden))
    assert len(expected) >= 3
    np.testing.assert_array_equal(found[["y0", "x0", "y1", "x1"]], expected.boxes)
    np.testing.assert_allclose(found["score"], expected.scores, atol=1e-4)
    labels = from_run_lengths(found["run_lengths"].tolist(), golden.shape).labels
    np.testing.assert_array_equal(labels, expected.labels)
    assert np.bincount(labels.ravel())[1:].tolist() == found["area"].tolist()


def test_request_may_tell_the_diameter_of_its_objects_as_text(
    model: mlflow.pyfunc.PyFuncModel,
    bright_network: object,
    served_config: NucleiExperiment,
    golden: np.ndarray,
    png: Callable[[np.ndarray], bytes],
) -> None:
    """Shown twice as large, the objects are told in px of the image."""
    task = create_task(with_settings(served_config, {"windows.diameter": 12.0}))
    score_map = score_map_of(task, network_of(task, bright_network), golden)
    assert score_map.shape[:2] == (2 * golden.shape[0], 2 * golden.shape[1])
    expected, found = task.instances(score_map, golden.shape[:2]), ask(model, png(golden), diameter="12")
    np.testing.assert_array_equal(found[["y0", "x0", "y1", "x1"]], expected.boxes)
    pd.testing.assert_frame_equal(ask(model, png(golden), diameter="24"), ask(model, png(golden)))


def test_images_unlike_those_of_training_are_told_in_python(
    logged: Path, golden: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = shutil.copytree(logged, tmp_path / "copy")
    write_looks(copy / "artifacts")
    ask(mlflow.pyfunc.load_model(str(copy)), golden, 255 - golden)
    warnings = [record.message for record in caplog.records if "unlike" in record.message]
    assert len(warnings) == 1
    assert warnings[0].startswith("Warning: image 1 looks unlike those that the model was trained on: background")


def test_nothing_is_told_of_the_example_while_a_model_is_logged(
    logged: Path, served_config: NucleiExperiment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = shutil.copytree(logged / "artifacts", tmp_path / "files")
    write_looks(files)
    caplog.set_level("INFO", "mlflow.pyfunc")
    with own_database(tmp_path), mlflow.start_run():
        log_files(files, served_config)
    assert not [line for line in caplog.messages if "unlike" in line or "example" in line]
    assert logging.getLogger("mlflow.pyfunc").level == logging.INFO


def test_what_a_model_was_trained_on_is_the_first_that_a_server_tells_of_it(
    logged: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(SERVER, str(logged))
    for place in ("guard.guard", "admission.entrance.open_entrance", "admission.memory.give_back_freed_memory"):
        monkeypatch.setattr(f"nanonuclei.serving.{place}", lambda *_, **__: None)
    caplog.set_level("INFO", "nanonuclei")
    mlflow.pyfunc.load_model(str(logged))
    told = [record.message for record in caplog.records if record.name.startswith("nanonuclei")]
    assert [line.split(" ")[0] for line in told] == ["The", "requests"]
    assert told[0].startswith("The model was trained on ")


@pytest.mark.parametrize(
    ("diameter", "message"),
    [
        ("auto", "windows.diameter=auto needs a network that was taught sizes"),
        ("5000", "windows.diameter must be the size of the objects in the images, at most"),
        ("-1", "windows.diameter"),
        ("large", "windows.diameter"),
    ],
)
def test_diameter_that_cannot_be_is_refused_with_a_sentence(
    model: mlflow.pyfunc.PyFuncModel,
    golden: np.ndarray,
    png: Callable[[np.ndarray], bytes],
    diameter: str,
    message: str,
) -> None:
    with pytest.raises(Refused, match=message):
        ask(model, png(golden), diameter=diameter)


def test_ways_to_hand_over_an_image_give_one_answer(
    model: mlflow.pyfunc.PyFuncModel, golden: np.ndarray, png: Callable[[np.ndarray], bytes], tmp_path: Path
) -> None:
    content = png(golden)
    (tmp_path / "golden.png").write_bytes(content)
    first = ask(model, content)
    for item in (base64.b64encode(content).decode(), tmp_path / "golden.png", golden):
        pd.testing.assert_frame_equal(ask(model, item), first)


def test_images_of_one_request_are_answered_as_if_alone(
    model: mlflow.pyfunc.PyFuncModel, golden: np.ndarray, png: Callable[[np.ndarray], bytes]
) -> None:
    images = [golden, golden[:16, :16], np.zeros((40, 40), np.uint8), golden[::-1].astype(np.uint16) * 200]
    together = ask(model, *(png(image) for image in images))
    assert list(together.columns) == ["image", "object", *NucleiReader.columns]
    assert 2 not in set(together["image"])
    for number, image in enumerate(images):
        alone = ask(model, png(image)).drop(columns="image")
        part = together[together["image"] == number].drop(columns="image").reset_index(drop=True)
        pd.testing.assert_frame_equal(part, alone, check_dtype=False, atol=1e-5)


def test_labels_on_demand_are_a_16_bit_image_of_the_same_objects(
    model: mlflow.pyfunc.PyFuncModel, golden: np.ndarray, png: Callable[[np.ndarray], bytes]
) -> None:
    objects = ask(model, png(golden))
    row = ask(model, png(golden), **{"return": "labels"}).iloc[0]
    labels = cv2.imdecode(np.frombuffer(base64.b64decode(row["labels"]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert labels.dtype == np.uint16
    assert labels.shape == golden.shape == (row["height"], row["width"])
    assert row["num_objects"] == len(objects)
    np.testing.assert_array_equal(labels, from_run_lengths(objects["run_lengths"].tolist(), golden.shape).labels)


def test_parameters_change_how_objects_are_read(
    model: mlflow.pyfunc.PyFuncModel, golden: np.ndarray, png: Callable[[np.ndarray], bytes]
) -> None:
    usual = ask(model, png(golden))
    middle = int(usual["area"].median())
    assert ask(model, png(golden), min_area=middle)["area"].min() >= middle
    assert len(ask(model, png(golden), min_area=middle)) < len(usual)
    assert ask(model, png(golden), threshold=0.9)["area"].sum() < usual["area"].sum()
    assert not ask(model, png(golden), num_views=8)["score"].equals(usual["score"])


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"threshold": 1.5}, "threshold=1.5"),
        ({"num_views": 3}, "num_views=3"),
        ({"min_area": -1}, "min_area=-1"),
        ({"return": "masks"}, "objects or labels, got 'masks'"),
    ],
)
def test_parameters_out_of_range_are_refused(
    model: mlflow.pyfunc.PyFuncModel, golden: np.ndarray, params: dict[str, object], sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence):
        ask(model, golden, **params)


@pytest.mark.parametrize("table", [pd.DataFrame({"picture": [b"x"]}), pd.DataFrame({"image": []})])
def test_table_without_images_is_refused(model: mlflow.pyfunc.PyFuncModel, table: pd.DataFrame) -> None:
    with pytest.raises(Refused, match=r"column 'image'|at least one image"):
        model.predict(table)


def test_own_faults_are_not_shown(monkeypatch: pytest.MonkeyPatch, model: mlflow.pyfunc.PyFuncModel) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("/opt/secret")

    monkeypatch.setattr(ObjectModel, "_answers", fail)
    with pytest.raises(Exception, match="server's log says why") as told:
        ask(model, np.zeros((20, 20), np.uint8))
    assert "secret" not in str(told.value)


def test_model_loads_and_predicts_from_an_empty_folder_without_keras(
    logged: Path, golden: np.ndarray, png: Callable[[np.ndarray], bytes], tmp_path: Path
) -> None:
    assert len(found_elsewhere(logged, png(golden), tmp_path)) >= 3


def test_model_holds_what_it_needs_and_no_more(logged: Path) -> None:
    assert {path.name for path in (logged / "artifacts").iterdir()} == {NETWORK, ONNX, CONFIG}
    names = [line.split("==")[0] for line in (logged / "requirements.txt").read_text().split()]
    assert sorted(names) == sorted(REQUIREMENTS)
    assert not {"keras", "tensorflow", "tf2onnx", "onnx"} & set(names)
    assert list(logged.rglob("*.pkl")) == []


def test_limits_come_from_environment_then_model_then_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits({}) == REQUEST_LIMITS
    assert limits({"max_pixels": 5})["max_pixels"] == 5
    monkeypatch.setenv("NANONUCLEI_MAX_PIXELS", "7")
    assert limits({"max_pixels": 5})["max_pixels"] == 7
    monkeypatch.setenv("NANONUCLEI_MAX_PIXELS", "many")
    with pytest.raises(ConfigError, match="NANONUCLEI_MAX_PIXELS must be a whole number"):
        limits({})


def test_largest_image_is_set_when_the_model_is_loaded(logged: Path, golden: np.ndarray) -> None:
    small = mlflow.pyfunc.load_model(str(logged), model_config={"max_pixels": 1000})
    with pytest.raises(Refused, match="at most 1000 px"):
        ask(small, golden)


def test_model_of_an_earlier_version_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    with pytest.raises(TrackingError, match=r"must hold network\.onnx.*Log it again"):
        load_served(str(tmp_path))
