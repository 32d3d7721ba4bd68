"""Options that several commands share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypeAlias

from nanonuclei.tasks import task_names

if TYPE_CHECKING:
    from nanonuclei.stages.settings import Choices

Stages: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

DEFAULT_TASK = "nuclei"
"""The task of a command that names none, and the model that comes along which `predict` takes then."""
MODEL = "NAME | RUN_ID | models:/NAME@ALIAS | FOLDER"
"""How a model is named, see `serving.named.find_model`."""


def experiment_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name an experiment: task, dataset, recipe, settings."""
    parser.add_argument("task", nargs="?", default=DEFAULT_TASK, help=f"{' | '.join(task_names())} (%(default)s)")
    dataset_option(parser)
    parser.add_argument("--recipe", type=given, metavar="FILE", help="settings of a named experiment, see recipes/")
    settings_option(parser)


def dataset_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names the images."""
    parser.add_argument("--dataset", type=given, help="auto | dsb2018 | mine | tnt | mine-tnt | simulated")


def settings_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option that changes settings."""
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change settings of params.yaml",
    )


def model_option(parser: argparse.ArgumentParser, meaning: str) -> None:
    """Adds the option that names a model; an empty value stands for the default."""
    parser.add_argument(
        "--model", type=lambda text: text or DEFAULT_TASK, default=DEFAULT_TASK, metavar=MODEL, help=meaning
    )


def switch(parser: argparse.ArgumentParser, name: str, meaning: str) -> None:
    """Adds an option that is true or false, and true where its value is left out."""
    parser.add_argument(name, type=_yes_or_no, nargs="?", const=True, default=False, metavar="BOOL", help=meaning)


def _yes_or_no(text: str) -> bool:
    """A yes or no of MLproject, which knows no options without a value."""
    if text.lower() not in ("", "true", "false"):
        raise argparse.ArgumentTypeError(f"must be true or false, got {text!r}")
    return text.lower() == "true"


def given(text: str) -> str | None:
    """MLproject hands over an empty value where a parameter was not given."""
    return text or None


def settings_of(options: argparse.Namespace) -> list[str]:
    """Returns the settings of the command line that are not empty."""
    return [text for text in options.settings if text]


def choices_of(options: argparse.Namespace) -> Choices:
    """Returns task, dataset, recipe and settings of the command line."""
    from nanonuclei.stages.settings import Choices

    return Choices(options.task, options.dataset, options.recipe or None, tuple(settings_of(options)))
