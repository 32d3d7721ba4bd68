"""One version of a registered model, loaded to answer requests as `mlflow models serve` answers them."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel, scoring_server
from mlflow.pyfunc.scoring_server import InvocationsResponse
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from nanonuclei.data.fingerprint.stored import read_fingerprint
from nanonuclei.errors import NanonucleiError, TrackingError
from nanonuclei.serving.guard import _GUARDED as GUARDED
from nanonuclei.serving.live.drift import Drift
from nanonuclei.serving.model import SERVER, ObjectModel
from nanonuclei.serving.origin import trained_on
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

ARTIFACTS, CODE = "artifacts", "code"
"""Folders of a stored model in which MLflow keeps its files and its code."""

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
        origin: What it was trained on, in words.
    """

    name: str
    number: str
    app: App
    drift: Drift
    origin: str = ""

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
        path = _downloaded(uri, folder)
        model = _with_door(path)
        _check_example(model, path / EXAMPLE)
        app: App = scoring_server.init(model)
        fingerprint = read_fingerprint(path / ARTIFACTS)
        drift = Drift(None if fingerprint is None else fingerprint.likeness)
        return Served(name, number, app, drift, " ".join(trained_on(model.unwrap_python_model().config)))
    except NanonucleiError as error:
        raise TrackingError(f"version {number} of {name} cannot serve: {first_line(error)}") from error
    except Exception as error:  # whatever a stored model may raise while it loads
        raise TrackingError(
            f"version {number} of {name} cannot serve: {type(error).__name__}: {first_line(error)}"
        ) from error
    finally:
        sys.path[:] = paths  # MLflow puts the folder of the model's code in front
        shutil.rmtree(folder, ignore_errors=True)


def _downloaded(uri: str, folder: Path) -> Path:
    """Downloads a version without its copy of this package, which is not run here.

    The copy is nearly all of a model's files, and a tracking server takes seconds to hand them out one by one.
    """
    store, own = get_artifact_repository(uri), f"{CODE}/{__name__.partition('.')[0]}"
    top = store.list_artifacts(None)
    code = store.list_artifacts(CODE) if any(entry.path == CODE for entry in top) else []
    wanted = [entry.path for entry in (*top, *code) if entry.path not in (CODE, own)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda path: store.download_artifacts(path, str(folder)), wanted))
    return folder


def _with_door(path: Path) -> PyFuncModel:
    """Loads a model as a server's and keeps the door with it that it puts in front of MLflow's server.

    A server has one function for all models; so ours leads to the door of the model that is asked. Requests that are
    under way meanwhile may pass the new door, to the model that they were meant for.
    """
    scoring_server.invocations = _through_its_door
    os.environ[SERVER] = str(path)
    try:
        model = mlflow.pyfunc.load_model(str(path))
    finally:
        del os.environ[SERVER]
        door, scoring_server.invocations = scoring_server.invocations, _through_its_door
    if not isinstance(model.unwrap_python_model(), ObjectModel):
        raise TrackingError("it was not stored by this platform")
    setattr(model, _DOOR, door)
    return model


def _through_its_door(
    data: Any, content_type: str | None, model: PyFuncModel, input_schema: Any
) -> InvocationsResponse:
    answer: InvocationsResponse = getattr(model, _DOOR)(data, content_type, model, input_schema)
    return answer


setattr(_through_its_door, GUARDED, _behind)  # a door is put in front of MLflow's own function, not of another door


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
