"""Many workers on a real PostgreSQL server, some of them killed, and a server that goes away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tune.base import COMPLETE, DIED, Search, open_search
from nanonuclei.tune.reaching import ended_in_database

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("worker.py")
TRIALS = 12
SETTINGS = {"tune.heartbeat": 1, "tune.grace": 4, "tune.epochs": 4, "tune.optuna.pruner": "none"}

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(postgresql: str, tmp_path: Path) -> Iterator[Start]:
    """Starts workers: `start("study", trials=12)`; one that is held stays in its first trial."""
    started: list[subprocess.Popen[bytes]] = []

    def run(study: str, *, trials: int = TRIALS, held: bool = False) -> subprocess.Popen[bytes]:
        task = {
            "params": str(ROOT / "params.yaml"),
            "settings": SETTINGS,
            "study": study,
            "trials": trials,
            "held": held,
            "folder": str(tmp_path),
            "storage": postgresql,
            "log": str(tmp_path / "log.jsonl"),
        }
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        with (tmp_path / "output.txt").open("ab") as output:
            words = [sys.executable, str(WORKER), json.dumps(task)]
            started.append(subprocess.Popen(words, env=environment, stdout=output, stderr=output))
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def notes(folder: Path) -> list[dict[str, Any]]:
    path = folder / "log.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def wait_until(condition: Callable[[], bool], folder: Path, *, seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, (folder / "output.txt").read_text()
        time.sleep(0.05)


def wait_for_trial(worker: subprocess.Popen[bytes], folder: Path) -> int:
    """Waits until a worker has begun a trial; returns the number of its last one."""
    wait_until(lambda: any(note["pid"] == worker.pid for note in notes(folder)), folder)
    return [int(note["number"]) for note in notes(folder) if note["pid"] == worker.pid][-1]


def let_go(folder: Path, num_workers: int) -> None:
    """Waits until so many workers are ready, then lets those begin that are held in their first trial."""
    wait_until(lambda: len(list(folder.glob("ready-*"))) >= num_workers, folder)
    (folder / "go-held").touch()


def test_killed_workers_lose_no_trial_and_none_runs_twice(
    start: Start, postgresql: str, tmp_path: Path, experiment: Callable[..., NucleiExperiment]
) -> None:
    workers = [start("killed", held=place < 2) for place in range(4)]
    let_go(tmp_path, 4)
    lost = [wait_for_trial(victim, tmp_path) for victim in workers[:2]]
    (tmp_path / "go").touch()
    survivors = {worker.pid for worker in workers[2:]}
    wait_until(lambda: any(note["pid"] in survivors for note in notes(tmp_path)), tmp_path)
    for victim in workers[:2]:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    for survivor in workers[2:]:
        assert survivor.wait(300) == 0, (tmp_path / "output.txt").read_text()

    search = Search("killed", experiment(SETTINGS).tune, {}, TRIALS, 7, tmp_path, postgresql)
    records = {record.number: record for record in open_search("optuna", search).records()}
    assert Counter(record.state for record in records.values()) == {COMPLETE: TRIALS, DIED: 2}
    assert sorted(number for number, record in records.items() if record.state == DIED) == sorted(lost)

    ended = Counter(json.dumps(note["settings"]) for note in notes(tmp_path) if note["event"] == "end")
    begun = Counter(json.dumps(note["settings"]) for note in notes(tmp_path) if note["event"] == "begin")
    assert len(ended) == TRIALS
    assert set(ended.values()) == {1}
    assert begun == ended + Counter(json.dumps(records[number].settings) for number in lost)
    retries = {note["retry_of"]: note for note in notes(tmp_path) if note["retry_of"] is not None}
    assert sorted(retries) == sorted(lost)
    assert {note["pid"] for note in retries.values()} <= survivors


def test_last_worker_waits_for_the_trial_of_one_that_was_killed(
    start: Start, postgresql: str, tmp_path: Path, experiment: Callable[..., NucleiExperiment]
) -> None:
    search = Search("last", experiment(SETTINGS).tune, {}, 1, 7, tmp_path, postgresql)
    victim = start("last", trials=1, held=True)
    let_go(tmp_path, 1)
    assert wait_for_trial(victim, tmp_path) == 0
    assert ended_in_database(search) is None
    (tmp_path / "go").touch()
    other = start("last", trials=1)
    wait_until(lambda: "Waiting for trials that run elsewhere" in (tmp_path / "output.txt").read_text(), tmp_path)
    victim.kill()
    victim.wait()
    assert other.wait(240) == 0
    assert [note["pid"] for note in notes(tmp_path) if note["event"] == "end"] == [other.pid]
    assert ended_in_database(search) == 1  # the repetition is no second trial


def test_worker_that_fell_silent_leaves_its_trial_to_the_other(start: Start, tmp_path: Path) -> None:
    silent = start("silent", trials=1, held=True)
    let_go(tmp_path, 1)
    assert wait_for_trial(silent, tmp_path) == 0
    silent.send_signal(signal.SIGSTOP)
    (tmp_path / "go").touch()
    other = start("silent", trials=1)
    assert other.wait(240) == 0
    (tmp_path / "release").touch()
    silent.send_signal(signal.SIGCONT)
    assert silent.wait(240) == 0
    assert "was taken over by another worker" in (tmp_path / "output.txt").read_text()
    assert [note["pid"] for note in notes(tmp_path) if note["event"] == "end"] == [other.pid]
