from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import psutil
import pytest
from tests.conftest import network as settings

from nanonuclei.engine import export
from nanonuclei.engine.export import export_onnx, load_network, save_network
from nanonuclei.engine.runtime import PROVIDERS, load_onnx
from nanonuclei.errors import ExportError, TrackingError
from nanonuclei.models.unet import unet

NETWORKS = {
    "weights and transpose": {"normalisation": "weights"},
    "batch and pix2pix": {"normalisation": "batch", "decoder": "pix2pix", "dropout": 0.1},
    "group": {"normalisation": "group"},
    "encoder": {"kind": "mobilenetv2", "normalisation": "batch"},
}


@pytest.mark.parametrize("case", NETWORKS)
def test_onnx_answers_as_keras_for_any_size_and_batch(
    case: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if case == "encoder":
        request.getfixturevalue("small_encoder")
    keras.utils.set_random_seed(0)
    model = unet(settings(**NETWORKS[case]), num_classes=3)
    for weight in model.weights:  # not as they begin: zeros and ones hide mistakes
        noise = np.random.default_rng(1).uniform(0.1, 0.5, weight.shape)
        weight.assign(np.asarray(weight) + noise.astype(np.float32) * (weight.dtype == "float32"))
    path = tmp_path / "network.onnx"
    assert export_onnx(model, path) <= 1e-4
    network = load_onnx(path, threads=1)
    for shape in ((1, 32, 32, 3), (3, 32, 32, 3), (2, 16, 48, 3)):
        images = np.random.default_rng(2).random(shape, np.float32)
        expected = model.predict_on_batch(images)
        np.testing.assert_allclose(network(images), expected, atol=1e-4)
    assert sorted(entry.name for entry in tmp_path.glob("*.onnx")) == ["network.onnx"]


def test_network_that_answers_otherwise_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "largest_difference", lambda model, path, shapes: 0.1)
    with pytest.raises(ExportError, match=r"within 0.0001, but unet differs by 0\.1"):
        export_onnx(unet(settings(depth=1), num_classes=1), tmp_path / "network.onnx")
    assert list(tmp_path.iterdir()) == []


def test_axis_before_the_answer_that_the_converter_may_leave_is_taken_off(tmp_path: Path) -> None:
    model, path = unet(settings(depth=1), num_classes=1), tmp_path / "network.onnx"
    export_onnx(model, path)
    _with_an_axis_before_the_answer(path)
    images = np.random.default_rng(0).random((2, 16, 32, 3), np.float32)
    assert load_onnx(path)(images).shape == (1, 2, 16, 32, 1)
    assert export.largest_difference(model, path, [images.shape]) == float("inf")
    export.without_extra_axis(path, images.shape)
    assert export.largest_difference(model, path, [images.shape]) <= 1e-4


def _with_an_axis_before_the_answer(path: Path) -> None:
    """Ends a stored network with a reshape to five axes, as tf2onnx does where it loses the squeeze after it."""
    stored = onnx.load(path)
    graph = stored.graph
    (answer,) = graph.output
    (last,) = (node for node in graph.node if answer.name in node.output)
    last.output[list(last.output).index(answer.name)] = "four_axes"
    shape = onnx.numpy_helper.from_array(np.array([1, -1, 0, 0, 1], np.int64), "five")
    graph.node.append(onnx.helper.make_node("Reshape", ["four_axes_last", shape.name], [answer.name]))
    channels_first = onnx.helper.make_node("Transpose", ["four_axes"], ["four_axes_last"], perm=[0, 3, 1, 2])
    graph.node.insert(len(graph.node) - 1, channels_first)
    graph.initializer.append(shape)
    onnx.save(stored, path)


def test_stored_network_is_loaded_with_its_own_layers(tmp_path: Path) -> None:
    model = unet(settings(normalisation="weights"), num_classes=1)
    save_network(model, tmp_path / "network.keras")
    images = np.random.default_rng(0).random((1, 16, 16, 3), np.float32)
    again = load_network(tmp_path / "network.keras")
    np.testing.assert_array_equal(again.predict_on_batch(images), model.predict_on_batch(images))


def test_file_that_is_no_network_is_told(tmp_path: Path) -> None:
    (tmp_path / "network.onnx").write_bytes(b"nothing")
    with pytest.raises(TrackingError, match=r"network\.onnx must be a network in ONNX"):
        load_onnx(tmp_path / "network.onnx")


def test_a_network_runs_on_a_gpu_where_the_runtime_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def session(path: Path, options: object, *, providers: list[str]) -> Any:
        asked.append(providers)
        return SimpleNamespace(get_inputs=lambda: [SimpleNamespace(name="image")])

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    for available in (["CPUExecutionProvider"], ["TensorrtExecutionProvider", *PROVIDERS]):
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda found=available: found)
        load_onnx(tmp_path / "network.onnx")
    assert asked == [["CPUExecutionProvider"], ["CUDAExecutionProvider", "CPUExecutionProvider"]]


def test_memory_of_a_large_image_goes_back_to_the_system(tmp_path: Path) -> None:
    export_onnx(unet(settings(depth=1, base_filters=16), num_classes=1), tmp_path / "network.onnx")
    process, image = psutil.Process(), np.zeros((1, 1024, 1024, 3), np.float32)
    held = {}
    for large in (True, False):
        network = load_onnx(tmp_path / "network.onnx", threads=1, large=large)
        before = process.memory_info().rss
        network(image)
        held[large] = process.memory_info().rss - before
    assert held[True] < held[False] / 2
