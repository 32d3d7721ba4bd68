"""A real server and registry: the alias moves under load, a broken version changes nothing, the day has its run."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pytest
import uvicorn
from mlflow.pyfunc import scoring_server
from mlflow.tracking import MlflowClient
from tests.databases import own_database

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.serving.live.app import LiveApp
from nanonuclei.serving.live.days import Days
from nanonuclei.serving.live.follow import Follower
from nanonuclei.serving.live.followed import Followed
from nanonuclei.serving.live.metrics import Metrics
from nanonuclei.serving.live.totals import Totals
from nanonuclei.serving.probe import free_port
from nanonuclei.serving.store import log_model

pytestmark = pytest.mark.slow

NAME, ALIAS = "bright", "champion"
NUM_REQUESTS, NUM_MOVES = 400, 8
"""While the alias moves; more requests are sent where it moves slowly."""
SECONDS_TO_RELOAD = 2.0


@dataclass
class Lab:
    """A server in a thread of this process, and the registry that it follows."""

    address: str
    follower: Follower
    days: Days

    def move(self, number: str) -> None:
        MlflowClient().set_registered_model_alias(NAME, ALIAS, number)

    def ask(self, body: bytes) -> tuple[int, str, bytes]:
        """Status, version and body of an answer."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}/invocations", data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers["nanonuclei-version"], answer.read()

    def health(self) -> dict[str, str]:
        with urllib.request.urlopen(f"{self.address}/health", timeout=60) as answer:
            return json.loads(answer.read())


@pytest.fixture(scope="module")
def lab(
    bright_network: object, served_config: ExperimentConfig, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """Versions 1 and 2 are the same model; version 3 has a network that is none."""
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch, own_database(folder):
        patch.chdir(folder)
        for name in ("invocations", "_async_catch_mlflow_exception"):  # what a model changes in MLflow's server
            patch.setattr(scoring_server, name, getattr(scoring_server, name))
        with mlflow.start_run():
            uri = log_model(bright_network, served_config, folder=folder / "work")
        broken = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder / "broken")))
        (broken / "artifacts" / "network.onnx").write_bytes(b"no network")
        client = MlflowClient()
        client.create_registered_model(NAME)
        for source in (uri, uri, str(broken)):
            client.create_model_version(NAME, source)
        client.set_registered_model_alias(NAME, ALIAS, "1")

        metrics, totals = Metrics(), Totals()
        follower = Follower(Followed(NAME, ALIAS), metrics)
        assert follower.look(), follower.trouble
        port = free_port()
        server = uvicorn.Server(uvicorn.Config(LiveApp(follower, metrics, totals), port=port, log_level="warning"))
        thread = threading.Thread(target=server.run)
        thread.start()
        follower.start()
        while not server.started:
            time.sleep(0.01)
        yield Lab(f"http://127.0.0.1:{port}", follower, Days(follower, totals, today=lambda: "2030-01-02"))
        follower.stop()
        server.should_exit = True
        thread.join()
    shutil.rmtree(folder, ignore_errors=True)


def wait_for(lab: Lab, number: str) -> float:
    """Seconds until a version answers."""
    started = time.monotonic()
    while lab.health()["version"] != number:
        assert time.monotonic() < started + 240
        time.sleep(0.02)
    return time.monotonic() - started


def test_no_request_is_lost_while_the_alias_moves_with_two_in_flight(
    lab: Lab, golden: np.ndarray, request_body: Callable[..., bytes]
) -> None:
    body, moved, over = request_body([golden]), [], threading.Event()

    def keep_moving() -> None:
        for number in itertools.cycle(["2", "1"]):
            if over.wait(0.1):
                return
            lab.move(number)
            moved.append(wait_for(lab, number))

    mover = threading.Thread(target=keep_moving)
    mover.start()
    try:
        answers: list[tuple[int, str, bytes]] = []
        with ThreadPoolExecutor(2) as threads:
            while len(answers) < NUM_REQUESTS or (len(moved) < NUM_MOVES and mover.is_alive()):
                answers += threads.map(lambda _: lab.ask(body), range(NUM_REQUESTS // 8))
    finally:
        over.set()
        mover.join()
    assert len(moved) >= NUM_MOVES
    assert {status for status, _, _ in answers} == {200}
    assert {version for _, version, _ in answers} == {f"{NAME}/1", f"{NAME}/2"}
    assert len({content for _, _, content in answers}) == 1


def test_server_changes_within_two_seconds_of_the_alias(lab: Lab) -> None:
    start = lab.health()["version"]
    other = "2" if start == "1" else "1"
    seconds = []
    for number in (other, start) * 3:
        lab.move(number)
        seconds.append(wait_for(lab, number))
    assert min(seconds) < SECONDS_TO_RELOAD, seconds  # other programs of the machine take time as well


def test_broken_version_leaves_the_old_one_and_is_told(
    lab: Lab, golden: np.ndarray, request_body: Callable[..., bytes]
) -> None:
    before = lab.health()["version"]
    lab.move("3")
    started = time.monotonic()
    while not lab.health()["trouble"]:
        assert time.monotonic() < started + 240
        time.sleep(0.05)
    assert lab.health()["trouble"].startswith(f"version 3 of {NAME} cannot serve: ")
    assert lab.ask(request_body([golden]))[1] == f"{NAME}/{before}"
    with urllib.request.urlopen(f"{lab.address}/metrics", timeout=60) as answer:
        assert 'nanonuclei_reloads_total{result="refused"} 1.0' in answer.read().decode()
    lab.move(before)


def test_every_day_has_one_finished_run_with_what_was_answered(
    lab: Lab, golden: np.ndarray, request_body: Callable[..., bytes]
) -> None:
    lab.days.write()
    body = request_body([golden, golden])
    counts = []
    for _ in range(2):
        lab.ask(body)
        run = MlflowClient().get_run(lab.days.write())
        counts.append((run.data.metrics["serve/requests"], run.data.metrics["serve/images"]))
    assert counts[1][0] - counts[0][0] == 1
    assert counts[1][1] - counts[0][1] == 2
    assert run.info.status == "FINISHED"
    assert run.info.run_name == f"serve {NAME} 2030-01-02"
    assert lab.days.write() == ""  # nothing was answered since
