"""Networks in ONNX form with another output: what a task tells other tools, computed inside the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nanonuclei.tasks.exchange import Channel, Output
from nanonuclei.writing import whole_file


def num_answered(path: Path) -> int:
    """Returns the number of channels that a network answers."""
    (answer,) = onnx.load(path, load_external_data=False).graph.output
    return int(answer.type.tensor_type.shape.dim[-1].dim_value)


def with_output(source: Path, target: Path, *, output: Output, grey: bool) -> int:
    """Writes a network that answers another output, and takes one grey channel if wanted.

    Args:
        source: A network ``(batch, height, width, 3)`` to ``(batch, height, width, channels)``.
        target: Where the file appears.
        output: The output.
        grey: Whether the new network takes ``(batch, height, width, 1)``.

    Returns:
        The version of ONNX's operators.
    """
    stored = onnx.load(source)
    graph = stored.graph
    (image,), (answer,) = graph.input, graph.output
    if grey:
        name = image.name
        dims = _dims(image)
        del graph.input[:]
        graph.input.append(helper.make_tensor_value_info("grey", TensorProto.FLOAT, [*dims, 1]))
        graph.node.insert(0, helper.make_node("Concat", ["grey"] * 3, [name], axis=3))
    dims = _dims(answer)
    del graph.output[:]
    graph.initializer.append(numpy_helper.from_array(np.array([3], np.int64), "exchange_axis"))
    values = {"answer": answer.name, "image": graph.input[0].name}
    names = [
        _channel(graph, values[channel.of], channel, f"{output.name}_{place}")
        for place, channel in enumerate(output.channels)
    ]
    graph.node.append(helper.make_node("Concat", names, [output.name], axis=3))
    graph.output.append(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, [*dims, len(names)]))
    _forget_places(stored)
    onnx.checker.check_model(stored)
    with whole_file(target) as partial:
        onnx.save(stored, partial)
    return next(int(used.version) for used in stored.opset_import if used.domain in ("", "ai.onnx"))


def _channel(graph: Any, whole: str, channel: Channel, name: str) -> str:
    """Adds what computes a channel ``(batch, height, width, 1)`` of a value; returns the name of the channel's."""
    for place, bound in (("from", channel.source), ("to", channel.source + 1)):
        graph.initializer.append(numpy_helper.from_array(np.array([bound], np.int64), f"{name}_{place}"))
    cut = f"{name}_same"
    graph.node.append(helper.make_node("Slice", [whole, f"{name}_from", f"{name}_to", "exchange_axis"], [cut]))
    if channel.form == "same":
        return cut
    if channel.form == "complement":
        graph.initializer.append(numpy_helper.from_array(np.float32(1.0), f"{name}_one"))
        graph.node.append(helper.make_node("Sub", [f"{name}_one", cut], [f"{name}_complement"]))
        return f"{name}_complement"
    graph.initializer.append(numpy_helper.from_array(np.float32(channel.factor), f"{name}_factor"))
    graph.initializer.append(numpy_helper.from_array(np.float32(2.0), f"{name}_base"))
    graph.node.append(helper.make_node("Mul", [cut, f"{name}_factor"], [f"{name}_exponent"]))
    graph.node.append(helper.make_node("Pow", [f"{name}_base", f"{name}_exponent"], [f"{name}_power"]))
    return f"{name}_power"


def _dims(value: Any) -> list[int | str]:
    """Returns batch, height and width of a graph's value: numbers, or names where they may vary."""
    dims = list(value.type.tensor_type.shape.dim)[:3]
    return [
        int(dim.dim_value) if dim.HasField("dim_value") else str(dim.dim_param or f"{value.name}_{place}")
        for place, dim in enumerate(dims)
    ]


def _forget_places(stored: Any) -> None:
    """Removes the texts by which converters tell where on their machine a network was made."""
    stored.doc_string = ""
    stored.graph.doc_string = ""
    for node in stored.graph.node:
        node.doc_string = ""
