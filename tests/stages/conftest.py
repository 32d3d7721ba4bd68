"""What several test files of the stages use: trainings that nobody waits for, images and a model for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import disc_labels
from tests.stages.bright_model import DISCS, READING, opened
from tests.stages.compared import Trainings

from nanonuclei.stages.compare import compare
from nanonuclei.stages.predict import predict
from nanonuclei.tasks.nuclei.config import NucleiExperiment


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    """Makes the trainings of a comparison at once, and notes them."""
    found = Trainings()
    monkeypatch.setattr(compare, "run_child", found)
    return found


@pytest.fixture
def config(experiment: Callable[..., NucleiExperiment]) -> NucleiExperiment:
    """A tiny experiment on simulated images."""
    return experiment({"data.dataset": "simulated", "data.simulated.num_images": 12, "data.simulated.size": 64})


@pytest.fixture
def known_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, experiment: Callable[..., NucleiExperiment]) -> None:
    """Puts a network that is bright where the image is in the place of every model."""
    config = experiment({**READING, "normalize.kind": "range"})
    (tmp_path / "model").mkdir()
    monkeypatch.setattr(predict, "open_model", opened(config, lambda batch: batch[..., :1], tmp_path / "model"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with discs in 8 and 16 bits, an image without any, and a text."""
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    labels = disc_labels((80, 70), DISCS)
    cv2.imwrite(str(folder / "discs.png"), np.where(labels > 0, 240, 10).astype(np.uint8))
    cv2.imwrite(str(folder / "deeper" / "sixteen.tif"), np.where(labels > 0, 60000, 500).astype(np.uint16))
    cv2.imwrite(str(folder / "empty.png"), np.zeros((40, 50, 3), np.uint8))
    (folder / "notes.txt").write_text("not an image")
    return folder
