"""Networks that find bright discs and lines, logged as models, and images to show them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pytest
from tests.conftest import disc_sample
from tests.databases import own_database

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nuclei.config import NucleiExperiment


def stored(model: object, config: ExperimentConfig, *, folder: Path) -> Path:
    """Logs a model to a server in a folder; returns the folder of the logged model."""
    from nanonuclei.serving.store import log_model

    with pytest.MonkeyPatch.context() as patch, own_database(folder):
        patch.chdir(folder)
        with mlflow.start_run():
            uri = log_model(model, config, folder=folder / "work")
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder / "model")))


@pytest.fixture(scope="session")
def logged(bright_network: object, served_config: NucleiExperiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the logged model."""
    return stored(bright_network, served_config, folder=tmp_path_factory.mktemp("logged"))


@pytest.fixture(scope="session")
def logged_tubes(
    spread_classifier: object, served_tubes_config: NanotubeExperiment, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Folder of the logged model of nanotubes."""
    return stored(spread_classifier, served_tubes_config, folder=tmp_path_factory.mktemp("logged_tubes"))


@pytest.fixture(scope="session")
def golden() -> np.ndarray:
    """Discs on a dark ground, ``(120, 90)`` uint8."""
    return disc_sample("golden", seed=5, shape=(120, 90)).image


@pytest.fixture(scope="session")
def png() -> Callable[[np.ndarray], bytes]:
    """Encodes an image as PNG."""
    return lambda image: cv2.imencode(".png", image)[1].tobytes()


@pytest.fixture(scope="session")
def request_body(png: Callable[[np.ndarray], bytes]) -> Callable[..., bytes]:
    """Writes a request: `request_body([image], threshold=0.4)`."""
    import json

    def write(images: list[np.ndarray], **params: object) -> bytes:
        rows = [[base64.b64encode(png(image)).decode()] for image in images]
        return json.dumps({"dataframe_split": {"columns": ["image"], "data": rows}, "params": params}).encode()

    return write
