"""A server with the model that comes along, under loads that should not harm it: time, memory and queues over HTTP."""

from __future__ import annotations

import base64
import http.client
import json
import math
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import mlflow
import numpy as np
import psutil
import pytest
from tests.conftest import ROOT
from tests.data.files.synthetic import tiff
from tests.databases import own_database

from nanonuclei.config.params import to_yaml
from nanonuclei.data.files.reading import read_single
from nanonuclei.serving.admission.capacity import SHARE_OF_TIME, USUAL_TIMEOUT
from nanonuclei.serving.admission.entrance import MOST_IN_FLIGHT
from nanonuclei.serving.admission.lanes import LONGEST_WAIT_SHARE
from nanonuclei.serving.folder import CONFIG
from nanonuclei.serving.named import open_model
from nanonuclei.serving.probe import Server, served
from nanonuclei.serving.store import log_files

pytestmark = [pytest.mark.slow, pytest.mark.alone]

MEMORY = 1_000_000_000
"""Bytes that the server may take; by itself 1.5 GB."""
SECONDS_SMALL, SECONDS_LARGE = 5.0, 60.0
SHOWN = ROOT / "models" / "nuclei"


@dataclass(frozen=True)
class Answer:
    status: int
    seconds: float
    retry_after: str | None
    content: bytes


class Watch:
    """The largest memory of the server's processes, bytes, and their processor time."""

    def __init__(self, server: Server) -> None:
        root = psutil.Process(server.pid)
        self._processes = [root, *root.children(recursive=True)]
        self.peak, self._done = 0, threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, *(process.memory_info().rss for process in self._processes))

    def work(self) -> float:
        return sum(process.cpu_times().user + process.cpu_times().system for process in self._processes)

    def stop(self) -> None:
        self._done.set()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("load")
    opened = open_model(str(SHOWN), missing_from=ROOT / "params.yaml")
    files = Path(shutil.copytree(SHOWN, folder / "files"))
    (files / CONFIG).write_text(to_yaml(opened.config), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, own_database(folder):
        patch.chdir(folder)
        with mlflow.start_run():
            uri = log_files(files, opened.config)
        model = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder / "model")))
    with served(model, folder=folder, settings={"NANONUCLEI_MEMORY": str(MEMORY)}) as running:
        yield running


@pytest.fixture(scope="module")
def watch(server: Server) -> Iterator[Watch]:
    watch = Watch(server)
    yield watch
    watch.stop()


def ask(server: Server, body: bytes) -> Answer:
    connection = connected(server)
    started = time.perf_counter()
    connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return Answer(response.status, time.perf_counter() - started, response.getheader("Retry-After"), content)


def connected(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=120)


def body_of(content: bytes, **params: object) -> bytes:
    rows = [[base64.b64encode(content).decode()]]
    return json.dumps({"dataframe_split": {"columns": ["image"], "data": rows}, "params": params}).encode()


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def nuclei(side: int) -> np.ndarray:
    """Simulated nuclei, ``(side, side)`` uint8."""
    tile = read_single((SHOWN / "examples" / "simulated-1.png").read_bytes())
    times = -(-side // min(tile.shape))
    return np.tile(tile, (times, times))[:side, :side]


def largest_side(server: Server) -> int:
    """Side of the largest square that the server accepts, as it says itself."""
    told = json.loads(ask(server, body_of(png(np.zeros((9000, 9000), np.uint8)))).content)["message"]
    return int(int(told.split("at most ")[1].split(" px")[0]) ** 0.5)


def is_idle(watch: Watch) -> bool:
    """Whether the server does next to nothing for a second."""
    before = watch.work()
    time.sleep(1.0)
    return watch.work() - before < 0.3


def wait_for_work(watch: Watch, *, seconds: float = 0.5) -> None:
    """Waits until the server has worked so many seconds of the processor from now on."""
    before = watch.work()
    while watch.work() - before < seconds:
        time.sleep(0.02)


def too_many(seconds: float) -> int:
    """Large requests, each of which takes so many seconds, of which the last would wait twice as long as one may.

    They stay fewer than the requests that come in at a time, so that small ones still do.
    """
    longest_wait = LONGEST_WAIT_SHARE * SHARE_OF_TIME * USUAL_TIMEOUT
    return min(MOST_IN_FLIGHT - 8, max(8, math.ceil(2 * longest_wait / seconds)))


def test_images_beyond_the_bound_are_refused_at_once(server: Server, watch: Watch) -> None:
    wide = png(np.zeros((1000, 65_535), np.uint8))
    flat = tiff(np.zeros((16_384, 4_096), np.uint8), compression="zstd")
    for content in (wide, flat):
        answer = ask(server, body_of(content))
        assert answer.status == 400
        assert answer.seconds < SECONDS_SMALL
    assert watch.peak < MEMORY


def test_small_requests_are_answered_beside_the_largest_and_too_many_large_ones_are_told_when_to_come_again(
    server: Server, watch: Watch
) -> None:
    side = largest_side(server)
    assert side > 1000
    large, small = body_of(png(nuclei(side))), body_of(png(nuclei(256)))
    alone = ask(server, small)
    first, second = ask(server, large), ask(server, large)  # from now on the server knows how long one takes
    assert {first.status, second.status} == {200}
    num_large = too_many(min(first.seconds, second.seconds))
    with ThreadPoolExecutor(num_large) as threads:
        many = [threads.submit(ask, server, large) for _ in range(num_large)]
        wait_for_work(watch)
        beside = [ask(server, small) for _ in range(3)]
        answers = [one.result() for one in many]
    assert [one.status for one in beside] == [200] * 3
    assert all(one.content == alone.content for one in beside)
    assert max(one.seconds for one in beside) < max(SECONDS_SMALL, first.seconds / 2)  # which waits for none of them
    assert {one.status for one in answers} == {200, 503}
    assert all(int(one.retry_after or 0) >= 1 for one in answers if one.status == 503)
    assert max(one.seconds for one in answers) < max(SECONDS_LARGE, 4 * first.seconds)
    assert watch.peak < MEMORY


def test_an_image_of_specks_is_not_enlarged_beyond_the_bound(server: Server, watch: Watch) -> None:
    side = largest_side(server)
    specks = cv2.resize(nuclei(3 * side // 4 * 4), (side, side), interpolation=cv2.INTER_AREA)
    answer = ask(server, body_of(png(specks)))
    assert answer.status == 400
    assert "as its objects are small" in json.loads(answer.content)["message"]
    assert watch.peak < MEMORY


def test_work_for_a_client_that_is_gone_stops(server: Server, watch: Watch) -> None:
    image, before = png(nuclei(largest_side(server))), watch.work()
    assert ask(server, body_of(image)).status == 200
    one_view = watch.work() - before
    connection = connected(server)
    connection.request("POST", "/invocations", body_of(image, num_views=8), {"Content-Type": "application/json"})
    wait_for_work(watch, seconds=one_view / 2)
    connection.close()
    before = watch.work()
    while not is_idle(watch):
        assert watch.work() - before < 4 * one_view, "the work goes on"
    assert ask(server, body_of(png(nuclei(64)))).status == 200
