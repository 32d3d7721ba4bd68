"""Is a search space legal for a config: known paths, legal ends of every range, nothing that fools the metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import Scalar, flatten, nearest_path, with_settings
from nanonuclei.config.section import Role, role_of
from nanonuclei.config.space import SearchSpace
from nanonuclei.errors import ConfigError

WITHOUT_INFLUENCE = (Role.READING, Role.SCORING, Role.SEARCH, Role.MACHINE)
"""Roles that a validation metric does not depend on."""


def check_space(config: ExperimentConfig) -> None:
    """Checks `tune.space` against the config that a trial's settings are applied to.

    A range is legal if each of its ends is a valid value, with the other settings as they are or with one other
    setting of the space at one of its own ends.

    Raises:
        ConfigError: The space is empty, or a path or value is not valid; all problems in one message.
    """
    space = config.tune.space
    if not space:
        raise ConfigError("tune.space must hold at least one setting, such as train.learning_rate, got none")
    problems = [problem for path in space for problem in _problems(config, space, path)]
    if problems:
        raise ConfigError("\n".join(problems))


def trial_config(config: ExperimentConfig, settings: Mapping[str, Scalar]) -> ExperimentConfig:
    """Returns the config of one trial: its settings on top, for `tune.epochs` epochs unless the settings say else.

    Raises:
        ConfigError: The settings are not valid together.
    """
    return with_settings(
        config, {"train.epochs": config.tune.epochs, "train.tensorboard": False, "train.keep": "best", **settings}
    )


def _problems(config: ExperimentConfig, space: SearchSpace, path: str) -> Iterator[str]:
    known = flatten(config)
    if path not in known:
        yield f"tune.space: unknown setting {path!r}. {nearest_path(path, known)}"
    elif (role := role_of(config, path)) in WITHOUT_INFLUENCE:
        yield f"tune.space: {path} has no influence on {config.tune.metric}. Leave it out of the space"
    elif role is Role.DATA or role is None:
        yield f"tune.space: {path} changes the images of a trial, whose values must be comparable. Leave it out"
    elif path == "train.epochs":
        yield "tune.space: train.epochs is what tune.epochs sets for every trial. Leave it out of the space"
    elif role is Role.LOSS and config.tune.metric == "val/loss":
        yield (
            f"tune.space: {path} changes what val/loss measures, so that values of trials cannot be compared. Leave it "
            "out of the space, or set tune.metric=val/accuracy"
        )
    else:
        for value in space[path].ends():
            problem = _first_problem(config, space, path=path, value=value)
            if problem:
                yield f"tune.space: {path} = {space[path]}: {problem}"


def _first_problem(config: ExperimentConfig, space: SearchSpace, *, path: str, value: Scalar) -> str:
    """Returns why a value is never legal, or nothing where it is."""
    alone = ""
    for other in _others(space, path):
        try:
            trial_config(config, {**other, path: value})
        except ConfigError as error:
            alone = alone or str(error).replace("\n", "; ").removeprefix("settings: ")
        else:
            return ""
    return alone


def _others(space: SearchSpace, path: str) -> Iterator[dict[str, Scalar]]:
    """Yields nothing else changed, then each other setting of the space at each of its ends."""
    yield {}
    for other, span in space.items():
        if other != path:
            for value in span.ends():
                yield {other: value}
