"""The folder of a model's files, loaded to predict: ONNX Runtime and settings, without Keras, TensorFlow and MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import Scalar, load_experiment, read_yaml
from nanonuclei.engine.runtime import load_onnx
from nanonuclei.errors import ConfigError, TrackingError
from nanonuclei.imaging.networks import Network
from nanonuclei.invocation import command
from nanonuclei.tasks import create_reader

NETWORK, ONNX, CONFIG = "network.keras", "network.onnx", "config.yaml"
"""Files of a model: as Keras has it, as it is served, and its settings. A task may add others."""


def load_folder(
    folder: Path,
    *,
    name: str,
    settings: Mapping[str, Scalar] | None = None,
    missing_from: Path | None = None,
    threads: int = 0,
) -> tuple[ExperimentConfig, Network]:
    """Loads config and network of a model's folder; `Reader.score_maps` tells what the network is.

    Args:
        folder: With the network in ONNX form, the config, and what else the model's task needs.
        name: What errors call the model.
        settings: Changes of its config.
        missing_from: A `params.yaml` for settings that are younger than the model.
        threads: Of one call of the network; 0: as many as there are cores.

    Raises:
        ConfigError: A setting is not valid.
        TrackingError: The folder is not that of a model, or holds no network in ONNX form.
    """
    if not (folder / ONNX).is_file():
        raise TrackingError(
            f"model {name} must hold {ONNX}, but it was logged by an earlier version, which served Keras. Log it again "
            f"with `dvc repro` or `{command('train')}`"
        )
    if not (folder / CONFIG).is_file():
        raise TrackingError(f"{name} was not logged by this platform: it has no {CONFIG}. Name another model")
    path = folder / CONFIG
    config = load_experiment(stored_task(path), path=path, settings=settings, missing_from=missing_from, stored=True)
    reader = create_reader(config)
    network = load_onnx(folder / ONNX, threads=threads, large=reader.large_inputs)
    return config, reader.with_files(network, {file.name: file for file in folder.iterdir() if file.is_file()})


def stored_config(path: Path) -> ExperimentConfig:
    """Reads the experiment that is stored with a model.

    Raises:
        ConfigError: The file is missing or not valid.
    """
    return load_experiment(stored_task(path), path=path, stored=True)


def stored_task(path: Path) -> str:
    """Returns the task of an experiment that is stored with a model: the one section of the file.

    Raises:
        ConfigError: The file holds no such section.
    """
    tree = read_yaml(path)
    if not isinstance(tree, dict) or len(tree) != 1:
        raise ConfigError(
            f"{path} must hold one section, that of its task, got {list(tree or ())}. Log the model again"
        )
    return str(next(iter(tree)))
