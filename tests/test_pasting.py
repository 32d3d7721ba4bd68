"""Every command and option that a message prints can be pasted, under `mlflow run` and on the command line."""

from __future__ import annotations

import argparse
import ast
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
import yaml
from tests.conftest import ROOT

from nanonuclei.cli import _parser
from nanonuclei.errors import NanonucleiError
from nanonuclei.invocation import ENTRY_POINTS, POSITIONAL, VARIABLE, WITHOUT_ENTRY_POINT, command, option

PACKAGE = ROOT / "src" / "nanonuclei"
SAMPLES = {
    "allow_simulated": "true",
    "apply": "true",
    "allow_different_splits": "true",
    "dataset": "dsb2018",
    "model": "nuclei",
    "recipe": "scratch/tune/a study/best.yaml",
    "recipes": "default scratch/best.yaml",
    "resume": "0123456789abcdef0123456789abcdef",
    "rollback": "true",
    "run": "0123456789abcdef0123456789abcdef",
    "runs": "a=0123,4567 b=89ab,cdef",
    "output": "found",
    "set": "train.epochs=2 train.precision=float32",
    "targets": "train@nuclei",
    "task": "nanotubes",
}
"""A value of each parameter; of the others, a word."""
OPTIONS_OF = {
    "commands/answering.py": ("predict",),
    "commands/releasing.py": ("promote", "ship"),
    "data/files": ("predict",),
    "listening.py": ("page", "serve"),
    "models/weights.py": ("fetch",),
    "stages/clean": ("clean",),
    "stages/compare": ("compare",),
    "stages/correct": ("correct",),
    "stages/export": ("export",),
    "stages/predict": ("predict",),
    "stages/settings.py": ("train", "explore", "tune", "compare"),
    "stages/shipped/register.py": ("promote",),
    "stages/tune": ("tune",),
    "tasks/nuclei/sources": ("fetch",),
    "tracking/gate.py": ("promote",),
    "tune": ("tune",),
}
"""File or folder to the stages whose messages come from there."""


@dataclass(frozen=True)
class Printed:
    """A call of `command` or `option` in the source.

    Attributes:
        place: File and line.
        name: Of the stage or the option.
        parameters: Names of the parameters of a command.
    """

    place: str
    name: str
    parameters: tuple[str, ...] = ()


def calls(function: str) -> Iterator[Printed]:
    """Yields the calls of a function of `invocation` in all modules."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        dictionaries = {
            node.targets[0].id: [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Dict)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != function:
                continue
            place = f"{path.relative_to(PACKAGE).as_posix()}:{node.lineno}"
            first = node.args[0]
            if not isinstance(first, ast.Constant):  # `option(*way)` over literal pairs
                continue
            names: list[str] = []
            for keyword in node.keywords:
                given = ast.unparse(keyword.value)
                names += [keyword.arg] if keyword.arg else map(str, dictionaries[given])
            yield Printed(place, str(first.value), tuple(names))


COMMANDS, OPTIONS = list(calls("command")), list(calls("option"))
WAYS = ["", "nanonuclei", "python -m nanonuclei", "python src/nanonuclei"]
"""How the program was called; the empty one is `mlflow run`."""


def sample(name: str) -> str:
    return SAMPLES.get(name, "word")


def parsed(words: list[str]) -> argparse.Namespace:
    """Parses the words of the command line after the program's name; fails where the parser refuses them."""
    try:
        return _parser().parse_args(words)
    except SystemExit as error:
        raise AssertionError(f"the command line does not know {shlex.join(words)}") from error


def of_mlflow(words: list[str]) -> list[str]:
    """Returns the words of the command line that an entry point of MLproject hands over."""
    assert words[:3] == ["mlflow", "run", "."]
    given, entry = {}, "main"
    for name, value in zip(words[3::2], words[4::2], strict=True):
        assert name in ("-e", "-P", "--env-manager"), name
        if name == "-e":
            entry = value
        elif name == "-P":
            key, _, content = value.partition("=")
            given[key] = content
    return entry_point(entry, given)


def needed(kind: str | Mapping[str, str]) -> bool:
    """Tells whether a parameter of MLproject must be given."""
    return isinstance(kind, str) or "default" not in kind


def entry_point(entry: str, given: Mapping[str, str]) -> list[str]:
    """Returns what an entry point calls, its parameters filled in as MLflow does."""
    point = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"][entry]
    known = point["parameters"]
    assert set(given) <= set(known), f"entry point {entry} has no parameter {set(given) - set(known)}"
    required = {name for name, kind in known.items() if needed(kind)}
    assert required <= set(given), f"entry point {entry} needs {required - set(given)}"
    values = {name: given.get(name, "" if needed(kind) else kind["default"]) for name, kind in known.items()}
    text = point["command"].format_map({name: shlex.quote(value) for name, value in values.items()})
    assert shlex.split(text)[:2] == ["python", "src/nanonuclei"]
    return shlex.split(text)[2:]


def test_messages_print_commands_by_the_one_function_that_knows_how_the_user_called() -> None:
    assert len(COMMANDS) > 15
    assert len(OPTIONS) > 8
    by_hand = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr | ast.Constant) and "mlflow run . " in ast.unparse(node):
                by_hand.append(f"{path.relative_to(PACKAGE).as_posix()}:{node.lineno}")
    assert [place for place in by_hand if not place.startswith("invocation.py")] == []


@pytest.mark.parametrize("way", WAYS, ids=["mlflow run", *WAYS[1:]])
@pytest.mark.parametrize("printed", COMMANDS, ids=lambda printed: f"{printed.place} {printed.name}")
def test_printed_command_is_accepted(printed: Printed, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, way)
    values = {name: sample(name) for name in printed.parameters}
    text = command(printed.name, **values)
    words = shlex.split(text)
    if not way and printed.name not in WITHOUT_ENTRY_POINT:
        words = of_mlflow(words)
    else:
        program = shlex.split(way or "python src/nanonuclei")
        assert words[: len(program)] == program
        words = words[len(program) :]
    assert words[0] == printed.name
    assert set(values.values()) <= {str(value) for value in _values(parsed(words))}


@pytest.mark.parametrize("way", WAYS[:2], ids=["mlflow run", "nanonuclei"])
@pytest.mark.parametrize("printed", OPTIONS, ids=lambda printed: f"{printed.place} {printed.name}")
def test_printed_option_is_one_of_the_stages_that_print_it(
    printed: Printed, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, way)
    stages = next(names for place, names in OPTIONS_OF.items() if printed.place.startswith(place))
    value = "true" if stages == ("predict",) and printed.name == "resume" else sample(printed.name)
    added = shlex.split(option(printed.name, value))
    accepted = []
    for stage in stages:
        entry = ENTRY_POINTS.get(stage, stage)
        point = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"][entry]["parameters"]
        others = {name: sample(name) for name, kind in point.items() if needed(kind) and name != printed.name}
        if POSITIONAL.get(stage) in ("task", "dataset"):
            others[POSITIONAL[stage]] = sample(POSITIONAL[stage])
        words = [*shlex.split(command(stage, **others)), *added]
        try:
            found = parsed(words[1:] if way else of_mlflow(words))
        except (AssertionError, NanonucleiError) as error:
            accepted.append(str(error))
        else:
            assert value in {str(given) for given in _values(found)}
            return
    raise AssertionError(f"none of {stages} has the option {shlex.join(added)}: {accepted}")


def test_every_entry_point_hands_over_what_the_command_line_knows() -> None:
    points = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
    for entry, point in points.items():
        if entry != "test":
            required = {name: sample(name) for name, kind in point["parameters"].items() if needed(kind)}
            parsed(entry_point(entry, required))


def _values(found: argparse.Namespace) -> Iterator[object]:
    for value in vars(found).values():
        yield from value if isinstance(value, list) else [str(value).lower() if isinstance(value, bool) else value]
