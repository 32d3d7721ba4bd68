"""The folder of a model whose network takes bright pixels for foreground: no training, and the answer is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper
from tests.conftest import ROOT, TINY, TINY_TUBES, disc_labels

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import load_experiment, to_yaml
from nanonuclei.data.fingerprint.likeness import Features
from nanonuclei.data.fingerprint.look import Look
from nanonuclei.data.fingerprint.stored import Measured, write_fingerprint
from nanonuclei.serving.named import NamedModel, OpenedModel
from nanonuclei.stages.predict.predict import Summary, predict
from nanonuclei.stages.predict.request import Request

DISCS = [(12.0, 12.0, 6.0), (30.0, 40.0, 8.0), (60.0, 20.0, 5.0)]
SHAPE = (80, 70)
READING = {"target.kind": "foreground", "loss.kind": "binary_crossentropy", "instances.min_area": 5}


LINES = {
    "network.answer": "line",
    "network.depth": 2,
    "tubes.joins": "all",
    "tubes.window_threshold": 0.2,
    "tubes.min_score": 0.2,
}
"""A reading under which every bright line is a nanotube."""


def bright_model(folder: Path, task: str = "nuclei") -> Path:
    """Writes `network.onnx`, whose score is the first channel, and `config.yaml`."""
    folder.mkdir(parents=True)
    sizes = ["batch", "height", "width"]
    bounds = [
        helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in (("a", 0), ("b", 1), ("c", 3))
    ]
    graph = helper.make_graph(
        [helper.make_node("Slice", ["image", "a", "b", "c"], ["score"])],
        "bright",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [*sizes, 3])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [*sizes, 1])],
        bounds,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "network.onnx")
    settings = {**TINY, **READING} if task == "nuclei" else {**TINY_TUBES, **LINES}
    settings |= {"normalize.kind": "range"}
    config = load_experiment(task, path=ROOT / "params.yaml", settings=settings)
    (folder / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    return folder


def write_looks(folder: Path) -> None:
    """Writes into a model's folder that its training images were grey, on a dark ground."""
    features = Features(0.1, 0.1, 0.1, 0.1, 0.9, 0.0, 12.0)
    rows = [Measured("train", step, features, Look(0.0, 0.0, 0.01 * step)) for step in range(1, 6)]
    write_fingerprint(rows, folder, dataset="discs")


def disc_image(number: int = 0) -> np.ndarray:
    """An image of the discs, a little brighter for each number."""
    return np.where(disc_labels(SHAPE, DISCS) > 0, 240 + number, 10).astype(np.uint8)


def write_images(folder: Path, names: list[str]) -> Path:
    """Writes images of the discs, by names such as ``A01/site1.png``."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), disc_image(number))
    return folder


def opened(config: ExperimentConfig, network: object, folder: Path) -> Callable[..., OpenedModel]:
    """Opens a network of the test whatever model is asked for."""
    return lambda model, **_: OpenedModel(NamedModel(model, folder), config, network)


def run(images: Path | str, output: Path | None = None, **asked: object) -> Summary:
    """Finds the objects of images by the model that a test has put in place; nothing is said."""
    return predict(Request(str(images), "run", output=output, **asked), say=lambda _: None)  # type: ignore[arg-type]
