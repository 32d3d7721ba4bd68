"""What a package holds beside its description: networks, arrays, pictures and texts, as files of one folder."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.engine.outputs import num_answered, with_output
from nanonuclei.errors import ExportError
from nanonuclei.imaging.types import Float32Array, Image, UInt8Array
from nanonuclei.report.exports.overlay import overlay
from nanonuclei.serving.folder import NETWORK, ONNX
from nanonuclei.serving.shipped.provenance import PROVENANCE, file_sha256
from nanonuclei.stages.export.one_file import one_file
from nanonuclei.stages.shipped.small_images import small_images
from nanonuclei.tasks import create_exchange, create_reader
from nanonuclei.tasks.exchange import Described, Operator, Sizes
from nanonuclei.writing import write_bytes

WEIGHTS, BUNDLE, OPERATOR = "weights.onnx", "saved_model.zip", "read_out.py"
INPUT, OUTPUT, COVER, SETTINGS = "image", "answer", "cover.png", "config.yaml"


@dataclass
class Contents:
    """The files of a package.

    Attributes:
        folder: Where they lie.
        described: What the network takes and answers.
        opset: Version of ONNX's operators.
        has_bundle: Whether there is a SavedModel too.
        left_out: What the package does not hold, and why; one sentence each.
        attached: Names of more files.
        answer: ``(1, height, width, channels)`` float32 to the test image, as a tool that runs the operator gives it.
    """

    folder: Path
    described: Described
    opset: int
    has_bundle: bool
    left_out: Sequence[str]
    attached: Sequence[str]
    answer: Float32Array


def write_contents(config: ExperimentConfig, model: Path, folder: Path) -> Contents:
    """Writes all files of a package but its description and its text.

    Args:
        config: The model's experiment.
        model: Folder with the model's files.
        folder: Where to write.

    Raises:
        ExportError: The read-out cannot be written as one file.
    """
    exchange = create_exchange(config)
    files = {path.name: path for path in model.iterdir() if path.is_file()}
    described = exchange.described(files, num_answered(files[ONNX]))
    grey = len(described.colours) == 1
    opset = with_output(files[ONNX], folder / WEIGHTS, output=described.output, grey=grey)
    left_out = _write_bundle(files, described, folder / BUNDLE)
    if described.output.operator:
        (folder / OPERATOR).write_text(one_file(described.output.operator), encoding="utf-8")
    attached = {name: files[name].read_text(encoding="utf-8") for name in (SETTINGS, PROVENANCE) if name in files}
    attached |= described.files
    for name, text in attached.items():
        (folder / name).write_text(text, encoding="utf-8")
    image = fitted(_image(config), described.sizes)
    answer = _answer(described, create_reader(config).network_input(image), folder)
    _write_arrays(exchange.shown(image), answer, folder)
    _write_cover(image, answer, described, folder / COVER)
    return Contents(folder, described, opset, not left_out, left_out, tuple(attached), answer)


def fitted(image: Image, sizes: Sizes) -> Image:
    """Returns the upper left part of an image of a size that the network takes; small images are mirrored."""
    height, width = (sizes.fitting(extent) for extent in image.shape[:2])
    below, right = max(0, height - image.shape[0]), max(0, width - image.shape[1])
    padded = np.pad(image, ((0, below), (0, right), *((0, 0),) * (image.ndim - 2)), mode="symmetric")
    return np.ascontiguousarray(padded[:height, :width])


def operator_in(path: Path, operator: Operator) -> Any:
    """Returns the operator of a written file, ready to be called; it runs without this package."""
    name = f"read_out_{file_sha256(path)}"
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise ExportError(f"{path} must be a file of Python, but is none. Export the model again")
    sys.modules[name] = module = importlib.util.module_from_spec(found)  # its data classes look it up there
    found.loader.exec_module(module)
    return getattr(module, operator.name)(**operator.settings)


def _image(config: ExperimentConfig) -> Image:
    """Returns the first simulated image: it shows more objects than the task's own example."""
    images = list(small_images(config).values())
    return images[min(1, len(images) - 1)]


def _write_bundle(files: Mapping[str, Path], described: Described, target: Path) -> list[str]:
    """Writes the SavedModel where that can be; returns why not."""
    if NETWORK not in files:
        return [
            "A TensorFlow SavedModel: the model comes in the form that predicts, ONNX, without the network of Keras "
            "that a SavedModel is made of. Export the run of its training for one."
        ]
    if importlib.util.find_spec("tensorflow") is None:
        return ["A TensorFlow SavedModel: TensorFlow was not installed where this package was written."]
    from nanonuclei.engine.saved_model import can_write, write_saved_model

    if not can_write():
        return ["A TensorFlow SavedModel: Keras ran on another backend where this package was written."]
    write_saved_model(files[NETWORK], target, output=described.output, colours=len(described.colours))
    return []


def _answer(described: Described, shown: Float32Array, folder: Path) -> Float32Array:
    """Returns what the written network and operator answer to one image ``(height, width, 3)`` in 0..1."""
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / WEIGHTS, providers=["CPUExecutionProvider"])
    batch, operator = shown[None, ..., : len(described.colours)], described.output.operator
    answer: Float32Array = session.run(None, {session.get_inputs()[0].name: batch})[0]
    return operator_in(folder / OPERATOR, operator)(answer) if operator else answer


def _write_arrays(image: UInt8Array, answer: Float32Array, folder: Path) -> None:
    """Writes test arrays, and samples that people can open."""
    channels = image if image.ndim == 3 else image[..., None]
    np.save(folder / f"test_{INPUT}.npy", channels[None].astype(np.float32))
    content = cv2.imencode(".png", image[..., ::-1] if image.ndim == 3 else image)[1]
    write_bytes(folder / f"sample_{INPUT}.png", content.tobytes())
    np.save(folder / f"test_{OUTPUT}.npy", answer)
    shown = answer[0, ..., 0] if answer.shape[-1] == 1 else answer[0]
    contiguous = {"planarconfig": "contig"} if shown.ndim == 3 else {}
    tifffile.imwrite(folder / f"sample_{OUTPUT}.tif", shown, photometric="minisblack", **contiguous)


def _write_cover(image: Image, answer: Float32Array, described: Described, path: Path) -> None:
    """Writes the image beside what was found in it, twice as wide as high."""
    side = min(image.shape[:2])
    square, labels = image[:side, :side], np.zeros((side, side), np.int32)
    if described.output.operator:
        labels = answer[0, :side, :side, 0].astype(np.int32)
    pictures = [
        cv2.imdecode(np.frombuffer(overlay(square, shown), np.uint8), cv2.IMREAD_COLOR)
        for shown in (np.zeros_like(labels), labels)
    ]
    if not described.output.operator:
        grey = np.clip(255 * answer[0, ..., 0], 0, 255).astype(np.uint8)
        large = cv2.resize(grey, (side, side), interpolation=cv2.INTER_NEAREST)
        pictures[1] = cv2.applyColorMap(large, cv2.COLORMAP_VIRIDIS)
    write_bytes(path, cv2.imencode(".png", np.concatenate(pictures, axis=1))[1].tobytes())
