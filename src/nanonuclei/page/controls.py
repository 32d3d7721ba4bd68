"""The controls of the page: which parameters a reader takes, how they are shown, and the config that values ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import Scalar, flatten, with_settings
from nanonuclei.config.shared import InferenceConfig
from nanonuclei.errors import ConfigError, nearest_name
from nanonuclei.tasks import controls_of
from nanonuclei.tasks.base import Reader
from nanonuclei.tasks.values import Control

Values = tuple[tuple[str, Scalar], ...]
"""Parameters and their values, sorted by name."""


def shown_controls(reader: Reader) -> list[dict[str, Any]]:
    """Returns the controls for the page, each a JSON object.

    Keys are those of `tasks.values.Control`, and ``name``, ``value``, and ``network``: whether a change of it runs the
    network again.
    """
    settings, config = flatten(reader.config), reader.config
    shown = []
    for name, control in _controls(reader, settings).items():
        path = reader.parameters[name]
        words = {word: text for word, text in control.words.items() if _allowed(config, path, word)}
        ranges = {"low": control.low, "high": control.high, "step": control.step}
        texts = {"name": name, "text": control.text, "meaning": control.meaning, "unit": control.unit}
        shown.append(
            {**texts, **ranges, "words": words, "value": settings[path], "network": needs_network(config, path)}
        )
    return shown


def needs_network(config: ExperimentConfig, path: str) -> bool:
    """Tells whether a setting decides how the network is run, so that a change of it asks for new score maps."""
    return isinstance(getattr(config, path.partition(".")[0]), InferenceConfig)


def checked_values(reader: Reader, given: object) -> Values:
    """Returns the values that differ from the reader's settings.

    Args:
        reader: Of the model.
        given: Parameters and values, as JSON.

    Raises:
        ConfigError: There is no such parameter, or a value is neither a number nor a word.
    """
    if not isinstance(given, Mapping):
        raise ConfigError(f"values must be an object of parameters, got {type(given).__name__}. Load the page again")
    settings, values = flatten(reader.config), {}
    for name, value in given.items():
        if name not in reader.parameters:
            raise ConfigError(
                f"unknown parameter {str(name)[:60]!r}. {nearest_name(str(name)[:60], reader.parameters)}"
            )
        if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 60:
            raise ConfigError(f"{name} must be a number or a word, got {str(value)[:60]!r}. Change it")
        if value != settings[reader.parameters[name]]:
            values[name] = value
    return tuple(sorted(values.items()))


def changed_config(reader: Reader, values: Values) -> ExperimentConfig:
    """Returns the reader's config with values of its parameters.

    Raises:
        ConfigError: A value is not allowed.
    """
    config: ExperimentConfig = reader.config
    return with_settings(config, {reader.parameters[name]: value for name, value in values}) if values else config


def network_values(reader: Reader, values: Values) -> Values:
    """Returns those of the values that score maps depend on."""
    return tuple((name, value) for name, value in values if needs_network(reader.config, reader.parameters[name]))


def _controls(reader: Reader, settings: Mapping[str, Scalar]) -> dict[str, Control]:
    """Returns the task's own controls; of a task that has none, sliders of all parameters that are numbers."""
    known = controls_of(reader.config.task)
    if known:
        return {name: control for name, control in known.items() if name in reader.parameters}
    found = {}
    for name, path in reader.parameters.items():
        value = settings[path]
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        part = _allowed(reader.config, path, 0.5) and not _allowed(reader.config, path, 1.5)
        high, step = (1.0, 0.01) if part else (float(max(10 * value, 100)), 1.0)
        found[name] = Control(name.replace("_", " ").capitalize(), f"The setting {path}.", high=high, step=step)
    return found


def _allowed(config: ExperimentConfig, path: str, value: Scalar) -> bool:
    try:
        with_settings(config, {path: value})
    except ConfigError:
        return False
    return True
