"""What can be known of the settings of a training, or of a model that is to be used, before anything slow begins."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanonuclei.commands.checks import check_model, known_task, run_named
from nanonuclei.errors import ConfigError, DataError, NanonucleiError, similar_name
from nanonuclei.tracking.early.runs import settings_of as logged_settings

if TYPE_CHECKING:
    from nanonuclei.config.experiment import ExperimentConfig
    from nanonuclei.config.params import Scalar
    from nanonuclei.config.section import Role

PATIENCE = 20.0
"""Seconds that the server of weights may take to answer."""
KERAS_ELSEWHERE = "/tmp/.keras/models"
"""Where Keras keeps weights while it may not write to its folder."""
WEIGHTS_BEGIN = (b"\x89HDF\r\n\x1a\n", b"PK")
"""First bytes of HDF5 files, and of the zip that a `.keras` file is."""
OTHER_GPUS = ("/dev/kfd", "/dev/dxg")
"""Files of devices by which Linux reaches GPUs that are not NVIDIA's own driver's."""


def check_trainable(
    config: ExperimentConfig,
    *,
    kinds: Sequence[object] = (),
    words_tried: Sequence[object] = (),
    models: bool = True,
) -> None:
    """Makes sure that weights, devices and kinds of images that a training asks for are there, as far as files tell.

    Args:
        config: Of the experiment.
        kinds: Kinds of network that are tried; the experiment's own where there are none.
        words_tried: Values of `network.weights` that are tried; the experiment's own where there are none.
        models: Whether the weights may name a model to begin with, whose network is taken with them.

    Raises:
        ConfigError: Weights are not there, or there are fewer devices.
        DataError: Simulated images are of other kinds.
        TrackingError: Weights name a run or registered model that does not exist.
    """
    _check_weights(config, kinds, words_tried, models=models)
    if not kinds and not words_tried:  # `tune.pretrained.check_weights` looks at what a space holds
        check_downloadable(config.network)
    _check_devices(config)
    from nanonuclei.tasks.dataset import SIMULATED

    wanted = config.trained_modality
    drawn = config.simulated_modalities
    if config.data.dataset == SIMULATED and wanted not in ("all", *drawn):
        raise DataError(
            f"data.modality must be one that simulated images have, all or {', '.join(drawn)}, got {wanted}. Take "
            "one of these, or real images"
        )


def check_begins_as_model(config: ExperimentConfig, settings: Sequence[str]) -> None:
    """Makes sure that no setting asks for another network, target or loss than that of the model to begin with.

    Args:
        config: Of the experiment.
        settings: Texts ``path=value`` of the command line.

    Raises:
        ConfigError: One does.
    """
    from nanonuclei.config.params import flatten, parse_settings
    from nanonuclei.config.section import STRUCTURE, paths_of
    from nanonuclei.serving.named import names_model

    weights = getattr(config.network, "weights", "")
    model = own_config(weights) if isinstance(weights, str) and names_model(weights) else None
    if model is None or model.task != config.task:
        return
    asked, there = flatten(config), flatten(model)
    for path in parse_settings([text for text in settings if text]):
        if path in paths_of(model, STRUCTURE) and path != "network.weights" and asked[path] != there[path]:
            raise ConfigError(
                f"a training that begins with a model keeps its network, target and loss: {weights} has "
                f"{path}={there[path]}, got {asked[path]}. Leave it out, or begin with other network.weights"
            )


def check_downloadable(network: Any) -> None:
    """Makes sure that ImageNet weights which Keras downloads are here, or that their server answers.

    Args:
        network: Section `network` of an experiment.

    Raises:
        ConfigError: They are not here, and cannot be had.
    """
    from nanonuclei.config.shared import IMAGENET, KERAS_FILES, imagenet_lacking, imagenet_place

    kind = getattr(network, "kind", "")
    if kind not in KERAS_FILES or getattr(network, "weights", "") != IMAGENET:
        return
    path, url = imagenet_place(kind, network.alpha)
    if path.is_file() or (Path(KERAS_ELSEWHERE) / path.name).is_file():
        return
    from http.client import HTTPException

    try:
        _look_at(url)
    except (OSError, HTTPException, ValueError) as error:
        raise imagenet_lacking(kind, network.alpha, error) from error


@functools.cache
def _look_at(url: str) -> None:
    """Opens a URL as Keras does, by the same proxies and certificates; once where it answers."""
    from urllib.request import urlopen

    urlopen(url, timeout=PATIENCE).close()


def _check_devices(config: ExperimentConfig) -> None:
    asked = config.train.devices
    if asked == "auto" or asked == 1 or sys.platform != "linux" or any(Path(name).exists() for name in OTHER_GPUS):
        return
    found = len(list(Path("/dev").glob("nvidia[0-9]*")))
    if asked > max(1, found):
        raise ConfigError(
            f"train.devices must not exceed the visible devices: asked for {asked}, found {found} GPUs. "
            "Set train.devices=auto"
        )


def _check_weights(
    config: ExperimentConfig, kinds: Sequence[object], words_tried: Sequence[object], *, models: bool
) -> None:
    """Makes sure that the pretrained weights exist, and that a network which is tried takes them."""
    from nanonuclei.config.shared import (
        FETCHED_FILES,
        FROM_SCRATCH,
        FURTHER_WEIGHTS,
        IMAGENET,
        NO_WEIGHTS,
        fetched_path,
    )

    weights = str(getattr(config.network, "weights", NO_WEIGHTS))
    tried = [str(kind) for kind in kinds or [getattr(config.network, "kind", "")]]
    for kind, word in product(tried, [str(word) for word in words_tried] or [weights]):
        if (kind, word) in FETCHED_FILES:
            fetched_path(kind, word)
    if weights in (IMAGENET, NO_WEIGHTS):
        return
    from nanonuclei.serving.named import names_model
    from nanonuclei.serving.shipped.places import shipped_names

    if models and names_model(weights):
        check_model(weights)
        if (made := known_task(weights)) and made != config.task:
            raise ConfigError(f"network.weights must name a model of {config.task}, but {weights} is one of {made}")
        return
    words = {IMAGENET, NO_WEIGHTS, *(word for kind in tried for word in FURTHER_WEIGHTS.get(kind, ()))}
    if weights not in words and not Path(weights).is_file():
        near = similar_name(weights, [*words, *(shipped_names() if models else ())])
        raise ConfigError(
            f"network.weights must be {', '.join(sorted(words))}{', a model' if models else ''} or a file that exists, "
            f"got {weights!r}. {near or 'Check the path'}"
        )
    if set(tried) == {FROM_SCRATCH}:
        raise ConfigError(
            f"network.weights are for an image network, but network.kind is {FROM_SCRATCH}, which begins with random "
            f"ones: it must be imagenet or none then, got {weights!r}. Leave it out, or set another network.kind, such "
            "as mobilenetv2"
        )
    if weights not in words and not Path(weights).read_bytes()[:8].startswith(WEIGHTS_BEGIN):
        raise ConfigError(
            f"network.weights must be a file of weights, HDF5 or .keras, but {weights} is none. Take another file"
        )


def own_config(reference: str) -> ExperimentConfig | None:
    """Returns the experiment of a model, as far as one look at files or database tells; None where it does not.

    Args:
        reference: Of a model that is there, see `checks.check_model`.
    """
    from nanonuclei.config.params import flatten, load_experiment
    from nanonuclei.serving.folder import CONFIG
    from nanonuclei.serving.named import is_uri
    from nanonuclei.serving.shipped.places import shipped_folder
    from nanonuclei.stages.places import PARAMS

    task = known_task(reference)
    if not task:
        return None
    try:
        if run := run_named(reference):
            logged = logged_settings(run)
            if not logged:
                return None
            paths = flatten(load_experiment(task, path=PARAMS))
            settings = {path: value for path, value in map(_logged_scalar, logged.items()) if path in paths}
            return load_experiment(task, path=PARAMS, settings=settings)
        if is_uri(reference):
            return None
        path = (shipped_folder(reference) or Path(reference)) / CONFIG
        return load_experiment(task, path=path, missing_from=PARAMS, stored=True) if path.is_file() else None
    except NanonucleiError:  # the command itself may still read it, or tells why not
        return None


def _logged_scalar(logged: tuple[str, str]) -> tuple[str, Scalar]:
    """Returns a setting as it was before it was logged as text; without its path where it is no scalar, as a space."""
    from nanonuclei.config.params import parse_settings

    path, text = logged
    try:
        return path, parse_settings([f"{path}={text}"])[path]
    except ConfigError:
        return "", text


def check_fits(reference: str, settings: Sequence[str], *, roles: Sequence[Role], stage: str) -> None:
    """Makes sure that settings of a model may be changed by a command, and that their values fit its others.

    Args:
        reference: Of a model that is there, see `checks.check_model`; where its experiment is not at hand, nothing is
            looked at.
        settings: Texts ``path=value``.
        roles: Roles of the settings that may be changed.
        stage: Which command it is.

    Raises:
        ConfigError: One may not be changed, or does not fit.
    """
    from nanonuclei.config.params import parse_settings, with_settings
    from nanonuclei.stages.settings import check_changeable

    changed = parse_settings([text for text in settings if text])
    config = own_config(reference) if changed else None
    if config is not None:
        check_changeable(config, changed, roles=roles, stage=stage)
        with_settings(config, changed)
