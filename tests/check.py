"""The test command: style, types, floors, then the tests.

The tests run on all cores, except those marked `alone`, which measure times. Further words go to pytest in one run,
such as `-m "not slow"`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUN_OF_CALLER = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_TRACKING_URI")
"""Variables by which `mlflow run` names its own run; the tests must not log into it."""
NOTHING_COMPILED = "PYTHONDONTWRITEBYTECODE"
"""Python's variable under which every process compiles what it imports anew: for TensorFlow, seconds each."""


def main(options: list[str]) -> int:
    """Runs every check, also after one has failed; returns 1 if any did."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as compiled:
        return _checked(options, compiled)


def _checked(options: list[str], compiled: str) -> int:
    """Does so; where compiled Python must not lie beside its source, all processes share it in a folder."""
    scripts = Path(sys.executable).parent
    linter = shutil.which("lint-imports", path=f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}")
    checks = {
        "ruff check": [sys.executable, "-m", "ruff", "check", "."],
        "ruff format": [sys.executable, "-m", "ruff", "format", "--check", "."],
        "mypy": [sys.executable, "-m", "mypy"],
        "floors": [linter or "lint-imports", "--no-cache"],
    }
    pytest = [sys.executable, "-m", "pytest"]
    tests = {"tests": [*pytest, *options]}
    if not options:
        # The tests of a file share fixtures; files with slow tests come first, see tests/conftest.py.
        parallel = ["--numprocesses", "auto", "--dist", "loadfile", "--no-loadscope-reorder", "--durations", "25"]
        tests = {"tests": [*pytest, "-m", "not alone", *parallel]}
        files = [path for path in sorted(ROOT.glob("tests/**/test_*.py")) if "mark.alone" in path.read_text("utf-8")]
        tests["tests that run alone"] = [*pytest, "-m", "alone", *map(str, files)]
    kept = {name: value for name, value in os.environ.items() if name not in RUN_OF_CALLER}
    if kept.pop(NOTHING_COMPILED, ""):
        kept["PYTHONPYCACHEPREFIX"] = compiled
    environment = {**kept, "PYTHONPATH": "src", "TF_CPP_MIN_LOG_LEVEL": "2"}
    failed = []
    with ThreadPoolExecutor(2) as threads:

        def quietly(command: list[str]) -> subprocess.CompletedProcess[str]:
            told = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
            return subprocess.run(command, cwd=ROOT, env=environment, check=False, **told)

        for name, done in zip(checks, threads.map(quietly, checks.values()), strict=True):
            print(f"== {name}\n{done.stdout or ''}", end="", flush=True)
            failed += [name] * bool(done.returncode)
    for name, command in tests.items():
        print(f"== {name}", flush=True)
        if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
            failed.append(name)
    print(f"Failed: {', '.join(failed)}" if failed else "All checks passed.", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    words = sys.argv[1:]  # `mlflow run -P options=...` hands all of them over as one
    sys.exit(main(shlex.split(words[0]) if len(words) == 1 else words))
