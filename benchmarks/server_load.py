"""What a server holds under the largest images that it accepts: times, memory, refusals, and small requests beside.

    PYTHONPATH=src python benchmarks/server_load.py

The model that comes along is logged and served by `mlflow models serve` from an empty folder. Sent are: an image beyond
the bound, the largest allowed one alone, six of them at once with small requests beside, an image of specks that is
shown enlarged, and the largest in eight views, which takes too long. Wanted: memory at most 1.5 GB, every answer within
60 s, small ones (256 x 256 px) within 5 s.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import psutil
from endurance import SHIPPED, log_shipped

from nanonuclei.data.files.reading import read_single
from nanonuclei.serving.probe import Server, served

Answer = tuple[int, float, str, bytes]
"""Status, seconds, `Retry-After`, content."""


class Peak:
    """The largest resident memory of one process of the server, bytes."""

    def __init__(self, server: Server) -> None:
        root = psutil.Process(server.pid)
        self._processes = [root, *root.children(recursive=True)]
        self.most = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        try:
            while True:
                self.most = max(self.most, *(process.memory_info().rss for process in self._processes))
                time.sleep(0.02)
        except psutil.NoSuchProcess:
            return


def ask(server: Server, body: bytes) -> Answer:
    connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=180)
    started = time.perf_counter()
    connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, time.perf_counter() - started, response.getheader("Retry-After") or "", content


def request(image: np.ndarray, **params: object) -> bytes:
    text = base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()
    return json.dumps({"dataframe_split": {"columns": ["image"], "data": [[text]]}, "params": params}).encode()


def nuclei(side: int) -> np.ndarray:
    tile = read_single((SHIPPED / "examples" / "simulated-1.png").read_bytes())
    times = -(-side // min(tile.shape))
    return np.tile(tile, (times, times))[:side, :side]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served(log_shipped(folder), folder=folder) as server:
            peak, answers = Peak(server), []

            def tell(what: str, *given: Answer) -> None:
                answers.extend(given)
                waits = (f" (again in {wait} s)" if wait else "" for _, _, wait, _ in given)
                shown = ", ".join(f"{one[0]} in {one[1]:.1f} s{wait}" for one, wait in zip(given, waits, strict=True))
                print(f"{what:34} {shown}   peak {peak.most / 1e6:.0f} MB", flush=True)

            beyond = ask(server, request(np.zeros((65_535, 1000), np.uint8)))
            tell("65,535 x 1000 px", beyond)
            most = int(json.loads(beyond[3])["message"].split("at most ")[1].split(" px")[0])
            side, small = int(most**0.5), request(nuclei(256))
            print(f"accepts {most:,} px, {side} x {side}")
            tell("256 x 256 px", ask(server, small))
            large = request(nuclei(side))
            tell("the largest", ask(server, large))
            specks = cv2.resize(nuclei(4500), (1500, 1500), interpolation=cv2.INTER_AREA)
            tell("specks, 1500 x 1500 px", ask(server, request(specks)))
            with ThreadPoolExecutor(6) as threads:
                many = [threads.submit(ask, server, large) for _ in range(6)]
                time.sleep(1.0)
                beside = [ask(server, small) for _ in range(6)]
                tell("six of the largest at once", *(one.result() for one in many))
            tell("256 x 256 px beside them", *beside)
            tell("the largest in 8 views", ask(server, request(nuclei(side), num_views=8)))
            slowest = max(seconds for _, seconds, _, _ in answers)
            slowest_small = max(seconds for _, seconds, _, _ in beside)
            print(f"peak {peak.most / 1e6:.0f} MB (wanted <= 1500), slowest {slowest:.1f} s (wanted <= 60)")
            print(f"small beside large: slowest {slowest_small:.1f} s (wanted <= 5)")


if __name__ == "__main__":
    main()
