"""What tests need that run the product in a copy of the project: its environment, its commands, the runs it logged."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path


def environment(clone: Path, **more: str) -> dict[str, str]:
    """Returns variables under which Python's own programs and the package of the clone are found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    own = {"PATH": path, "PYTHONPATH": str(clone / "src"), "PYTHONUNBUFFERED": "1"}
    no_judges = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # each server would start eight processes for them
    return {**kept, **own, **no_judges, **more}


COMMANDS = """
import json, os, sys, traceback
sys.path.insert(0, "src")
def run(words):
    if words[0] == "nanonuclei":
        from nanonuclei.cli import main
    elif words[0] == "dvc":
        from dvc.cli import main
    else:
        from mlflow.cli import cli as main
    try:
        return main(words[1:]) or 0
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
answers = os.fdopen(os.dup(1), "w")
for line in sys.stdin:
    words, path = json.loads(line)
    with open(path, "ab") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    code = run(words)
    sys.stdout.flush()
    sys.stderr.flush()
    print(code, file=answers, flush=True)
"""
"""Runs one command after the other: for most of them, importing MLflow, DVC and the package takes longest by far."""


class Commands:
    """A process in a clone that runs commands of `nanonuclei`, `dvc` and `mlflow` one after the other.

    Args:
        clone: Where they run.
        more: Variables of theirs.
    """

    def __init__(self, clone: Path, **more: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._number = 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", COMMANDS],
            cwd=clone,
            env=environment(clone, **more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str]:
        """Returns the exit status of a command, and what it and its children printed."""
        self._number += 1
        file = Path(self._folder.name) / f"{self._number}.txt"
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answers is not None
        print(json.dumps([words, str(file)]), file=asked, flush=True)
        code = answers.readline()
        said = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        assert code, f"{words} ended the process of commands:\n{said}"
        return int(code), said

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()
        self._folder.cleanup()


def runs(clone: Path) -> dict[str, dict[str, str]]:
    """Returns the tags of every run, with its state, read straight from the database."""
    with sqlite3.connect(clone / "mlflow.db") as database:
        found = {row[0]: {"state": row[1]} for row in database.execute("select run_uuid, status from runs")}
        for run_id, key, value in database.execute("select run_uuid, key, value from tags"):
            found[run_id][key] = value
    return found
