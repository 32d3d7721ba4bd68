"""How a trained network is logged to a run as a model that loads anywhere, and loaded again for scoring."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from nanonuclei.config.experiment import ExperimentConfig, NanotubeExperiment
from nanonuclei.config.params import Scalar, load_experiment, to_yaml
from nanonuclei.engine.predict import Network
from nanonuclei.engine.runtime import load_onnx, with_geometry
from nanonuclei.errors import TrackingError
from nanonuclei.imaging.window_geometry import geometry_text
from nanonuclei.serving.model import LIMITS, signature, stored_task

if TYPE_CHECKING:
    import keras

REQUIREMENTS = (
    "imagecodecs",
    "mlflow",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "pandas",
    "pillow",
    "pydantic",
    "pyyaml",
    "scikit-image",
    "scipy",
    "tifffile",
)
"""What the loaded model imports; pinned to the installed versions when it is logged."""

NETWORK, ONNX, CONFIG, GEOMETRY = "network.keras", "network.onnx", "config.yaml", "geometry.json"
"""Files of a model: as Keras has it, as it is served, its settings, and how the windows of a scan lie, if it scans."""


ARTIFACTS = {"network": NETWORK, "onnx": ONNX, "config": CONFIG, "geometry": GEOMETRY}
"""Name by which the served model asks for each."""


def log_model(model: keras.Model | Path, config: ExperimentConfig, *, folder: Path) -> str:
    """Logs a trained network to the active run as a model that loads anywhere.

    It is served as ONNX, checked against Keras: of nuclei the network, of nanotubes its scan. The `.keras` file travels
    along for those who want to train it on.

    Args:
        model: The network, not compiled, or the file that holds it, which is taken byte for byte.
        config: Its experiment.
        folder: Working folder of the run.

    Returns:
        The model's URI; also the run's tag ``model.uri``.

    Raises:
        ExportError: The network cannot be written as ONNX, or answers otherwise there.
        ConfigError: A threshold that a request may change is still to be chosen.
    """
    from nanonuclei.engine.export import load_network, save_network

    takes_and_answers = signature(config)
    files = folder / "model"
    files.mkdir(parents=True, exist_ok=True)
    if isinstance(model, Path):
        shutil.copyfile(model, files / NETWORK)
        model = load_network(model)
    else:
        save_network(model, files / NETWORK)
    difference = _export(model, config, files)
    (files / CONFIG).write_text(to_yaml(config), encoding="utf-8")
    package = Path(__file__).parents[1]
    for cache in package.rglob("__pycache__"):
        shutil.rmtree(cache, ignore_errors=True)
    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(package / "served_model.py"),
        artifacts={name: str(files / file) for name, file in ARTIFACTS.items() if (files / file).is_file()},
        code_paths=[str(package)],
        signature=takes_and_answers,
        input_example=pd.DataFrame({"image": [base64.b64encode(example(config.task)).decode("ascii")]}),
        model_config=dict(LIMITS),
        pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
    )
    mlflow.set_tags({"model.uri": info.model_uri, "model.onnx_difference": f"{difference:.1e}"})
    return str(info.model_uri)


def _export(model: keras.Model, config: ExperimentConfig, files: Path) -> float:
    """Writes what is served; returns the largest difference to Keras."""
    from nanonuclei.engine.export import export_onnx, tile_shapes
    from nanonuclei.models.window_classifier import window_geometry

    if not isinstance(config, NanotubeExperiment):
        return export_onnx(model, files / ONNX)
    geometry = window_geometry(config.network, window=config.train.patch_size)
    (files / GEOMETRY).write_text(geometry_text(geometry), encoding="utf-8")
    return export_onnx(model, files / ONNX, shapes=tile_shapes(geometry))


def model_files(uri: str) -> Path:
    """Returns the folder with a logged model's network, ONNX and config."""
    return Path(mlflow.artifacts.download_artifacts(uri)) / "artifacts"


def model_uri(run: mlflow.entities.Run) -> str:
    """Returns the URI of the model that a run logged.

    Raises:
        TrackingError: It logged none.
    """
    uri = run.data.tags.get("model.uri")
    if uri is None:
        raise TrackingError(
            f"run {run.info.run_id} holds no model: its training did not end, it is none, or one of the pipeline, "
            "whose evaluation holds it. Name that run, or go on with `mlflow run . -e train -P resume=RUN_ID`"
        )
    return str(uri)


def load_trained(
    run: mlflow.entities.Run, *, settings: Mapping[str, Scalar] | None = None, missing_from: Path | None = None
) -> tuple[ExperimentConfig, keras.Model]:
    """Loads config and network of a training's run.

    Args:
        run: The training's run.
        settings: Changes of its config.
        missing_from: A `params.yaml` for settings that are younger than the run.

    Raises:
        TrackingError: The run holds no model.
    """
    return load_stored(model_uri(run), settings=settings, missing_from=missing_from)


def load_stored(
    uri: str, *, settings: Mapping[str, Scalar] | None = None, missing_from: Path | None = None
) -> tuple[ExperimentConfig, keras.Model]:
    """Loads config and Keras network of a logged or registered model.

    Args:
        uri: Such as ``models:/m-...`` or ``models:/nuclei@champion``.
        settings: Changes of its config.
        missing_from: A `params.yaml` for settings that are younger than the model.

    Raises:
        TrackingError: There is no such model, or it is none of this platform.
    """
    from nanonuclei.engine.export import load_network

    try:
        files = model_files(uri)
    except (MlflowException, OSError) as error:
        raise TrackingError(f"no model {uri!r} at {mlflow.get_tracking_uri()}. Check its name and version") from error
    path = files / CONFIG
    if not path.is_file():
        raise TrackingError(f"{uri} was not logged by this platform: it has no {CONFIG}. Name another model")
    config = load_experiment(stored_task(path), path=path, settings=settings, missing_from=missing_from)
    return config, load_network(files / NETWORK)


def load_served(uri: str, *, missing_from: Path | None = None) -> tuple[ExperimentConfig, Network]:
    """Loads config and network of a logged model as they are served, without Keras; see `engine.predict.map_maker`.

    Args:
        uri: Such as ``models:/m-...`` or ``models:/nuclei@champion``.
        missing_from: A `params.yaml` for settings that are younger than the model.

    Raises:
        TrackingError: The model has no ONNX file: it was logged before models were served from one.
    """
    files = model_files(uri)
    if not (files / ONNX).is_file():
        raise TrackingError(
            f"model {uri} must hold {ONNX}, but it was logged by an earlier version, which served Keras. Log it again "
            f"with `dvc repro` or `mlflow run . -e train`"
        )
    config = load_experiment(stored_task(files / CONFIG), path=files / CONFIG, missing_from=missing_from)
    network = load_onnx(files / ONNX)
    return config, with_geometry(network, files / GEOMETRY) if (files / GEOMETRY).is_file() else network


def example(task: str) -> bytes:
    """Returns a PNG of three soft discs, or of two cells that a nanotube joins."""
    if task == "nanotubes":
        y, x = np.mgrid[:64, :96]
        tube = 0.5 * np.exp(-((y - 32) ** 2) / 2.0) * ((x > 16) & (x < 80))
        shown = np.maximum(_spots(y, x, ((32, 16), (32, 80))), tube)
    else:
        y, x = np.mgrid[:64, :64]
        shown = _spots(y, x, ((16, 20), (40, 44), (46, 14)))
    return cv2.imencode(".png", (20 + 180 * np.clip(shown, 0, 1)).astype(np.uint8))[1].tobytes()


def _spots(y: Any, x: Any, centres: Iterable[tuple[int, int]]) -> Any:
    return sum(np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 60.0) for cy, cx in centres)
