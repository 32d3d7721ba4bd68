"""Can the pretrained weights that a search may ask for be had: looked at before its first trial."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.legal import trial_config
from nanonuclei.errors import ConfigError

NAMING = ("network.kind", "network.weights", "network.alpha")
"""Settings that say which file of weights a trial needs."""


def check_weights(config: ExperimentConfig, *, look: Callable[[Any], object]) -> None:
    """Looks up, or downloads, every file of pretrained weights that the space and its config name.

    Args:
        config: `tune` says what is searched.
        look: Takes a network's config, and raises a `ConfigError` where its weights cannot be had.

    Raises:
        ConfigError: One is not there and cannot be downloaded.
    """
    space = config.tune.space
    values = [space[path].ends() for path in NAMING if path in space]
    for chosen in product(*values):
        settings = dict(zip((path for path in NAMING if path in space), chosen, strict=True))
        try:
            network = trial_config(config, settings).network
        except ConfigError:  # legal with other values of the space only
            continue
        if getattr(network, "kind", "unet") != "unet" and getattr(network, "weights", "none") != "none":
            try:
                look(network)
            except ConfigError as error:
                told = ", ".join(f"{path}={value}" for path, value in settings.items()) or "every trial"
                raise ConfigError(
                    f"tune.space: a trial may need weights that are not there ({told}): {error}"
                ) from error
