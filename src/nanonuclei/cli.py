"""The command line: parses words, calls one command, turns errors into messages. `commands` holds the commands."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from nanonuclei import __version__, commands, interrupts, invocation
from nanonuclei.errors import ConfigError, DoneAlreadyError, NanonucleiError, nearest_name, unusable, without_password
from nanonuclei.packaged import how_to_install
from nanonuclei.quiet import quieten
from nanonuclei.tracking.database import unanswered
from nanonuclei.tracking.early.own_run import name_own_run, remember_words
from nanonuclei.tracking.early.server import check_server

ZOO = ("bioimageio", "onnx")
"""Packages of the extra that writes packages for other tools."""

BACKEND, BACKENDS = "KERAS_BACKEND", ("tensorflow", "jax", "torch")
"""Environment variable that names what Keras computes with, and its values, the usual one first."""

GOES_ON = frozenset({"compare", "tune"})
"""Stages that go on where they were cut off when they are called again in the same words."""
SAME_AGAIN = " The same command goes on; finished trainings are kept."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one stage.

    Args:
        arguments: Words of the command line; the process's own where None.

    Returns:
        0; 1 where `lineage` does not hold or `promote` refuses; 2 where the user can mend what went wrong: the message
        is on standard error; 3 where `predict`, `fetch`, `label` or `correct` could not use some of the
        images.
    """
    interrupts.listen()
    quieten()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that a terminal or log cannot show must not end the work
        sys.stdout.reconfigure(errors="backslashreplace")
    invocation.remember()
    stage = next(iter(sys.argv[1:] if arguments is None else arguments), "")
    remember_words(stage, {})
    try:
        options = _parser().parse_args(arguments)
        remember_words(stage, vars(options))
        _check_backend(os.environ.get(BACKEND, BACKENDS[0]))
        check_server(vars(options), stage)
        answer: int | None = options.run(options)
        name_own_run(stage, once=True)
    except BaseException as error:
        if interrupts.interrupted(error):
            if invocation.PARENT_VARIABLE not in os.environ:  # who started this one says it
                print("\nInterrupted." + SAME_AGAIN * (stage in GOES_ON), file=sys.stderr)
            name_own_run(stage, once=True)
            return 130
        told = error if isinstance(error, NanonucleiError) else unanswered(error) or unusable(error)
        if isinstance(told, DoneAlreadyError):
            print(told)
            name_own_run(stage, once=True)
            return 0
        if told is not None:
            print(f"Error: {without_password(str(told))}", file=sys.stderr)
            name_own_run(f"{stage} that could not begin", error=str(told))
            return 2
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("nanonuclei"):
            missing = (error.name or "").partition(".")[0]
            if missing == os.environ.get(BACKEND):
                print(
                    f"Error: {BACKEND}={missing} needs the package {missing}, which is not installed. Install it, or "
                    f"leave {BACKEND} out",
                    file=sys.stderr,
                )
                return 2
            extras = "zoo" if missing in ZOO else "train,platform"
            print(
                f"Error: this command needs the package {missing}, which is not installed. Install all parts: "
                f"{how_to_install(extras)}",
                file=sys.stderr,
            )
            return 2
        raise
    return answer or 0


def _check_backend(backend: str) -> None:
    if backend not in BACKENDS:
        raise ConfigError(
            f"{BACKEND} must be {', '.join(BACKENDS[:-1])} or {BACKENDS[-1]}, got {backend!r}. "
            f"{nearest_name(backend, BACKENDS)}"
        )


class _Parser(argparse.ArgumentParser):
    """A parser that names the nearest stage or parameter where there is none of a name, instead of its usage."""

    _stage = ""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parses words; see `argparse.ArgumentParser`.

        Raises:
            NanonucleiError: There is no such stage or parameter.
        """
        words = list(sys.argv[1:] if args is None else args)
        self._check_stage(words)
        self._stage = next(iter(words), "")
        known = {name.removeprefix("--"): name for action in self._actions for name in action.option_strings}
        known |= {action.dest: action.dest for action in self._actions if not action.option_strings}
        for word in words if self._stages() is None else []:
            name = word.partition("=")[0]
            if name.startswith("--") and name != "--" and name not in self._option_string_actions:
                bare = name.removeprefix("--")
                if bare in {action.dest for action in self._actions if not action.option_strings}:
                    raise NanonucleiError(
                        f"{self.prog.split()[-1]} takes {bare} without a name. Leave out --{bare}, give its value alone"
                    )
                shown = [given for given in known if given not in ("h", "help", "build") and not given.startswith("-")]
                raise NanonucleiError(
                    f"{self.prog.split()[-1]} has no parameter {name.removeprefix('--')!r}. "
                    f"{nearest_name(name.removeprefix('--'), shown)}"
                )
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Tells a mistake as all others are told.

        Raises:
            NanonucleiError: Always.
        """
        surplus = "unrecognized arguments: "
        if message.startswith(surplus):
            raise NanonucleiError(
                f"{self._stage} has no place for {message.removeprefix(surplus)!r}. Put what holds spaces, or a "
                f"pattern such as 'plates/*.tif', in quotes. `{invocation.program()} {self._stage} --help` tells more"
            )
        if self._stages() is not None:
            raise NanonucleiError(f"a stage is needed.\n{self.format_help()}")
        name, lacks = self.prog.split()[-1], "the following arguments are required: "
        if message.startswith(lacks):
            message = f"needs {message.removeprefix(lacks)}"
        message = message.replace("one of the arguments --run --build is required", "needs --run RUN_ID")
        raise NanonucleiError(
            f"{name}: {message.removeprefix('argument ')}. `{invocation.program()} {name} --help` tells more"
        )

    def _stages(self) -> list[str] | None:
        """Returns the names of the stages, of the parser that has them."""
        found = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return list(found[0]) if found else None

    def _check_stage(self, words: Sequence[str]) -> None:
        stages = self._stages()
        if stages is not None and words and not words[0].startswith("-") and words[0] not in stages:
            raise NanonucleiError(f"there is no stage {words[0]!r}. {nearest_name(words[0], stages)}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nanonuclei",
        description="Tracked experiments that find objects in microscope images.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    stages = parser.add_subparsers(title="stages", required=True, metavar="STAGE")
    for kind in commands.KINDS:
        kind.add_to(stages)
    return parser
