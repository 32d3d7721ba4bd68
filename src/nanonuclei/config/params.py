"""From `params.yaml`, a recipe and `path=value` settings to one validated config, and back to flat settings."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from nanonuclei.config.experiment import ExperimentConfig, experiment_model, experiment_names
from nanonuclei.config.problems import SETTING, problems_of
from nanonuclei.config.section import Role, paths_of, starts_with
from nanonuclei.errors import ConfigError, nearest_name
from nanonuclei.packaged import with_shipped

Scalar = bool | int | float | str
C = TypeVar("C", bound=ExperimentConfig)
_logger = logging.getLogger(__name__)

LONGEST_HINT = 400
"""Characters up to which the valid settings are listed; of more the sections are named."""

_SECOND_SETTING = re.compile(r",[A-Za-z_][\w.]*=")
"""A setting behind the comma within the value of another."""

WHOLE = ("tune.space",)
"""Settings whose value is a mapping with keys of its own, replaced as a whole."""

REMOVED: Mapping[str, Scalar] = {"windows.magnify_below": 0.0}
"""Settings of earlier versions that stored configs may hold, and the value that meant what is always done today."""

REMOVED_VALUES: Mapping[str, Mapping[Scalar, Scalar]] = {"tune.optuna.sampler": {"gp": "tpe"}}
"""Values of settings that earlier versions allowed, and the value that takes their place in a stored config."""


def flatten(config: ExperimentConfig | Mapping[str, Any], *, above: str = "") -> dict[str, Scalar]:
    """Returns a config as settings: dotted path to scalar, in the order of the file.

    Args:
        config: A config, or part of its tree.
        above: Path of that part with a trailing dot.
    """
    tree = config if isinstance(config, Mapping) else config.model_dump()
    flat: dict[str, Scalar] = {}
    for name, value in tree.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping) and path not in WHOLE:
            flat |= flatten(value, above=f"{path}.")
        else:
            flat[path] = value
    return flat


def load_experiment(
    task: str,
    *,
    path: Path,
    settings: Mapping[str, Scalar] | None = None,
    missing_from: Path | None = None,
    may_miss: Sequence[str] | None = None,
    roles_may_miss: Sequence[Role] = (),
    stored: bool = False,
    origins: Mapping[str, str] | None = None,
) -> ExperimentConfig:
    """Reads the section of one task and applies settings to it.

    Args:
        task: Name of the task, the section of the file.
        path: A `params.yaml`, or the `config.yaml` of a run.
        settings: Dotted path below the section to new value, such as ``{"train.epochs": 5}``.
        missing_from: A `params.yaml` from which settings are taken that a stored config, being older, lacks.
        may_miss: Settings of which that may be so; all where None.
        roles_may_miss: Roles of further settings of which that may be so.
        stored: Whether `path` is the stored config of a run or model, from which settings are dropped that exist no
            longer; `missing_from` implies it.
        origins: Path of a setting in `settings` to where it comes from, for messages; ``setting`` where it is not told.

    Raises:
        ConfigError: The file, the section, a path or a value is not valid; all problems in one message.
    """
    experiment_model(task)
    tree = read_yaml(path)
    if not isinstance(tree, dict) or not isinstance(tree.get(task), dict):
        raise ConfigError(f"{path} must hold a section {task!r} with the settings of that task")
    section = {"task": task, **tree[task]}
    if stored or missing_from is not None:
        section = _without_removed(section, source=str(path))
    if missing_from is not None:
        current = load_experiment(task, path=missing_from)
        if may_miss is not None:
            may_miss = (*may_miss, *paths_of(current, roles_may_miss))
        section = _filled(section, current, may_miss)
    changed = {**dict.fromkeys(settings or {}, SETTING), **(origins or {})}
    return _validate(task, _apply(section, settings or {}), source=str(path), origins=changed)


def with_settings(config: C, settings: Mapping[str, Scalar]) -> C:
    """Returns a copy of a config with settings applied, validated anew.

    Raises:
        ConfigError: A path is unknown or a value not allowed there.
    """
    tree = _apply(config.model_dump(), settings)
    return _validate(config.task, tree, source="settings")  # type: ignore[return-value]


def parse_settings(items: Iterable[str]) -> dict[str, Scalar]:
    """Parses ``path=value`` texts; one text may hold several, separated by white space. Values are YAML scalars.

    Raises:
        ConfigError: A text is not of that form, or holds settings that commas separate.
    """
    settings: dict[str, Scalar] = {}
    for item in (part for text in items for part in text.split()):
        path, equals, text = item.partition("=")
        if not equals or not path or not text:
            raise ConfigError(f"a setting must read PATH=VALUE, such as train.epochs=5; got {item!r}")
        if _SECOND_SETTING.search(text):
            raise ConfigError(f"settings must be separated by spaces, not by commas; got {item!r}")
        settings[path] = _scalar(text, item)
    return settings


def told(settings: Mapping[str, Scalar]) -> str:
    """Returns settings as they are written on a command line, which `parse_settings` reads."""
    return " ".join(f"{path}={value}" for path, value in sorted(settings.items()))


def read_yaml(path: Path) -> Any:
    """Reads one YAML document; see `with_shipped` for files that the working directory lacks.

    Raises:
        ConfigError: The file is missing, is no text, or is not valid YAML.
    """
    try:
        return _parsed(with_shipped(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error


def read_settings(path: Path) -> dict[str, Scalar]:
    """Returns the settings of a YAML file by their dotted paths; they are not validated.

    Raises:
        ConfigError: The file is missing, or is not a mapping.
    """
    tree = read_yaml(path)
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} must be a YAML mapping of settings, got {type(tree).__name__}")
    return flatten(tree)


class _Loader(yaml.SafeLoader):
    """Refuses what holds itself, as in ``&a [*a]``, which is seen where each part is made whole at once."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.deep_construct = True


def _parsed(text: str) -> Any:
    """Returns one YAML document.

    Raises:
        yaml.YAMLError: It is not valid, or holds itself.
    """
    try:
        return _Loader(text).get_single_data()
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deep") from error
    except (ValueError, LookupError, AttributeError) as error:  # such as the date 2026-13-45, and wrong tags
        raise yaml.YAMLError(f"a value is not what it is said to be: {error}") from error


def to_yaml(config: ExperimentConfig) -> str:
    """Returns a config as a YAML document that `load_experiment` reads again."""
    return yaml.safe_dump({config.task: config.model_dump(exclude={"task"})}, sort_keys=False)


def _scalar(text: str, item: str) -> Scalar:
    try:
        value = _parsed(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"the value of {item!r} is not a YAML scalar") from error
    if isinstance(value, str):
        try:
            return float(value)  # YAML 1.1 reads 1e-3, without a dot, as text
        except ValueError:
            return value
    if not isinstance(value, bool | int | float):
        raise ConfigError(f"the value of {item!r} must be a number, a word, true or false")
    return value


def _apply(tree: dict[str, Any], settings: Mapping[str, Scalar]) -> dict[str, Any]:
    """Returns a copy of a nested tree with dotted settings put in; every path must exist."""
    known = flatten(tree)
    wrong = [path for path in settings if path not in known]
    if wrong:
        hints = (f"unknown setting {path!r}. {nearest_path(path, known)}" for path in wrong)
        raise ConfigError("\n".join(hints))
    return _nested({**known, **settings})


def _without_removed(section: dict[str, Any], *, source: str) -> dict[str, Any]:
    """Returns a stored section without the settings and values that exist no longer.

    A warning is logged where a dropped setting had an effect: scores can then differ from those of the stored run.
    """
    given = flatten(section)
    for path, neutral in REMOVED.items():
        value = given.pop(path, neutral)
        if value != neutral:
            _logger.warning("%s: %s=%s exists no longer and is ignored; scores can differ", source, path, value)
    for path, successors in REMOVED_VALUES.items():
        if given.get(path) in successors:
            given[path] = successors[given[path]]
    return _nested(given)


def _filled(section: dict[str, Any], current: ExperimentConfig, may_miss: Sequence[str] | None) -> dict[str, Any]:
    """Returns a section with the settings that it lacks and may lack; the others stay missing."""
    given, known = flatten(section), flatten(current)
    lacking = {path: value for path, value in known.items() if path not in given}
    if may_miss is not None:
        lacking = {path: value for path, value in lacking.items() if starts_with(path, may_miss)}
    return _nested({**given, **lacking})


def _nested(settings: Mapping[str, Scalar]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for path, value in settings.items():
        *parents, leaf = path.split(".")
        node = result
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return result


def nearest_path(path: str, known: Mapping[str, Scalar]) -> str:
    """Returns a hint for a setting that there is not: the task that has it, members of a group, or the nearest path.

    Args:
        path: Of the setting.
        known: The settings that there are, of one task or of all.
    """
    for other in experiment_names() if "task" in known else ():
        if other != known["task"] and path in _settings_of(other):
            return f"It is one of {other}, not of {known['task']}."
    for whole in WHOLE:
        if path.startswith(f"{whole}."):
            return f"{whole} is one setting: a recipe gives the whole of it."
    if any(name.startswith(f"{path}.") for name in known):
        inside = ", ".join(name for name in known if name.startswith(f"{path}."))
        return f"It is a group; set one of {inside}."
    by_leaf = [name for name in known if name.rsplit(".", 1)[-1] == path.rsplit(".", 1)[-1]]
    if by_leaf:
        return f"Did you mean {' or '.join(by_leaf)}?"
    hint = nearest_name(path, known)
    if len(hint) <= LONGEST_HINT:
        return hint
    sections = dict.fromkeys(name.partition(".")[0] for name in known if name != "task")
    return f"params.yaml holds them all, in {', '.join(sections)}."


def _settings_of(task: str) -> Mapping[str, Scalar]:
    """Returns the settings of a task; none where its section cannot be read."""
    try:
        return flatten(load_experiment(task, path=Path("params.yaml")))
    except ConfigError:
        return {}


def _validate(
    task: str, tree: Mapping[str, Any], *, source: str, origins: Mapping[str, str] | None = None
) -> ExperimentConfig:
    model = experiment_model(task)
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("\n".join(problems_of(error, source, origins or {}))) from None
