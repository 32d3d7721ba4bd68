"""The seam between what is general and what a task knows: general code asks the task, and never which task it is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import ROOT

from nanonuclei.config.params import load_experiment
from nanonuclei.config.section import Role, paths_of, role_of
from nanonuclei.tasks import task_names

PACKAGE = ROOT / "src" / "nanonuclei"
MOST_MODULES = 12
NAMED = re.compile(r"\b(nuclei|nanotubes?|Nuclei[A-Z]\w*|Nanotube[A-Z]\w*)\b")
ALLOWED = {("commands/options.py", "nuclei")}
"""The task of a command that names none."""


def mentions(path: Path) -> Iterator[str]:
    """Yields the names of tasks and of their classes in the code of a module; docstrings and comments are English."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    for node in ast.walk(tree):
        texts: list[str] = []
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            texts = [node.value]
        elif isinstance(node, ast.Name):
            texts = [node.id]
        elif isinstance(node, ast.Attribute):
            texts = [node.attr]
        elif isinstance(node, ast.ImportFrom):
            texts = [node.module or "", *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            texts = [alias.name for alias in node.names]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            texts = [node.name]
        for text in texts:
            yield from (match.group() for match in NAMED.finditer(text))


def test_no_task_is_named_outside_of_the_tasks_folder() -> None:
    found = {
        (path.relative_to(PACKAGE).as_posix(), word)
        for path in PACKAGE.rglob("*.py")
        if not path.is_relative_to(PACKAGE / "tasks")
        for word in mentions(path)
    }
    assert found - ALLOWED == set()


def test_folders_hold_a_dozen_modules_at_most() -> None:
    folders = [path for path in PACKAGE.rglob("*") if path.is_dir() and path.name != "__pycache__"]
    modules = {folder: [path for path in folder.glob("*.py") if path.name != "__init__.py"] for folder in folders}
    crowded = {str(folder.relative_to(PACKAGE)): len(own) for folder, own in modules.items() if len(own) > MOST_MODULES}
    assert crowded == {}


LIGHT = ("base", "dataset", "nuclei.reader", "nuclei.dataset", "nanotubes.reader", "nanotubes.dataset")


def test_readers_and_datasets_are_imported_without_keras() -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {LIGHT}:\n"
        "    importlib.import_module(f'nanonuclei.tasks.{name}')\n"
        "    print(name, *sorted({'keras', 'tensorflow', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": "src"}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == list(LIGHT), done.stdout + done.stderr


@pytest.mark.parametrize("task", task_names())
def test_every_setting_has_a_role(task: str) -> None:
    config = load_experiment(task, path=ROOT / "params.yaml")
    known = set(paths_of(config, Role))
    assert {path for path in _all_paths(config) if path not in known} == {"task", "seed"}
    assert role_of(config, "train.devices") is Role.MACHINE
    assert role_of(config, "windows.precision") is Role.READING
    assert role_of(config, "data.split.test") is Role.DATA


def _all_paths(config: object) -> list[str]:
    from nanonuclei.config.params import flatten

    return [path for path in flatten(config) if not path.startswith("tune.space")] + ["tune.space"]  # type: ignore[arg-type]
