"""Networks from Keras to ONNX. TensorFlow converts: where another backend trained, in a process of its own.

    python -m nanonuclei.engine.stored.convert NETWORK.keras NETWORK.onnx [MODULE ...]

is that process; the modules hold the network's own layers.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import keras

from nanonuclei.engine.stored.layers import all_layers
from nanonuclei.errors import ConfigError
from nanonuclei.packaged import with_sources

TENSORFLOW = "tensorflow"


def check_convertible() -> None:
    """Looks whether this installation can convert a network once it is trained.

    Raises:
        ConfigError: Another backend is in use, and TensorFlow is not installed beside it.
    """
    backend = keras.backend.backend()
    if backend != TENSORFLOW and importlib.util.find_spec(TENSORFLOW) is None:
        raise ConfigError(
            f"KERAS_BACKEND={backend} trains, but TensorFlow writes the trained network as ONNX and is not installed. "
            "Install it too, or train by benchmarks/train_here.py, and `adopt` the result where TensorFlow is"
        )


def convert(model: keras.Model, path: Path) -> None:
    """Writes a network as ONNX, for any batch, height and width.

    Args:
        model: ``(batch, height, width, 3)`` float32 to ``(batch, height, width, channels)`` float32.
        path: The file.

    Raises:
        RuntimeError: The converter has no answer to a layer (NotImplementedError is one), or the process of its own
            failed, with the last line that it said.
        ValueError: The converter has no answer to a layer.
    """
    if keras.backend.backend() == TENSORFLOW:
        _by_tensorflow(model, path)
        return
    modules = sorted({type(layer).__module__ for layer in all_layers(model)})
    own = [name for name in modules if name.partition(".")[0] != "keras"]
    with tempfile.TemporaryDirectory() as name:
        stored = Path(name) / "network.keras"
        model.save(stored)
        environment = with_sources({**os.environ, "KERAS_BACKEND": TENSORFLOW})
        words = [sys.executable, "-m", "nanonuclei.engine.stored.convert", str(stored), str(path), *own]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it said nothing")
        raise RuntimeError(f"the process with TensorFlow ended with exit code {done.returncode}: {last}")


def _by_tensorflow(model: keras.Model, path: Path) -> None:
    signature = [keras.InputSpec(shape=(None, None, None, 3), dtype="float32", name="image")]
    with warnings.catch_warnings():
        # Keras looks for a name that NumPy 1 had, and NumPy 2 says so.
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
        model.export(path, format="onnx", verbose=False, input_signature=signature)


def main() -> None:
    """Converts a stored network, in a process with TensorFlow."""
    stored, path, *modules = sys.argv[1:]
    for name in modules:
        importlib.import_module(name)
    _by_tensorflow(keras.saving.load_model(stored, compile=False), Path(path))


if __name__ == "__main__":
    main()
