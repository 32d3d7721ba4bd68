"""Networks of Keras as a TensorFlow SavedModel with the output that a task tells other tools."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras

from nanonuclei.engine.export import load_network
from nanonuclei.tasks.exchange import Channel, Output


def can_write() -> bool:
    """Tells whether Keras runs on TensorFlow here, which writes the format."""
    return bool(keras.backend.backend() == "tensorflow")


def tensorflow_version() -> str:
    """Returns the installed version of TensorFlow; empty where it is not installed."""
    try:
        return version("tensorflow")
    except PackageNotFoundError:
        return ""


def write_saved_model(source: Path, target: Path, *, output: Output, colours: int) -> None:
    """Writes a network as a zip that holds a SavedModel.

    Args:
        source: A `.keras` file.
        target: The zip to make.
        output: What the signature ``serve`` answers, by its name.
        colours: Channels of an image, 1 or 3.
    """
    model = load_network(source)
    image = keras.Input((None, None, colours), name="image")
    shown = keras.layers.Concatenate(axis=-1)([image] * 3) if colours == 1 else image
    answer = model(shown)
    values = {"answer": answer, "image": image}
    channels = [_channel(values[channel.of], channel) for channel in output.channels]
    answers = {output.name: keras.ops.concatenate(channels, axis=-1)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "bundle"
        keras.Model(image, answers).export(
            folder,
            format="tf_saved_model",
            verbose=False,
            input_signature=[keras.InputSpec(shape=(None, None, None, colours), dtype="float32", name="image")],
        )
        shutil.rmtree(folder / "assets", ignore_errors=True)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(folder).as_posix())


def _channel(whole: keras.KerasTensor, channel: Channel) -> keras.KerasTensor:
    value = whole[..., channel.source : channel.source + 1]
    if channel.form == "complement":
        return 1.0 - value
    if channel.form == "power":
        return keras.ops.power(2.0, value * channel.factor)
    return value
