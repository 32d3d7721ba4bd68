"""The model as MLflow stores and loads it: images in, one row per object out, loadable without this repository."""

from __future__ import annotations

import base64
import binascii
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext
from mlflow.types import ColSpec, Schema

from nanonuclei.config.experiment import EXPERIMENTS, ExperimentConfig
from nanonuclei.config.params import Scalar, load_experiment, to_yaml
from nanonuclei.errors import TrackingError
from nanonuclei.imaging.instances import to_run_lengths
from nanonuclei.imaging.types import Image

if TYPE_CHECKING:
    import keras

REQUIREMENTS = (
    "keras",
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pydantic",
    "pyyaml",
    "scikit-image",
    "scipy",
    "tensorflow",
)
"""What the loaded model imports; pinned to the installed versions when it is logged."""

NETWORK, CONFIG = "network.keras", "config.yaml"

SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("binary", "image")]),
    outputs=Schema(
        [
            ColSpec("long", "image"),
            ColSpec("long", "object"),
            *(ColSpec("long", name) for name in ("y0", "x0", "y1", "x1", "area")),
            ColSpec("double", "score"),
            ColSpec("string", "run_lengths"),
        ]
    ),
)


class ObjectModel(PythonModel):  # type: ignore[misc]
    """Finds the objects of images.

    Input: a table with the column ``image`` of PNG, JPEG or TIFF files as bytes or base64 text. Output: one row per
    object: ``image`` (row of the input), ``object`` from 1, its box ``y0, x0, y1, x1`` and ``area`` in px, ``score``
    in 0..1, and ``run_lengths`` (1-based ``start length`` pairs down the columns, as the competition wrote them).
    """

    # The signature is given by hand; without this MLflow warns at each import that type hints are missing.
    _skip_type_hint_validation = True

    def load_context(self, context: PythonModelContext) -> None:
        """Loads network and settings from the stored files."""
        from nanonuclei.engine.export import load_network
        from nanonuclei.tasks import create_task

        path = Path(context.artifacts["config"])
        self.task = create_task(load_experiment(_task_name(path), path=path))
        self.network = load_network(Path(context.artifacts["network"]))

    def predict(self, context: PythonModelContext, model_input, params=None):  # type: ignore[no-untyped-def]
        """Returns one row per object; untyped, as a type hint would become the served signature."""
        from nanonuclei.engine.predict import predict_instances

        rows: list[dict[str, Any]] = []
        for number, data in enumerate(model_input["image"]):
            found = predict_instances(self.task, self.network, decode_image(data, number=number))
            areas = np.bincount(found.labels.ravel(), minlength=len(found) + 1)[1:]
            boxes = found.boxes.tolist()
            for place, (box, area, text) in enumerate(zip(boxes, areas, to_run_lengths(found), strict=True)):
                y0, x0, y1, x1 = box
                row = {"image": number, "object": place + 1, "y0": y0, "x0": x0, "y1": y1, "x1": x1}
                rows.append({**row, "area": int(area), "score": float(found.scores[place]), "run_lengths": text})
        return pd.DataFrame(rows, columns=SIGNATURE.outputs.input_names())


def decode_image(data: object, *, number: int) -> Image:
    """Decodes an image file.

    Args:
        data: Bytes, or base64 text.
        number: Row of the request, for the message.

    Returns:
        ``(height, width)`` or ``(height, width, 3)`` RGB, uint8 or uint16.

    Raises:
        MlflowException: It is no image; the server answers 400.
    """
    if isinstance(data, str):
        try:
            data = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise _refused(number, "text must be base64") from error
    if not isinstance(data, bytes) or not data:
        raise _refused(number, f"bytes or base64 text expected, got {type(data).__name__}")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise _refused(number, "not a PNG, JPEG or TIFF of 8 or 16 bit")
    return image if image.ndim == 2 else cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2RGB)


def log_model(model: keras.Model | Path, config: ExperimentConfig, *, folder: Path) -> str:
    """Logs a trained network to the active run as a model that loads anywhere.

    Args:
        model: The network, not compiled, or the file that holds it, which is taken byte for byte.
        config: Its experiment.
        folder: Working folder of the run.

    Returns:
        The model's URI; also the run's tag ``model.uri``.
    """
    from nanonuclei.engine.export import save_network

    files = folder / "model"
    files.mkdir(parents=True, exist_ok=True)
    if isinstance(model, Path):
        shutil.copyfile(model, files / NETWORK)
    else:
        save_network(model, files / NETWORK)
    (files / CONFIG).write_text(to_yaml(config), encoding="utf-8")
    package = Path(__file__).parent
    for cache in package.rglob("__pycache__"):
        shutil.rmtree(cache, ignore_errors=True)
    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(package / "served_model.py"),
        artifacts={"network": str(files / NETWORK), "config": str(files / CONFIG)},
        code_paths=[str(package)],
        signature=SIGNATURE,
        input_example=pd.DataFrame({"image": [_example()]}),
        pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
    )
    mlflow.set_tag("model.uri", info.model_uri)
    return str(info.model_uri)


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
    uri = run.data.tags.get("model.uri")
    if uri is None:
        raise TrackingError(
            f"run {run.info.run_id} holds no model: its training did not end, or it is no training. "
            "Resume it with `mlflow run . -e train -P resume=RUN_ID`"
        )
    return load_stored(uri, settings=settings, missing_from=missing_from)


def load_stored(
    uri: str, *, settings: Mapping[str, Scalar] | None = None, missing_from: Path | None = None
) -> tuple[ExperimentConfig, keras.Model]:
    """Loads config and network of a logged or registered model.

    Args:
        uri: Such as ``models:/m-...`` or ``models:/nuclei@champion``.
        settings: Changes of its config.
        missing_from: A `params.yaml` for settings that are younger than the model.

    Raises:
        TrackingError: There is no such model, or it is none of this platform.
    """
    from nanonuclei.engine.export import load_network

    try:
        files = Path(mlflow.artifacts.download_artifacts(uri)) / "artifacts"
    except (MlflowException, OSError) as error:
        raise TrackingError(f"no model {uri!r} at {mlflow.get_tracking_uri()}. Check its name and version") from error
    path = files / CONFIG
    if not path.is_file():
        raise TrackingError(f"{uri} was not logged by this platform: it has no {CONFIG}. Name another model")
    config = load_experiment(_task_name(path), path=path, settings=settings, missing_from=missing_from)
    return config, load_network(files / NETWORK)


def _task_name(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return next(task for task in EXPERIMENTS if text.startswith(f"{task}:"))


def _example() -> bytes:
    """Returns a PNG of three soft discs."""
    y, x = np.mgrid[:64, :64]
    spots = sum(np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 60.0) for cy, cx in ((16, 20), (40, 44), (46, 14)))
    return cv2.imencode(".png", (20 + 180 * np.clip(spots, 0, 1)).astype(np.uint8))[1].tobytes()


def _refused(number: int, reason: str) -> MlflowException:
    return MlflowException(f"image {number} cannot be read: {reason}", error_code=INVALID_PARAMETER_VALUE)
