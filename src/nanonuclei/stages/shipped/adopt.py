"""Adopt: weights that were trained elsewhere, as on a lent GPU without MLflow, become a run as `train` makes one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import load_experiment, parse_settings, to_yaml
from nanonuclei.errors import DataError
from nanonuclei.serving.folder import CONFIG, stored_task
from nanonuclei.stages.places import PARAMS, run_folder
from nanonuclei.stages.prepare import prepared_dataset
from nanonuclei.stages.settings import USED, check_changeable
from nanonuclei.stages.train import conclude, log_inputs
from nanonuclei.tasks import create_task
from nanonuclei.tracking.runs import identity_tags, stage_run

if TYPE_CHECKING:
    import keras

WEIGHTS, HISTORY = "weights-*.npz", "history.json"
"""Files of a training elsewhere: the arrays of `model.get_weights()` by their places, in parts; and how it went."""

ELSEWHERE = "trained.elsewhere"
"""Tag of a run that did not train itself: the folder's files came from another machine."""


def adopt(folder: Path, *, settings: Sequence[str] = (), say: Callable[[str], None] = print) -> str:
    """Makes a run of a training that took place elsewhere, such as with `benchmarks/train_here.py`.

    The run holds what a run of `train` holds: settings, data, the metrics of every epoch, thresholds chosen on the
    validation images, the score on the test images, and the model; its tags say on which hardware it was trained.

    Args:
        folder: With the parts of the weights, ``config.yaml`` and ``history.json``.
        settings: Texts ``path=value`` that change how objects are read and scored, not how the network was made.
        say: Told what the user should read.

    Returns:
        The run's id.

    Raises:
        ConfigError: A setting is not one of those.
        DataError: A file is missing, the weights are not of the network of the config, or the images are not here.
    """
    changed, history = parse_settings(settings), _history(folder)
    path = folder / CONFIG
    config = load_experiment(stored_task(path), path=path, settings=changed, missing_from=PARAMS)
    check_changeable(config, changed, roles=USED, stage="adopt")
    model = network_with_weights(config, folder)
    tags = {**identity_tags(config), ELSEWHERE: "true"}
    name = f"adopt {config.task} {config.data.dataset} seed {config.seed}"
    catalog, source = prepared_dataset(config, say=say)
    with stage_run("train", name=name, tags=tags) as run_id:
        work = run_folder(run_id)
        work.mkdir(parents=True, exist_ok=True)
        (work / CONFIG).write_text(to_yaml(config), encoding="utf-8")
        say(f"Run {run_id}")
        log_inputs(config, catalog, source, folder=work)
        _log_training(history)
        table = conclude(config, model, catalog, folder=work, say=say)
        mlflow.set_tag("finished", "true")
    say(f"\n{table}\n\nRun {run_id} holds the network of {folder}.")
    return run_id


def network_with_weights(config: ExperimentConfig, folder: Path) -> keras.Model:
    """Returns the network of a config with the weights of a folder.

    Raises:
        DataError: There are none, or they are of another network.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for part in sorted(folder.glob(WEIGHTS)):
        with np.load(part) as stored:
            arrays |= dict(stored.items())
    model = create_task(config).build_network()
    found, wanted = [arrays[place].shape for place in sorted(arrays)], [array.shape for array in model.get_weights()]
    if found != wanted:
        raise DataError(
            f"{folder} must hold the {len(wanted)} arrays of the network of its {CONFIG}, but {WEIGHTS} hold "
            f"{len(found)}{' of other shapes' if len(found) == len(wanted) else ''}. Fetch all parts, or train again"
        )
    model.set_weights([arrays[place] for place in sorted(arrays)])
    return model


def _history(folder: Path) -> Mapping[str, Any]:
    """Returns ``seconds``, ``hardware`` and ``history`` of the training."""
    path = folder / HISTORY
    try:
        history: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = history["seconds"], history["hardware"].items(), history["history"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} must tell seconds, hardware and history of the training, but cannot be read so "
            f"({type(error).__name__}). Name a folder that benchmarks/train_here.py wrote"
        ) from error
    return history


def _log_training(history: Mapping[str, Any]) -> None:
    """Logs the metrics of every epoch, the hardware and the time to the active run."""
    mlflow.set_tags({f"hardware.{name}": str(value) for name, value in history["hardware"].items()})
    epochs = history["history"]
    for name, values in epochs.items():
        for epoch, value in enumerate(values, start=1):
            if math.isfinite(value):
                mlflow.log_metric(name, value, step=epoch)
    mlflow.log_metric("train_seconds", history["seconds"])
    mlflow.log_dict(dict(history), HISTORY)
