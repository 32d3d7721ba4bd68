"""What serving costs: our model on ONNX Runtime against a plain `mlflow.keras` model of the same network.

    PYTHONPATH=src python benchmarks/serving.py [--model models:/nuclei@champion] [--rounds 5] [--requests 64]

Both are served in turn, `rounds` times, by `mlflow models serve` with one worker from an empty folder. Measured are
whole processes: seconds from the start to the first 200 on /ping, and resident memory of the worker after one answer.
Then our server alone: one 256 x 256 PNG through HTTP against the network's own time, and requests per second with 64
and with 2 in flight, of a simulated image of nuclei. Medians are printed. Without `--model` the network is that of
`params.yaml` with random weights: it costs as much as a trained one, but what it sees everywhere takes long to be read.
Wanted: start and memory <= 0.6, HTTP <= 1.3 x network + 15 ms, 64 in flight not slower than 2.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import keras
import mlflow
import numpy as np
import psutil
from mlflow.models import infer_signature

from nanonuclei.config.params import load_experiment, with_settings
from nanonuclei.engine.runtime import load_onnx
from nanonuclei.serving.folder import stored_config
from nanonuclei.serving.probe import Server, post, served
from nanonuclei.serving.store import CONFIG, ONNX, log_model
from nanonuclei.stages.places import PARAMS
from nanonuclei.tasks import create_task
from nanonuclei.tasks.nuclei.simulate.images import simulate_nuclei

SIZE = 256


def plain(config: object) -> keras.Model:
    """The network as layers that Keras knows: kernels that ours standardizes at each call are constants here."""
    weights = config.network.normalisation == "weights"
    settings = {"network.normalisation": "none"} if weights else {}
    return create_task(with_settings(config, settings)).build_network()


def log_both(folder: Path, *, uri: str) -> dict[str, Path]:
    """Returns the folders of a stored model, or of a new one, and of Keras's own."""
    stored = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder / "ours"))) if uri else None
    config = stored_config(stored / "artifacts" / CONFIG) if stored else load_experiment("nuclei", path=PARAMS)
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.create_experiment("serving", artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment("serving")
    with mlflow.start_run():
        if stored is None:
            ours = log_model(create_task(config).build_network(), config, folder=folder / "work")
            stored = Path(mlflow.artifacts.download_artifacts(ours, dst_path=str(folder / "ours")))
        batch = np.zeros((1, SIZE, SIZE, 3), np.float32)
        usual = mlflow.keras.log_model(plain(config), name="plain", signature=infer_signature(batch, batch)).model_uri
    return {
        "ours": stored,
        "mlflow.keras": Path(mlflow.artifacts.download_artifacts(usual, dst_path=str(folder / "k"))),
    }


def request(name: str) -> bytes:
    image = next(simulate_nuclei(1, size=SIZE, seed=0)).image
    if name == "ours":
        text = base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()
        return json.dumps({"dataframe_split": {"columns": ["image"], "data": [[text]]}}).encode()
    grey = image.reshape(SIZE, SIZE, -1)[..., :1]
    return json.dumps({"inputs": (grey[None].repeat(3, -1) / 255.0).round(3).tolist()}).encode()


def processes(server: Server) -> list[psutil.Process]:
    root = psutil.Process(server.pid)
    return [root, *root.children(recursive=True)]


def worker_memory(server: Server) -> float:
    """Megabytes of the process that answers: the largest of the server's."""
    return max(process.memory_info().rss for process in processes(server)) / 1e6


def work(server: Server) -> float:
    """CPU seconds that the server's processes have had; what else runs on the machine does not count."""
    return sum(process.cpu_times().user + process.cpu_times().system for process in processes(server))


def start(model: Path, name: str) -> tuple[float, float, float]:
    """Seconds to the first 200 on /ping, by the clock and of CPU time, and megabytes after one answer."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with served(model, folder=Path(folder), patience=900) as server:
            seconds, cpu = time.perf_counter() - started, work(server)
            status, answer = post(f"{server.address}/invocations", request(name))
            if status != 200:
                raise SystemExit(f"{name} answers {status}: {str(answer)[:300]}")
            return seconds, cpu, worker_memory(server)


def at_work(model: Path, *, requests: int) -> dict[str, float]:
    body = request("ours")
    network = load_onnx(model / "artifacts" / ONNX)
    batch = np.random.default_rng(0).random((1, SIZE, SIZE, 3), np.float32)
    with tempfile.TemporaryDirectory() as folder, served(model, folder=Path(folder), patience=900) as server:
        address = f"{server.address}/invocations"

        def ask(_: int) -> float:
            started = time.perf_counter()
            if post(address, body)[0] != 200:
                raise SystemExit("a request was refused")
            return time.perf_counter() - started

        def alone(_: int) -> float:
            started = time.perf_counter()
            network(batch)
            return time.perf_counter() - started

        def rate(in_flight: int) -> float:
            started = time.perf_counter()
            with ThreadPoolExecutor(in_flight) as threads:
                list(threads.map(ask, range(requests)))
            return requests / (time.perf_counter() - started)

        for number in range(3):
            ask(number)
            alone(number)
        pairs = [(ask(number), alone(number)) for number in range(requests)]  # in turn: both meet the same machine
        rates = [(rate(2), rate(64)) for _ in range(3)]
    return {
        "http": statistics.median(pair[0] for pair in pairs) * 1000,
        "network": statistics.median(pair[1] for pair in pairs) * 1000,
        "two": statistics.median(pair[0] for pair in rates),
        "many": statistics.median(pair[1] for pair in rates),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", metavar="URI", help="one of ours, such as models:/nuclei@champion")
    parser.add_argument("--rounds", type=int, default=5, help="starts of each server (%(default)s)")
    parser.add_argument("--requests", type=int, default=64, help="requests per measurement (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        models = log_both(Path(name), uri=options.model)
        found = {kind: [] for kind in models}
        for _ in range(options.rounds):
            for kind, model in models.items():
                found[kind].append(start(model, kind))
        figures = at_work(models["ours"], requests=options.requests)
    medians = {kind: [statistics.median(column) for column in zip(*rows, strict=True)] for kind, rows in found.items()}
    for place, what in enumerate(("seconds to /ping", "CPU seconds to /ping", "MB of the worker")):
        one, other = (medians[kind][place] for kind in ("ours", "mlflow.keras"))
        print(f"{what:28} ours {one:8.2f}   mlflow.keras {other:8.2f}   ratio {one / other:.2f} (wanted <= 0.6)")
    bound = 1.3 * figures["network"] + 15
    print(
        f"one {SIZE} x {SIZE} PNG over HTTP   {figures['http']:.1f} ms   (wanted <= {bound:.1f}: network alone "
        f"{figures['network']:.1f} ms)"
    )
    print(f"requests/s                   2 in flight {figures['two']:.1f}   64 in flight {figures['many']:.1f}")


if __name__ == "__main__":
    main()
