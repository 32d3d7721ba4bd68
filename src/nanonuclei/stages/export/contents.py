"""What a package holds beside its description: networks, arrays, pictures and texts, as files of one folder."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.engine.outputs import num_answered, with_outputs
from nanonuclei.errors import ExportError
from nanonuclei.imaging.types import Float32Array, Image, UInt8Array
from nanonuclei.report.exports.overlay import overlay
from nanonuclei.serving.folder import NETWORK, ONNX
from nanonuclei.serving.shipped.provenance import PROVENANCE, file_sha256
from nanonuclei.stages.export.one_file import one_file
from nanonuclei.stages.shipped.small_images import small_images
from nanonuclei.tasks import create_exchange, create_reader
from nanonuclei.tasks.exchange import Described, Operator, Sizes

WEIGHTS, BUNDLE, OPERATOR = "weights.onnx", "saved_model.zip", "read_out.py"
INPUT, COVER, SETTINGS = "image", "cover.png", "config.yaml"


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
        answers: Output to ``(1, height, width, channels)`` float32, as a tool that runs the operators gives it.
    """

    folder: Path
    described: Described
    opset: int
    has_bundle: bool
    left_out: Sequence[str]
    attached: Sequence[str]
    answers: Mapping[str, Float32Array] = field(default_factory=dict)


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
    opset = with_outputs(files[ONNX], folder / WEIGHTS, outputs=described.outputs, grey=grey)
    left_out = _write_bundle(files, described, folder / BUNDLE)
    for output in described.outputs:
        if output.operator:
            (folder / OPERATOR).write_text(one_file(output.operator), encoding="utf-8")
    attached = {name: files[name].read_text(encoding="utf-8") for name in (SETTINGS, PROVENANCE) if name in files}
    attached |= described.files
    for name, text in attached.items():
        (folder / name).write_text(text, encoding="utf-8")
    image = fitted(_image(config), described.sizes)
    answers = _answers(described, create_reader(config).network_input(image), folder)
    _write_arrays(exchange.shown(image), answers, folder)
    _write_cover(image, answers, described, folder / COVER)
    return Contents(folder, described, opset, not left_out, left_out, tuple(attached), answers)


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
    write_saved_model(files[NETWORK], target, outputs=described.outputs, colours=len(described.colours))
    return []


def _answers(described: Described, shown: Float32Array, folder: Path) -> dict[str, Float32Array]:
    """Returns what the written network and operators answer to one image ``(height, width, 3)`` in 0..1."""
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / WEIGHTS, providers=["CPUExecutionProvider"])
    batch = shown[None, ..., : len(described.colours)]
    answers = session.run([output.name for output in described.outputs], {session.get_inputs()[0].name: batch})
    return {
        output.name: operator_in(folder / OPERATOR, output.operator)(answer) if output.operator else answer
        for output, answer in zip(described.outputs, answers, strict=True)
    }


def _write_arrays(image: UInt8Array, answers: Mapping[str, Float32Array], folder: Path) -> None:
    """Writes test arrays, and samples that people can open."""
    channels = image if image.ndim == 3 else image[..., None]
    np.save(folder / f"test_{INPUT}.npy", channels[None].astype(np.float32))
    cv2.imwrite(str(folder / f"sample_{INPUT}.png"), image[..., ::-1] if image.ndim == 3 else image)
    for name, answer in answers.items():
        np.save(folder / f"test_{name}.npy", answer)
        shown = answer[0, ..., 0] if answer.shape[-1] == 1 else answer[0]
        contiguous = {"planarconfig": "contig"} if shown.ndim == 3 else {}
        tifffile.imwrite(folder / f"sample_{name}.tif", shown, photometric="minisblack", **contiguous)


def _write_cover(image: Image, answers: Mapping[str, Float32Array], described: Described, path: Path) -> None:
    """Writes the image beside what was found in it, twice as wide as high."""
    side = min(image.shape[:2])
    plain = np.zeros((side, side), np.int32)
    left, right = overlay(image[:side, :side], plain), overlay(image[:side, :side], plain)
    found = next((answers[output.name] for output in described.outputs if output.operator), None)
    if found is not None:
        right = overlay(image[:side, :side], found[0, :side, :side, 0].astype(np.int32))
    pictures = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in (left, right)]
    if found is None:
        scores = answers[described.outputs[0].name][0, ..., 0]
        grey = np.clip(255 * scores, 0, 255).astype(np.uint8)
        pictures[1] = cv2.applyColorMap(
            cv2.resize(grey, (side, side), interpolation=cv2.INTER_NEAREST), cv2.COLORMAP_VIRIDIS
        )
    cv2.imwrite(str(path), np.concatenate(pictures, axis=1))
