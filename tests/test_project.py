"""The product as a user runs it: `mlflow run` in a copy of the project, killed, resumed, and without its server."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.clones import Commands, environment, runs
from tests.databases import put_database

pytestmark = [pytest.mark.slow]

MLFLOW = [sys.executable, "-m", "mlflow"]
TINY = (
    "network.depth=1 network.base_filters=4 train.patch_size=32 train.batch_size=2 train.steps_per_epoch=4 "
    "train.epochs=2 train.precision=float32 windows.size=64 windows.stride=64 evaluate.bootstrap=20 "
    "evaluate.num_panels=1 data.simulated.num_images=12 data.simulated.size=64"
)


@pytest.fixture
def clone(copy_project: Callable[[Path], Path], tmp_path: Path) -> Path:
    """A copy of the project's files."""
    return copy_project(tmp_path / "clone")


@pytest.fixture
def commands(clone: Path) -> Iterator[Commands]:
    """What runs commands in the clone; entry points find the package of their clone by themselves."""
    made = Commands(clone, PYTHONPATH="")
    yield made
    made.close()


def mlflow_run(commands: Commands, entry: str, *parameters: str) -> tuple[int, str]:
    """Runs an entry point; returns its exit status and what was printed."""
    words = [word for parameter in parameters for word in ("-P", parameter)]
    return commands.run(
        "mlflow", "run", ".", "-e", entry, "--env-manager", "local", "--experiment-name", "nuclei", *words
    )


def steps(database: Path, run_id: str, metric: str) -> list[int]:
    with sqlite3.connect(database) as connection:
        query = "select step from metrics where run_uuid = ? and key = ? order by step"
        return [row[0] for row in connection.execute(query, (run_id, metric))]


def start_training(clone: Path, settings: str, **more: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-u", "-m", "nanonuclei", "train", "nuclei", "--set", f"{TINY} {settings}"]
    with (clone / "training.log").open("wb") as log:
        return subprocess.Popen(
            words, cwd=clone, env=environment(clone, **more), stdout=log, stderr=log, start_new_session=True
        )


def begun_epoch(clone: Path) -> int:
    """Returns which epoch the training in progress is at, 0 before the first."""
    return max(map(int, re.findall(r"^Epoch (\d+)/", (clone / "training.log").read_text(), re.MULTILINE)), default=0)


def stored_epochs(clone: Path) -> tuple[str, int]:
    """Returns the run in progress and how many epochs it has stored."""
    for path in (clone / "scratch" / "runs").glob("*/state.json"):
        return path.parent.name, json.loads(path.read_text())["epochs"]
    return "", 0


def wait_for(clone: Path, condition: Callable[[], bool], *, seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        log = clone / "training.log"
        assert time.monotonic() < deadline, log.read_text() if log.exists() else "nothing was logged"
        time.sleep(0.05)


def test_main_job_runs_from_nothing_and_its_model_loads_in_an_empty_folder(
    clone: Path, commands: Commands, tmp_path: Path
) -> None:
    (clone / "mlflow.db").unlink()  # it makes its own
    code, said = mlflow_run(commands, "train", f"set={TINY}")
    assert code == 0, said
    assert said.count("No dataset in data/: using simulated nuclei") == 1
    assert "pixel accuracy" in said
    assert "mlflow ui" in said
    (run_id, tags), *others = runs(clone).items()
    assert others == []
    assert (tags["state"], tags["stage"], tags["dataset.name"]) == ("FINISHED", "train", "simulated")
    assert run_id in said

    empty = tmp_path / "empty"
    empty.mkdir()
    program = (
        "import sys, mlflow, pandas as pd\n"
        f"model = mlflow.pyfunc.load_model({tags['model.uri']!r})\n"
        "found = model.predict(model.input_example)\n"
        "assert not any('clone' in path for path in sys.path if not path.endswith('code')), sys.path\n"
        "print('columns', *found.columns)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        cwd=empty,
        env={
            **environment(clone),
            "PYTHONPATH": "",
            "MLFLOW_TRACKING_URI": f"sqlite:///{clone / 'mlflow.db'}",
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert "columns image object y0 x0 y1 x1 area score run_lengths" in loaded.stdout

    code, said = mlflow_run(commands, "evaluate", f"run={run_id}", "split=val")
    assert code == 0, said
    child = next(tags for other, tags in runs(clone).items() if other != run_id)
    assert (child["state"], child["mlflow.parentRunId"]) == ("FINISHED", run_id)

    code, said = mlflow_run(commands, "promote", f"run={run_id}")
    assert code != 0
    assert "must have been trained on real images, got simulated" in said
    assert "Refused: version 1 of nuclei stays challenger." in said
    promotion = next(tags for tags in runs(clone).values() if tags.get("stage") == "promote")
    assert (promotion["decision"], promotion["mlflow.parentRunId"]) == ("refused", run_id)
    code, said = commands.run("nanonuclei", "promote", "nuclei", "--rollback", "true")
    assert (code, "nuclei has no champion that could be rolled back" in said) == (2, True)


def test_wrong_settings_leave_no_run_in_progress(clone: Path, commands: Commands) -> None:
    code, said = mlflow_run(commands, "train", "set=train.epoch=3")
    assert code != 0
    assert "Did you mean train.epochs" in said
    assert {tags["state"] for tags in runs(clone).values()} == {"FAILED"}


def test_comparison_trains_what_is_not_there_and_then_takes_it(clone: Path, commands: Commands) -> None:
    (clone / "fast.yaml").write_text("train.learning_rate: 0.01\n")
    asked = {"recipes": "default ./fast.yaml", "seeds": "1", "dataset": "simulated", "set": TINY}
    code, said = mlflow_run(commands, "compare", *(f"{name}={value}" for name, value in asked.items()))
    assert code == 0, said
    found = runs(clone)
    (parent,) = (run_id for run_id, tags in found.items() if tags["stage"] == "compare")
    trained = {tags["recipe"]: tags for tags in found.values() if tags["stage"] == "train"}
    assert set(trained) == {"default", "fast"}
    assert {tags["mlflow.parentRunId"] for tags in trained.values()} == {parent}
    assert {tags["state"] for tags in found.values()} == {"FINISHED"}
    assert len({tags["split.fingerprint"] for tags in trained.values()}) == 1
    assert found[parent]["verdict"] in said

    words = [word for name, value in asked.items() for word in (f"--{name}", value)]
    code, said = commands.run("nanonuclei", "compare", "nuclei", *words)
    assert code == 0, said
    assert said.count("(from before)\n") >= 2
    after = runs(clone)
    assert sorted(tags["stage"] for tags in after.values()) == ["compare", "compare", "train", "train"]


def test_training_killed_at_any_moment_ends_in_the_same_run_with_the_epochs_asked_for(
    clone: Path, commands: Commands
) -> None:
    process = start_training(clone, "train.epochs=6 train.steps_per_epoch=30")
    wait_for(clone, lambda: begun_epoch(clone) >= 3)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    run_id, before = stored_epochs(clone)
    assert 1 <= before < 6  # epochs this short are not stored one by one
    assert runs(clone)[run_id]["state"] == "RUNNING"

    code, said = mlflow_run(commands, "train", f"resume={run_id}")
    assert code == 0, said
    found = runs(clone)
    assert found[run_id]["state"] == "FINISHED"
    assert steps(clone / "mlflow.db", run_id, "val/loss") == [1, 2, 3, 4, 5, 6]
    assert [tags["resumes"] for tags in found.values() if "resumes" in tags] == [run_id]
    assert f"Epoch {before}/6" not in said
    assert f"Epoch {before + 1}/6" in said


def test_interrupted_training_is_recorded_as_killed(clone: Path) -> None:
    process = start_training(clone, "train.epochs=50 train.steps_per_epoch=30")
    wait_for(clone, lambda: stored_epochs(clone)[1] >= 1)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(60) == 130
    assert {tags["state"] for tags in runs(clone).values()} == {"KILLED"}
    assert "Traceback" not in (clone / "training.log").read_text()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Callable[[], subprocess.Popen[bytes]]]]:
    """A tracking server's address, and a function that starts it, also again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "server"
    folder.mkdir()
    put_database(folder)
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        words = [*MLFLOW, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        stores = ["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", str(folder / "artifacts")]
        with (folder / "server.log").open("ab") as log:
            started.append(
                subprocess.Popen(
                    [*words, *stores],
                    cwd=folder,
                    env=environment(folder),
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        for _ in range(1200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return started[-1]
            time.sleep(0.1)
        raise TimeoutError((folder / "server.log").read_text())

    yield f"http://127.0.0.1:{port}", start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_training_goes_on_while_its_server_is_away_and_its_metrics_arrive_afterwards(
    clone: Path, tmp_path: Path, server: tuple[str, Callable[[], subprocess.Popen[bytes]]]
) -> None:
    address, start = server
    serving = start()
    own_retries_only = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}  # those of MLflow would wait up to two minutes
    process = start_training(
        clone, "train.epochs=8 train.steps_per_epoch=30", MLFLOW_TRACKING_URI=address, **own_retries_only
    )
    wait_for(clone, lambda: begun_epoch(clone) >= 2)
    os.killpg(serving.pid, signal.SIGKILL)
    serving.wait()
    run_id, away_since = stored_epochs(clone)[0], begun_epoch(clone)
    wait_for(clone, lambda: begun_epoch(clone) >= min(8, away_since + 2))
    assert process.poll() is None
    start()
    assert process.wait(300) == 0, (clone / "training.log").read_text()
    assert steps(tmp_path / "server" / "mlflow.db", run_id, "train/loss") == list(range(1, 9))
