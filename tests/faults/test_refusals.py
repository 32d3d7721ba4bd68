"""What is full, locked, not writable or gone is told in one line with exit code 2, and no file is lost."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import mlflow
import pytest
from sqlalchemy import sql
from tests.conftest import ROOT
from tests.databases import own_database
from tests.faults.project import Done, Project
from tests.faults.scenarios import FETCH, PREDICT, SCENARIOS, TARGET, TRAIN

from nanonuclei.cli import main

pytestmark = [pytest.mark.slow]

NOBODY = "http://127.0.0.1:9"
"""Where no tracking server listens, nor ever will: the port is that of the discard protocol."""
AT_ONCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
WITH_TRACKING = {
    "train": TRAIN,
    "fetch": FETCH,
    "explore": ("explore", "nuclei", "--dataset", "simulated"),
    "evaluate": ("evaluate", "--run", "0" * 32),
    "promote": ("promote", "nuclei", "--model", "nuclei"),
    "prepare": ("prepare", "nuclei"),
}
"""Commands that keep runs."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project as the current folder, with a database of its own that is not made yet."""
    made = Project(tmp_path / "project")
    SCENARIOS["fetch"].make_ready(made)
    SCENARIOS["predict"].make_ready(made)
    monkeypatch.chdir(made.folder)
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    with own_database(made.folder):
        yield made


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[[Sequence[str]], Done]:
    """Runs a command in this process; what it raises fails the test, as it would be a traceback."""

    def run(words: Sequence[str]) -> Done:
        capsys.readouterr()
        code = main(list(words))
        told = capsys.readouterr()
        return Done(code, told.out + told.err, 0.0)

    return run


Call = Callable[[Sequence[str]], Done]


def check_told(done: Done, *words: str) -> None:
    """Makes sure that a command has refused in one line."""
    assert done.code == 2, done.output[-2000:]
    assert "Traceback" not in done.output, done.output[-3000:]
    (line,) = [line for line in done.output.splitlines() if line.startswith("Error: ")]
    assert all(word in line for word in words), line


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", WITH_TRACKING)
def test_a_tracking_server_that_is_gone_is_told(
    name: str, project: Project, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(project.folder / "data")
    for variable, value in AT_ONCE.items():
        monkeypatch.setenv(variable, value)
    mlflow.set_tracking_uri(NOBODY)
    check_told(call(WITH_TRACKING[name]), NOBODY, "must answer, but does not")
    assert contents(project.folder / "data") == before


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Holds a database as a process that writes does."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("begin exclusive")
        yield
        database.execute("rollback")


def test_a_locked_database_is_told_and_the_next_call_works(
    project: Project, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sql.text  # MLflow has every one of its sessions wait 20 s; how long does not matter here
    monkeypatch.setattr(sql, "text", lambda words: real(words.replace("busy_timeout = 20000", "busy_timeout = 500")))
    assert call(FETCH).code == 0
    with locked(project.folder / "mlflow.db"):
        check_told(call(FETCH), "mlflow.db", "locked", "Wait until no other process")
    assert call(FETCH).code == 0


def test_a_database_that_a_killed_process_left_half_made_is_told(project: Project, call: Call) -> None:
    with contextlib.closing(sqlite3.connect("mlflow.db")) as database:
        database.execute("create table experiments (experiment_id integer primary key)")
    check_told(call(FETCH), "must have all its tables", "Remove the file if it holds no runs yet")


def test_a_file_that_is_no_database_is_told_and_kept(project: Project, call: Call) -> None:
    Path("mlflow.db").write_text("not a database, but somebody's notes" * 100)
    before = contents(project.folder)
    check_told(call(FETCH), "mlflow.db", "not a database")
    assert contents(project.folder) == before


LIMITED = """
import resource, signal, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from nanonuclei.cli import main
sys.exit(main(sys.argv[2:]))
"""


def run_limited(project: Project, most_bytes: int, words: tuple[str, ...]) -> Done:
    """Runs a command that can write no file of more bytes, as on a disk that is full."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "NANONUCLEI_"))}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(most_bytes), *words],
        cwd=project.folder,
        env={**kept, "PYTHONPATH": str(ROOT / "src"), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return Done(done.returncode, done.stdout, 0.0)


def test_a_full_disk_during_fetch_keeps_the_data_set(project: Project, call: Call) -> None:
    assert call(FETCH).code == 0  # makes the database, which must still grow below the limit
    target, size = project.folder / TARGET, (project.folder / "mlflow.db").stat().st_size
    before = target.read_bytes()
    with zipfile.ZipFile(project.folder / "new.zip", "a") as archive:
        archive.writestr("a/masks/large.png", random.Random(0).randbytes(2 * size))
    check_told(run_limited(project, size + size // 2, FETCH), "cannot write", "File too large", "Free space")
    assert target.read_bytes() == before
    assert project.leftovers() == []


def test_a_full_disk_before_the_database_is_made_leaves_none(project: Project) -> None:
    check_told(run_limited(project, 50_000, FETCH), "mlflow.db")
    assert not (project.folder / "mlflow.db").exists()
    assert project.leftovers() == []


def test_a_full_disk_during_predict_keeps_what_was_done(project: Project, call: Call) -> None:
    check_told(run_limited(project, 700, PREDICT), "cannot write", "Free space")
    assert project.leftovers() == []
    assert call((*PREDICT, "--resume")).code == 0


@pytest.fixture
def make_read_only() -> Iterator[Callable[[Path], None]]:
    """Makes folders read-only; root ignores modes, so for root they are mounted or marked so, where that works."""
    undo: list[list[str]] = []

    def make(folder: Path) -> None:
        if os.geteuid():
            folder.chmod(0o555)
            return
        for way, back in (
            (["mount", "--bind", "-o", "ro", str(folder), str(folder)], ["umount", str(folder)]),
            (["chattr", "+i", str(folder)], ["chattr", "-i", str(folder)]),
        ):
            with contextlib.suppress(OSError):
                if subprocess.run(way, capture_output=True, check=False).returncode == 0:
                    undo.append(back)
                    return
        pytest.skip("root writes everywhere, and no folder can be made read-only here")

    yield make
    for words in undo:
        subprocess.run(words, capture_output=True, check=False)


def test_a_read_only_folder_is_told(project: Project, call: Call, make_read_only: Callable[[Path], None]) -> None:
    before = contents(project.folder / "data")
    make_read_only(project.folder / TARGET.parent)
    check_told(call(FETCH), "cannot write", "rights")
    assert contents(project.folder / "data") == before


@pytest.mark.parametrize("words", [PREDICT, ("label", "--images", "images", "--output", "found")])
def test_an_output_that_cannot_be_made_is_told(words: tuple[str, ...], project: Project, call: Call) -> None:
    (project.folder / "found").write_text("a file where a folder should be")
    below = tuple("found/below" if word == "found" else word for word in words)
    check_told(call(below), "found")
    assert (project.folder / "found").read_text() == "a file where a folder should be"


def test_a_full_disk_while_images_are_prepared_is_told_and_leaves_nothing(
    project: Project, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.parent.name == "labels":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    before = contents(project.folder / "data")
    check_told(call(("prepare", "nuclei")), "No space left on device", "Free space")
    assert contents(project.folder / "data") == before
    assert not (project.folder / "build" / "nuclei" / "prepared").exists()
    assert project.leftovers() == []
    assert set(project.run_states().values()) == {"FAILED"}
