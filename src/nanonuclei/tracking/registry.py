"""Versions of a registered model: registered once per run, one champion, moved by one promotion at a time."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import mlflow
from filelock import FileLock, Timeout
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from nanonuclei.errors import TrackingError
from nanonuclei.tracking.database import not_answering
from nanonuclei.tracking.early.registered import PREVIOUS, first_champion
from nanonuclei.tracking.new_database import answering, make_database
from nanonuclei.tracking.runs import UNKNOWN, first_line

CHAMPION, CHALLENGER = "champion", "challenger"
SOURCE = "model.uri"
"""Tag of a version: the logged model that it is."""
DESCRIPTION = 5000
"""Characters that MLflow's database keeps of a version's description."""
TAG = 5000
"""Characters that MLflow's database keeps of a version's tag."""
PATIENCE_SECONDS = 60.0


def register_once(name: str, uri: str, *, run_id: str) -> ModelVersion:
    """Registers the model of a run, or returns the version that this run already has.

    Args:
        name: Of the registered model.
        uri: Of the logged model, ``models:/m-...``.
        run_id: The run that logged it.

    Raises:
        TrackingError: The tracking server refuses.
    """
    client = MlflowClient()
    with exclusive(name), answering():
        try:
            for version in client.search_model_versions(f"name = '{name}'"):
                if version.tags.get(SOURCE) == uri or version.run_id == run_id:
                    return version
            with contextlib.suppress(MlflowException):  # it is there already
                client.create_registered_model(name)
            return client.create_model_version(name, source=uri, run_id=run_id, tags={SOURCE: uri}, model_id=_id(uri))
        except MlflowException as error:
            raise TrackingError(f"cannot register {uri} as {name!r}: {first_line(error)}") from error


def at_alias(name: str, alias: str) -> ModelVersion | None:
    """Returns the version that an alias stands for; None where there is no such model or alias.

    Raises:
        TrackingError: The tracking server does not answer, so that nothing is known of the alias.
    """
    make_database()
    try:
        with answering():
            return MlflowClient().get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            return None
        raise not_answering(error) from error


def set_challenger(version: ModelVersion) -> None:
    """Lets the alias `challenger` stand for a version."""
    MlflowClient().set_registered_model_alias(version.name, CHALLENGER, version.version)


def move_champion(version: ModelVersion, *, expected: str) -> None:
    """Makes a version the champion, if the champion is still the one that it was compared with.

    Args:
        version: The new champion.
        expected: Version number of the old one; empty where there was none.

    Raises:
        TrackingError: Another promotion was faster, of another model or of the same one.
    """
    client = MlflowClient()
    with exclusive(version.name):
        found = _number(at_alias(version.name, CHAMPION))
        if found == str(version.version):
            raise TrackingError(
                f"version {found} of {version.name} is champion already: another promotion of the same model was "
                "faster. Nothing is left to do"
            )
        if found != expected:
            raise TrackingError(
                f"version {version.version} of {version.name} was compared with {_called(expected)}, but meanwhile the "
                f"champion is {_called(found)}: another promotion was faster. Promote again"
            )
        client.set_model_version_tag(version.name, version.version, PREVIOUS, expected)
        client.set_registered_model_alias(version.name, CHAMPION, version.version)


def roll_back(name: str) -> tuple[str, str]:
    """Gives the alias `champion` back to the version that had it before.

    Returns:
        Version numbers of the champion that was and the one that is.

    Raises:
        TrackingError: There is no champion, or none before it.
    """
    client = MlflowClient()
    with exclusive(name):
        champion = at_alias(name, CHAMPION)
        if champion is None:
            raise TrackingError(f"{name} has no champion that could be rolled back. Promote a run first")
        previous = champion.tags.get(PREVIOUS, "")
        if not previous:
            raise first_champion(name, str(champion.version))
        client.set_registered_model_alias(name, CHAMPION, previous)
        client.set_model_version_tag(name, champion.version, "rolled_back", time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    return str(champion.version), str(previous)


def describe_version(version: ModelVersion, *, description: str, tags: Mapping[str, str]) -> None:
    """Writes a version's description and tags, each cut to what MLflow keeps."""
    client = MlflowClient()
    client.update_model_version(version.name, version.version, description[:DESCRIPTION])
    for key, value in tags.items():
        client.set_model_version_tag(version.name, version.version, key, value[:TAG])


@contextlib.contextmanager
def exclusive(name: str, *, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Keeps other processes of this machine from changing a registered model of this tracking server.

    Raises:
        TrackingError: Another process holds it for longer than `patience` seconds.
    """
    key = hashlib.sha256(f"{mlflow.get_tracking_uri()} {name}".encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"nanonuclei-registry-{key}.lock"
    lock = FileLock(path, timeout=patience, mode=0o666)  # other users of this machine promote too
    try:
        lock.acquire()
    except Timeout as error:
        raise TrackingError(
            f"{name} is being changed by another process for more than {patience:g} s. End that process, "
            f"and promote again"
        ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # whoever waits for this file sees that it is gone, and makes another
            path.unlink()
        lock.release()


def _id(uri: str) -> str | None:
    name = uri.removeprefix("models:/")
    return name if name.startswith("m-") else None


def _number(version: ModelVersion | None) -> str:
    return "" if version is None else str(version.version)


def _called(number: str) -> str:
    return f"version {number}" if number else "none"
