"""One way to name a model, for all commands: a model that comes along, a run's id, a model's URI, or a folder."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import Scalar
from nanonuclei.data.fingerprint.look import Looks
from nanonuclei.data.fingerprint.stored import read_fingerprint
from nanonuclei.errors import TrackingError, check_local, nearest_name
from nanonuclei.imaging.networks import Network
from nanonuclei.serving.folder import CONFIG, ONNX, load_folder
from nanonuclei.serving.origin import trained_on
from nanonuclei.serving.shipped.places import shipped_folder, shipped_names
from nanonuclei.serving.shipped.provenance import PROVENANCE, Provenance, check_predicting_files, read_provenance
from nanonuclei.tracking.database import RUN_ID, SHORT_RUN_ID
from nanonuclei.tracking.early.registered import check_registered


@dataclass(frozen=True)
class NamedModel:
    """A model that was found by its name.

    Attributes:
        name: As it was asked for.
        folder: With its network, settings and other files.
        provenance: Of a model that comes along; its predicting files are as they were shipped.
    """

    name: str
    folder: Path
    provenance: Provenance | None = None

    def looks(self) -> Looks | None:
        """Returns what its training images look like; None where it does not tell.

        Raises:
            DataError: The file that tells it is not valid.
        """
        fingerprint = read_fingerprint(self.folder)
        return fingerprint.looks if fingerprint is not None and fingerprint.looks.rows else None


@dataclass(frozen=True)
class OpenedModel:
    """A model that is ready to predict.

    Attributes:
        named: Where it was found.
        config: Its experiment.
        network: On ONNX Runtime; see `Reader.score_maps`.
        cores: That it uses.
        load: Loads the network once more, for calls that use the given number of threads each.
    """

    named: NamedModel
    config: ExperimentConfig
    network: Network
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)
    load: Callable[[int], Network] | None = None

    def trained_on(self) -> list[str]:
        """Returns lines that tell what the model was trained on, with a warning where no microscope took the images."""
        first, *warnings = trained_on(self.config)
        return [f"Model {self.named.name}: {first}", *warnings]


def open_model(
    reference: str, *, settings: Mapping[str, Scalar] | None = None, missing_from: Path | None = None
) -> OpenedModel:
    """Loads a model to predict, on ONNX Runtime: no Keras, and no MLflow where the model comes along or is a folder.

    Args:
        reference: See `find_model`.
        settings: Changes of its config.
        missing_from: A `params.yaml` for settings that are younger than the model.

    Raises:
        ConfigError: A setting is not valid.
        DataError: A model that comes along was changed, lacks a file, or is of a newer format.
        TrackingError: There is no such model.
    """
    named = find_model(reference)
    load = functools.partial(load_folder, named.folder, name=reference, settings=settings, missing_from=missing_from)
    config, network = load()
    return OpenedModel(named, config, network, load=lambda threads: load(threads=threads)[1])


def find_model(reference: str) -> NamedModel:
    """Returns where a model's files lie.

    Args:
        reference: ``nuclei`` or another name of a model that comes along; the id of a run that logged a model, or the
            unique beginning of that id; a URI
            such as ``models:/nuclei@champion``; or a folder, written with a ``/``, that holds a model's files, alone or
            as MLflow stores them.

    Raises:
        DataError: A model that comes along was changed, lacks a file, or is of a newer format.
        TrackingError: There is no such model.
    """
    if is_uri(reference):
        from nanonuclei.serving.store import files_at

        return NamedModel(reference, files_at(reference))
    if is_run(reference):
        from nanonuclei.serving.store import files_at, model_uri
        from nanonuclei.tracking.runs import existing_run

        return NamedModel(reference, files_at(model_uri(existing_run(reference))))
    folder = shipped_folder(reference)
    if folder is not None:
        return _shipped(reference, folder)
    path = Path(reference)
    if path.is_dir():
        if (path / PROVENANCE).is_file():
            return _shipped(reference, path)
        inner = path / "artifacts"
        return NamedModel(reference, inner if (inner / ONNX).is_file() else path)
    raise _no_model(reference)


def check_name(reference: str) -> None:
    """Makes sure that a folder or a model exists that comes along or is registered; a run is left to MLflow.

    Raises:
        DataError: It is an address of the web.
        TrackingError: It does not, the folder holds no model, or there is no database that could hold the model of a
            URI.
    """
    if not reference.removeprefix("models:").strip("/"):
        raise _no_model(reference)
    if reference.startswith("models:/"):
        check_registered(reference)
        return
    if reference.startswith(("http://", "https://")):
        check_local("model", reference)
    if is_uri(reference) or is_run(reference) or shipped_folder(reference):
        return
    if not (path := Path(reference)).is_dir():
        raise _no_model(reference)
    if not any((place / name).exists() for place in (path, path / "artifacts") for name in (CONFIG, ONNX, PROVENANCE)):
        raise TrackingError(f"{reference} is a folder without a model: {CONFIG} and {ONNX} are not in it. {FORMS}")


def _no_model(reference: str) -> TrackingError:
    return TrackingError(f"no model {reference!r}. {nearest_name(reference, shipped_names())} {FORMS}")


FORMS = (
    "A run's id has 32 hex digits, or the first 4 or more of them, a URI reads models:/NAME@ALIAS, a folder must be "
    "that of a model"
)
"""How else a model can be named."""


def is_uri(reference: str) -> bool:
    """Tells whether a reference is one of MLflow's URIs, such as ``models:/nuclei/1``."""
    return ":/" in reference


def is_run(reference: str) -> bool:
    """Tells whether a reference is a run's id, or the beginning of one that names neither a model nor a folder."""
    if RUN_ID.fullmatch(reference):
        return True
    other = shipped_folder(reference) is not None or Path(reference).exists()
    return SHORT_RUN_ID.fullmatch(reference) is not None and not other


def names_model(weights: str) -> bool:
    """Tells whether weights that a training shall begin with are a model.

    Such as a URI, a run, one that comes along, or a folder with a model's files.
    """
    path = Path(weights)
    folder = path.is_dir() and any((place / CONFIG).is_file() for place in (path, path / "artifacts"))
    return is_uri(weights) or is_run(weights) or folder or shipped_folder(weights) is not None


def _shipped(reference: str, folder: Path) -> NamedModel:
    provenance = read_provenance(folder)
    check_predicting_files(folder, provenance)
    return NamedModel(reference, folder, provenance)
