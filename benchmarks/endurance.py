"""Does a server grow: many small requests to the model that comes along, and its memory before and after.

    PYTHONPATH=src python benchmarks/endurance.py --requests 10000

The model is logged and served by `mlflow models serve` from an empty folder. A tenth of the requests are wrong in turn:
no image, a broken one, one that is too large. Memory is that of the process that answers, resident, after a first 500
requests and after all; wanted: at most 5 % more. Every answer must be a 200, or a 400 where the request is wrong.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import mlflow
import numpy as np
import psutil

from nanonuclei.config.params import to_yaml
from nanonuclei.serving.folder import CONFIG
from nanonuclei.serving.named import open_model
from nanonuclei.serving.probe import Server, post, served
from nanonuclei.serving.store import log_files
from nanonuclei.stages.places import PARAMS
from nanonuclei.tasks.nuclei.simulate.images import simulate_nuclei

SHIPPED = Path("models", "nuclei")
WARM_UP, IN_FLIGHT, WRONG_EVERY = 500, 4, 10
MOST_GROWTH = 0.05


def log_shipped(folder: Path) -> Path:
    """Logs the model that comes along; returns the folder of the logged model."""
    opened = open_model(str(SHIPPED), missing_from=PARAMS)
    files = Path(shutil.copytree(SHIPPED, folder / "files"))
    (files / CONFIG).write_text(to_yaml(opened.config), encoding="utf-8")
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("e", artifact_location=(folder / "a").as_uri()))
    with mlflow.start_run():
        uri = log_files(files, opened.config)
    return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder / "model")))


def request(content: bytes) -> bytes:
    text = base64.b64encode(content).decode()
    return json.dumps({"dataframe_split": {"columns": ["image"], "data": [[text]]}}).encode()


def requests(side: int) -> tuple[list[bytes], list[bytes]]:
    """Returns right and wrong requests."""
    images = [sample.image for sample in simulate_nuclei(8, size=side, seed=0)]
    files = [cv2.imencode(".png", image)[1].tobytes() for image in images]
    large = cv2.imencode(".png", np.zeros((9000, 9000), np.uint8))[1].tobytes()
    wrong = [b"{}", request(files[0][:-30]), request(b"no image"), request(large)]
    return [request(file) for file in files], wrong


def worker_memory(server: Server) -> int:
    """Bytes of the process that answers: the largest of the server's."""
    root = psutil.Process(server.pid)
    return max(process.memory_info().rss for process in (root, *root.children(recursive=True)))


def ask_all(server: Server, right: list[bytes], wrong: list[bytes], numbers: range) -> Counter[tuple[bool, int]]:
    """Sends requests; returns how often each status came, by whether the request was wrong."""

    def ask(number: int) -> tuple[bool, int]:
        is_wrong = number % WRONG_EVERY == 0
        bodies = wrong if is_wrong else right
        body = bodies[number // WRONG_EVERY % len(wrong)] if is_wrong else bodies[number % len(right)]
        return is_wrong, post(f"{server.address}/invocations", body)[0]

    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        return Counter(threads.map(ask, numbers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000, help="how many (%(default)s)")
    parser.add_argument("--side", type=int, default=64, help="of the images, px (%(default)s)")
    options = parser.parse_args()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    right, wrong = requests(options.side)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served(log_shipped(folder), folder=folder) as server:
            ask_all(server, right, wrong, range(WARM_UP))
            before, started = worker_memory(server), time.perf_counter()
            statuses = ask_all(server, right, wrong, range(options.requests))
            seconds, after = time.perf_counter() - started, worker_memory(server)
    growth = after / before - 1
    print(f"{options.requests} requests in {seconds:.0f} s: {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after")
    print(f"growth {growth:+.1%} (wanted <= {MOST_GROWTH:.0%}); answers {dict(statuses)}")
    if growth > MOST_GROWTH or set(statuses) - {(False, 200), (True, 400)}:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
