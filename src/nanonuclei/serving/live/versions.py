"""One version of a registered model, loaded to answer requests as `mlflow models serve` answers them."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel, scoring_server
from mlflow.pyfunc.scoring_server import InvocationsResponse

from nanonuclei.errors import NanonucleiError, TrackingError
from nanonuclei.serving.guard import guarded
from nanonuclei.serving.live.drift import Drift
from nanonuclei.serving.live.likeness import read_likeness
from nanonuclei.serving.model import RETURN, ObjectModel
from nanonuclei.tasks import create_reader
from nanonuclei.tracking.runs import first_line

App = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]
"""An ASGI application."""

EXAMPLE = "serving_input_example.json"
"""The example of a request that MLflow stores with a model."""

_behind = scoring_server.invocations
_DOOR = "nanonuclei_door"
"""Attribute of a loaded model: the function that its requests pass."""


@dataclass(frozen=True)
class Served:
    """A version that is ready to answer.

    Attributes:
        name: Of the registered model.
        number: Of the version.
        app: MLflow's scoring server for it, an ASGI application.
        drift: Compares what it is sent with its training images.
    """

    name: str
    number: str
    app: App
    drift: Drift

    @property
    def key(self) -> tuple[str, str]:
        """Name and number: the labels of its metrics."""
        return self.name, self.number


def load_version(name: str, number: str) -> Served:
    """Loads a version of a registered model and has it answer its own example.

    The code that answers is that of this installation, with the settings and the network of the version.

    Args:
        name: Of the registered model.
        number: Of the version.

    Raises:
        TrackingError: Its files cannot be had, it does not load, or does not answer its example.
    """
    folder = Path(tempfile.mkdtemp(prefix="nanonuclei-serve-"))
    uri = f"models:/{name}/{number}"
    paths = list(sys.path)
    try:
        path = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
        model = mlflow.pyfunc.load_model(str(path))
        own = model.unwrap_python_model()
        if not isinstance(own, ObjectModel):
            raise TrackingError("it was not stored by this platform")
        setattr(model, _DOOR, _door(own))
        _check_example(model, path / EXAMPLE)
        return Served(name, number, _app(model), Drift(read_likeness(path / "artifacts")))
    except NanonucleiError as error:
        raise TrackingError(f"version {number} of {name} cannot serve: {first_line(error)}") from error
    except Exception as error:  # whatever a stored model may raise while it loads
        raise TrackingError(
            f"version {number} of {name} cannot serve: {type(error).__name__}: {first_line(error)}"
        ) from error
    finally:
        sys.path[:] = paths  # MLflow puts the folder of the model's code in front
        shutil.rmtree(folder, ignore_errors=True)


def _door(own: ObjectModel) -> Callable[..., InvocationsResponse]:
    parameters = (*create_reader(own.config).parameters, RETURN)
    return guarded(_behind, max_bytes=own.limits["max_bytes"], parameters=parameters)


def _app(model: PyFuncModel) -> App:
    """Returns MLflow's own server of a model, whose requests pass the door of that model."""
    scoring_server.invocations = _through_its_door
    app: App = scoring_server.init(model)
    return app


def _through_its_door(
    data: Any, content_type: str | None, model: PyFuncModel, input_schema: Any
) -> InvocationsResponse:
    answer: InvocationsResponse = getattr(model, _DOOR)(data, content_type, model, input_schema)
    return answer


def _check_example(model: PyFuncModel, example: Path) -> None:
    if not example.is_file():
        raise TrackingError("it holds no example of a request")
    try:
        schema = model.metadata.get_input_schema()
        answer = _through_its_door(example.read_bytes(), scoring_server.CONTENT_TYPE_JSON, model, schema)
    except MlflowException as error:
        raise TrackingError(f"it does not answer its own example: {error.message}") from error
    if answer.status != 200:
        raise TrackingError(f"it answers its own example with status {answer.status}")
