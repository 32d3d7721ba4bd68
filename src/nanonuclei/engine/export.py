"""Networks to files and back, for layers that do without Keras."""

from __future__ import annotations

from pathlib import Path

import keras


def save_network(model: keras.Model, path: Path) -> None:
    """Writes a network as a `.keras` file."""
    model.save(path)


def load_network(path: Path) -> keras.Model:
    """Reads a network, not compiled."""
    return keras.saving.load_model(path, compile=False)
