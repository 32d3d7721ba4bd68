"""Small networks that are right without a training, and the way to export each of them once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nuclei.config import NucleiExperiment


@pytest.fixture(scope="session")
def exported_once() -> Iterator[None]:
    """Models with the same layers and weights are exported once, and copied after that: an export takes seconds."""
    from nanonuclei.serving import store

    known: dict[str, tuple[dict[str, bytes], float]] = {}
    export = store._export

    def remember(model: Any, task: Any, files: Path) -> float:
        seen = hashlib.sha256(f"{model.to_json()} {task.export_shapes} {task.network_files()}".encode())
        for weight in model.get_weights():
            seen.update(weight.tobytes())
        if seen.hexdigest() not in known:
            names = {path.name for path in files.iterdir()}
            difference = export(model, task, files)
            made = {path.name: path.read_bytes() for path in files.iterdir() if path.name not in names}
            known[seen.hexdigest()] = made, difference
        made, difference = known[seen.hexdigest()]
        for name, content in made.items():
            (files / name).write_bytes(content)
        return difference

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_export", remember)
        yield


@pytest.fixture(scope="session")
def bright_network(served_config: NucleiExperiment, exported_once: None) -> object:
    """The smallest network of a config, with weights under which bright pixels score high."""
    import keras

    from nanonuclei.tasks import create_task

    keras.utils.set_random_seed(3)
    model = create_task(served_config).build_network()
    images = np.random.default_rng(0).random((8, 4, 4, 1), np.float32).repeat(8, 1).repeat(8, 2).repeat(3, 3)
    solve_score(model, images, images[..., 0])
    return model


def solve_score(model: Any, images: np.ndarray, wanted: np.ndarray, *, less: float = 0.0) -> None:
    """Gives the last layer the weights under which scores are nearest to what is wanted, without a training.

    Args:
        model: A network of one score per pixel.
        images: ``(n, height, width, 3)`` float32 in 0..1.
        wanted: ``(n, height, width)`` in 0..1.
        less: By how much all logits are too low.
    """
    import keras

    score = model.get_layer("score")
    kernel, bias = score.get_weights()
    features = keras.Model(model.input, score.input).predict_on_batch(images)
    flat, logits = features.reshape(-1, features.shape[-1]), 8 * (wanted.ravel() - 0.5)
    solved = np.linalg.lstsq(np.c_[flat, np.ones(len(flat))], logits, rcond=None)[0]
    score.set_weights([solved[:-1].reshape(kernel.shape), solved[-1:].reshape(bias.shape) - less])


@pytest.fixture(scope="session")
def spread_classifier(served_tubes_config: NanotubeExperiment, exported_once: None) -> object:
    """A small classifier of windows with random weights, whose scores differ and are far from 0 and 1."""
    import keras

    from nanonuclei.tasks import create_task

    keras.utils.set_random_seed(3)
    model = create_task(served_tubes_config).build_network()
    spread_scores(model, create_task(served_tubes_config).geometry.patch, by=1 / 8)
    return model


def spread_scores(model: Any, side: int, *, by: float = 1.0) -> None:
    """Gives the last layer of a classifier of windows weights under which random windows differ.

    Args:
        model: The classifier.
        side: Side of a window with its margins, px.
        by: Standard deviation of the logits.
    """
    import keras

    rng, score = np.random.default_rng(9), model.get_layer("score")
    patches = rng.random((16, side, side, 3), np.float32)
    features = keras.Model(model.input, score.input).predict_on_batch(patches).reshape(16, -1)
    weights = rng.normal(size=(features.shape[1], 1)).astype(np.float32)
    weights *= by / (features @ weights).std()
    score.set_weights([weights.reshape(score.kernel.shape), -(features @ weights).mean(axis=0)])
