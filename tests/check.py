"""The test command: style, types, floors, then the tests.

The tests run on all cores, except those marked `alone`, which measure times and memory. Further words go to pytest in
one run, such as `-m "not slow"`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUN_OF_CALLER = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_TRACKING_URI")
"""Variables by which `mlflow run` names its own run; the tests must not log into it."""


def main(options: list[str]) -> int:
    """Runs every check, also after one has failed; returns 1 if any did."""
    scripts = Path(sys.executable).parent
    linter = shutil.which("lint-imports", path=f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}")
    checks = {
        "ruff check": [sys.executable, "-m", "ruff", "check", "."],
        "ruff format": [sys.executable, "-m", "ruff", "format", "--check", "."],
        "mypy": [sys.executable, "-m", "mypy"],
        "floors": [linter or "lint-imports", "--no-cache"],
    }
    pytest = [sys.executable, "-m", "pytest"]
    if options:
        checks["tests"] = [*pytest, *options]
    else:
        parallel = ["--numprocesses", "auto", "--dist", "loadfile"]  # a file's tests share fixtures
        checks["fast tests"] = [*pytest, "-m", "not slow", *parallel]
        checks["slow tests"] = [*pytest, "-m", "slow and not alone", *parallel]
        checks["tests that run alone"] = [*pytest, "-m", "alone"]
    kept = {name: value for name, value in os.environ.items() if name not in RUN_OF_CALLER}
    environment = {**kept, "PYTHONPATH": "src", "TF_CPP_MIN_LOG_LEVEL": "2"}
    failed = []
    for name, command in checks.items():
        print(f"== {name}", flush=True)
        if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
            failed.append(name)
    print(f"Failed: {', '.join(failed)}" if failed else "All checks passed.", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    words = sys.argv[1:]  # `mlflow run -P options=...` hands all of them over as one
    sys.exit(main(shlex.split(words[0]) if len(words) == 1 else words))
