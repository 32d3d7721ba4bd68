"""Networks to files and back, and to ONNX, the form in which they are served without Keras."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import onnx

from nanonuclei.engine.runtime import load_onnx
from nanonuclei.engine.stored.convert import convert
from nanonuclei.errors import ExportError
from nanonuclei.imaging.types import Float32Array
from nanonuclei.models import blocks, encoders  # their layers are known by name once they are imported
from nanonuclei.tasks.values import EXPORT_SHAPES
from nanonuclei.writing import whole_file

TOLERANCE = 1e-4
"""Largest difference of a score between Keras and ONNX Runtime; rounding in another order gives about 2e-6."""

LAYERS = (blocks.StandardizedConv2D, encoders.Preprocess)
"""Layers of our own in stored networks."""


def save_network(model: keras.Model, path: Path) -> None:
    """Writes a network as a `.keras` file."""
    model.save(path)


def load_network(path: Path) -> keras.Model:
    """Reads a network, not compiled."""
    known = {layer.__name__: layer for layer in LAYERS}
    return keras.saving.load_model(path, custom_objects=known, compile=False)


def export_onnx(model: keras.Model, path: Path, *, shapes: Sequence[tuple[int, ...]] = EXPORT_SHAPES) -> float:
    """Writes a network as ONNX, for any batch, height and width, and checks that it answers as Keras does.

    Standardized kernels are computed by the network at each call in Keras; here they are constants.

    Args:
        model: ``(batch, height, width, 3)`` float32 to ``(batch, height, width, channels)`` float32.
        path: Where the file appears once it has passed the check.
        shapes: ``(batch, height, width, 3)`` of the random images, at least two.

    Returns:
        The largest difference to Keras on random images.

    Raises:
        ExportError: The converter has no answer to a layer, or the answers differ by more than `TOLERANCE`.
    """
    try:
        with whole_file(path) as partial:
            convert(model, partial)
            without_extra_axis(partial, shapes[0])
            difference = largest_difference(model, partial, shapes)
            if not difference <= TOLERANCE:
                raise ExportError(
                    f"ONNX must answer as Keras does, within {TOLERANCE:g}, but {model.name} differs by {difference:g} "
                    f"on random images. Train without the layer that was added last, or mend engine/export.py"
                )
    except (ValueError, NotImplementedError, RuntimeError) as error:
        raise ExportError(
            f"{model.name} cannot be written as ONNX: {' '.join(str(error).split())[:300]}. "
            f"Build it of layers that tf2onnx knows"
        ) from error
    return difference


def without_extra_axis(path: Path, shape: tuple[int, ...]) -> None:
    """Takes off the axis of length 1 that may stand before the answer ``(batch, height, width, 1)`` of a file.

    tf2onnx 1.17 turns the last transpose of one channel into a reshape to five axes and a squeeze, and loses the
    squeeze where the reshape is itself the answer, which depends on the order of its optimizers.

    Args:
        path: An ONNX file; rewritten where there is such an axis.
        shape: ``(batch, height, width, 3)`` of images that it takes.
    """
    if load_onnx(path)(np.zeros(shape, np.float32)).ndim != 5:
        return
    graph = (stored := onnx.load(path)).graph
    (answer,) = graph.output
    (last,) = (node for node in graph.node if answer.name in node.output)
    last.output[list(last.output).index(answer.name)] = "five_axes"
    axes = onnx.numpy_helper.from_array(np.array([0], np.int64), "first_axis")
    graph.initializer.append(axes)
    graph.node.append(onnx.helper.make_node("Squeeze", ["five_axes", axes.name], [answer.name]))
    onnx.save(stored, path)


def largest_difference(model: keras.Model, path: Path, shapes: Sequence[tuple[int, ...]]) -> float:
    """Returns the largest difference between Keras and ONNX on random images; infinite where the shapes differ."""
    network = load_onnx(path)
    rng = np.random.default_rng(0)
    differences = [0.0]
    for shape in shapes:
        images: Float32Array = rng.random(shape, np.float32)
        expected, answer = model.predict_on_batch(images), network(images)
        if answer.shape != expected.shape:
            return float("inf")
        differences.append(float(np.abs(expected - answer).max()))
    return float(np.max(differences))  # not a number where an answer is not
