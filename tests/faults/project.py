"""A project folder with tiny settings, in which commands are run as a user runs them, and killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from tests.conftest import ROOT, TINY

from nanonuclei.config.params import Scalar

SETTINGS: Mapping[str, Scalar] = {
    **TINY,
    "train.epochs": 3,
    "data.dataset": "simulated",
    "data.simulated.num_images": 10,
    "data.simulated.size": 64,
    "tune.epochs": 1,
    "tune.num_startup_trials": 1,
}
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Done:
    """How a command ended.

    Attributes:
        code: Exit status; negative: the signal.
        output: What it wrote to the terminal.
        seconds: That it took.
    """

    code: int
    output: str
    seconds: float


class Project:
    """A folder with parameters, recipes and the model that comes along.

    Args:
        folder: To make, or made before.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if folder.exists():
            return
        folder.mkdir(parents=True)
        for name in ("requirements.txt", "recipes", "models"):
            (folder / name).symlink_to(ROOT / name)
        tree = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        for path, value in SETTINGS.items():
            *sections, last = path.split(".")
            place = tree["nuclei"]
            for section in sections:
                place = place[section]
            place[last] = value
        (folder / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")

    def copy(self, folder: Path) -> Project:
        """Copies everything to another folder; its database tells no paths of this one."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    def run(
        self,
        words: Sequence[str],
        *,
        kill_after: float | None = None,
        terminate_after: float | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Done:
        """Runs a command of the command line.

        Args:
            words: After the program's name.
            kill_after: Seconds after which it and its children are killed as by ``kill -9``.
            terminate_after: Seconds after which it alone gets a SIGTERM, to end by itself.
            environment: Variables beside those of this process.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "NANONUCLEI_"))}
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "nanonuclei", *words],
            cwd=self.folder,
            env={**kept, "PYTHONPATH": str(ROOT / "src"), "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        if terminate_after is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(terminate_after)
            process.terminate()
        try:
            output, _ = process.communicate(timeout=PATIENCE_SECONDS if kill_after is None else kill_after)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            if kill_after is None:
                raise
        return Done(process.returncode, output, time.perf_counter() - started)

    def run_states(self) -> dict[str, str]:
        """Returns the state of each run in the database, by id; read without MLflow."""
        import sqlite3

        file = self.folder / "mlflow.db"
        if not file.is_file():
            return {}
        with contextlib.closing(sqlite3.connect(file)) as database:
            try:
                return dict(database.execute("select run_uuid, status from runs").fetchall())
            except sqlite3.OperationalError:  # killed before the tables were made
                return {}

    def runs_of(self, stage: str) -> list[str]:
        """Returns the ids of the runs of a stage, oldest first."""
        import sqlite3

        query = (
            "select r.run_uuid from runs r join tags t on t.run_uuid = r.run_uuid "
            "where t.key = 'stage' and t.value = ? order by r.start_time"
        )
        file = self.folder / "mlflow.db"
        if not file.is_file():
            return []
        with contextlib.closing(sqlite3.connect(file)) as database:
            try:
                return [row[0] for row in database.execute(query, (stage,))]
            except sqlite3.OperationalError:
                return []

    def leftovers(self) -> list[str]:
        """Returns temporary files and folders, which a command that has ended leaves none of."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("partial-*"))
