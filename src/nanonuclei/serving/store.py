"""How a trained network is logged to a run as a model that loads anywhere, and loaded again for scoring."""

from __future__ import annotations

import base64
import importlib
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import mlflow
import pandas as pd
import yaml
from mlflow.exceptions import MlflowException

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import Scalar, load_experiment, to_yaml
from nanonuclei.errors import TrackingError, is_url
from nanonuclei.imaging.networks import Network
from nanonuclei.quiet import loggers_quiet
from nanonuclei.serving.folder import CONFIG, NETWORK, ONNX, load_folder, stored_task
from nanonuclei.serving.limits import REQUEST_LIMITS
from nanonuclei.serving.model import TASK, signature
from nanonuclei.tasks import create_reader, create_task, task_package
from nanonuclei.tracking.database import FAILING, not_answering, shown_uri
from nanonuclei.tracking.early.runs import no_model

if TYPE_CHECKING:
    import keras

    from nanonuclei.tasks.base import Reader, Task

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

MODEL_FILES = "model"
"""Folder of the files of its model, below the working folder of a run; what lies in it is logged with the model."""

DESCRIPTION = "MLmodel"
"""What MLflow calls the file that describes a stored model."""

ARTIFACTS = {NETWORK: "network", ONNX: "onnx", CONFIG: "config"}
"""Name by which the served model asks for each; files of a task keep their own."""


def log_model(model: keras.Model | Path, config: ExperimentConfig, *, folder: Path) -> str:
    """Logs a trained network to the active run as a model that loads anywhere.

    It is served as ONNX, checked against Keras, with the files that its task needs. The `.keras` file travels
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

    signature(config)  # before the slow work: it tells what is still to be chosen
    task, files = create_task(config), folder / MODEL_FILES
    files.mkdir(parents=True, exist_ok=True)
    if isinstance(model, Path):
        shutil.copyfile(model, files / NETWORK)
        model = load_network(model)
    else:
        save_network(model, files / NETWORK)
    difference = _export(model, task, files)
    (files / CONFIG).write_text(to_yaml(config), encoding="utf-8")
    uri = log_files(files, config)
    mlflow.set_tag("model.onnx_difference", f"{difference:.1e}")
    return uri


def log_files(files: Path, config: ExperimentConfig) -> str:
    """Logs the files of a model to the active run as a model that loads anywhere; imports no Keras.

    Args:
        files: Folder with `ONNX`, `CONFIG`, what the model's task needs, and more files if there are any.
        config: The experiment in `CONFIG`.

    Returns:
        The model's URI; also the run's tag ``model.uri``.

    Raises:
        ConfigError: A threshold that a request may change is still to be chosen.
    """
    with loggers_quiet("mlflow.pyfunc", "nanonuclei.serving.model"):  # MLflow asks the model about its example
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).parents[1] / "served_model.py"),
            artifacts={
                ARTIFACTS.get(path.name, path.name): str(path) for path in sorted(files.iterdir()) if path.is_file()
            },
            code_paths=_task_code(config.task),
            signature=signature(config),
            input_example=pd.DataFrame(
                {"image": [base64.b64encode(example_png(create_reader(config))).decode("ascii")]}
            ),
            model_config={**REQUEST_LIMITS, TASK: f"{config.task}={task_package(config.task)}"},
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
        )
    _forget_places(info.model_id)
    mlflow.set_tag("model.uri", info.model_uri)
    return str(info.model_uri)


def _forget_places(model_id: str) -> None:
    """Takes the paths of this machine out of a logged model's description: MLflow stores them, and needs none."""
    client = mlflow.MlflowClient()
    with tempfile.TemporaryDirectory() as name:
        place = client.get_logged_model(model_id).artifact_location
        content = yaml.safe_load(mlflow.artifacts.load_text(f"{place}/{DESCRIPTION}"))
        served = content["flavors"]["python_function"]
        content["artifact_path"] = "model"
        served["model_code_path"] = Path(served["model_code_path"]).name
        for artifact in served["artifacts"].values():
            artifact["uri"] = artifact["path"]
        changed = Path(name) / DESCRIPTION
        changed.write_text(yaml.safe_dump(content), encoding="utf-8")
        client.log_model_artifact(model_id, str(changed))


def _export(model: keras.Model, task: Task, files: Path) -> float:
    """Writes what is served; returns the largest difference to Keras."""
    from nanonuclei.engine.export import export_onnx

    for name, text in task.network_files().items():
        (files / name).write_text(text, encoding="utf-8")
    return export_onnx(model, files / ONNX, shapes=task.export_shapes)


def _task_code(task: str) -> list[str]:
    """Returns the folders with the code of a model: this package, and that of a task of another package."""
    own = Path(__file__).parents[1]
    top = task_package(task).partition(".")[0]
    if top == own.name:
        return [str(own)]
    found = importlib.import_module(top).__file__
    if found is None:
        raise TrackingError(f"the package {top} of task {task} must be a folder with an __init__.py. Add one")
    path = Path(found)
    return [str(own), str(path.parent if path.name == "__init__.py" else path)]


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
        raise no_model(run.info.run_id, run.data.tags)
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
    from nanonuclei.engine.export import load_network

    uri = model_uri(run)
    path = files_at(uri) / CONFIG
    if not path.is_file():
        raise TrackingError(f"{uri} was not logged by this platform: it has no {CONFIG}. Name another model")
    if not path.with_name(NETWORK).is_file():
        raise TrackingError(
            f"model {uri} must hold {NETWORK} for this, but holds the form that predicts alone, as a shipped model "
            "does. Name the run of its training"
        )
    config = load_experiment(stored_task(path), path=path, settings=settings, missing_from=missing_from)
    return config, load_network(path.with_name(NETWORK))


def load_served(uri: str, *, missing_from: Path | None = None) -> tuple[ExperimentConfig, Network]:
    """Loads config and network of a logged model as they are served, without Keras; see `Reader.score_maps`.

    Args:
        uri: Such as ``models:/m-...`` or ``models:/nuclei@champion``.
        missing_from: A `params.yaml` for settings that are younger than the model.

    Raises:
        TrackingError: There is no such model, or it has no ONNX file: it was logged before models were served from one.
    """
    return load_folder(files_at(uri), name=uri, missing_from=missing_from)


def files_at(uri: str) -> Path:
    """Returns the folder with the files of a logged or registered model.

    Raises:
        TrackingError: There is no such model.
    """
    try:
        files = model_files(uri)
    except (MlflowException, OSError) as error:
        if getattr(error, "error_code", "") in FAILING:
            raise not_answering(error) from error
        raise TrackingError(f"no model {uri!r} at {shown_uri()}. Check its name and version") from error
    except Exception as error:  # every kind of store has errors of its own
        if not is_url(uri):
            raise
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise TrackingError(
            f"{uri}: cannot be read: {why}. Check it, or download the model and name its folder"
        ) from error
    return files


def example_png(reader: Reader) -> bytes:
    """Returns the task's example as PNG."""
    return bytes(cv2.imencode(".png", reader.example())[1].tobytes())
