"""Does a model serve where there is nothing of this repository: started in an empty folder and asked once."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import psutil
from mlflow.exceptions import MlflowException

PATIENCE_SECONDS = 300.0
"""How long a server may take to start."""


@dataclass(frozen=True)
class Server:
    """A server at work.

    Attributes:
        address: Such as ``http://127.0.0.1:5001``.
        pid: Of the process that started it; its children answer.
    """

    address: str
    pid: int


def problem(uri: str, *, patience: float = PATIENCE_SECONDS) -> str:
    """Serves a model from an empty folder, sends its own example, and looks at the answer.

    Args:
        uri: Of a logged model.
        patience: Seconds to wait for the server.

    Returns:
        What went wrong in one line; empty where nothing did.
    """
    with tempfile.TemporaryDirectory(prefix="nanonuclei-probe-") as name:
        folder = Path(name)
        try:
            model = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder / "model")))
        except MlflowException as error:
            return f"its files cannot be had: {' '.join(str(error).split())[:300]}"
        example = model / "serving_input_example.json"
        if not example.is_file():
            return "it holds no example of a request"
        try:
            with served(model, folder=folder, patience=patience) as server:
                status, answer = post(f"{server.address}/invocations", example.read_bytes())
        except RuntimeError as error:
            return str(error)
        found = answer.get("predictions") if isinstance(answer, dict) else None
        if status != 200 or not isinstance(found, list):
            return f"it answers its own example with status {status}: {str(answer)[:200]}"
    return ""


@contextlib.contextmanager
def served(
    model: Path, *, folder: Path, patience: float = PATIENCE_SECONDS, settings: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Serves a model with `mlflow models serve`, without pickle, and without any variable that tells of this place.

    Args:
        model: Folder of the model.
        folder: The server's working folder, where it writes `server.log`.
        patience: Seconds to wait until it answers.
        settings: Environment variables for it.

    Yields:
        The server, once it answers.

    Raises:
        RuntimeError: It does not start.
    """
    port = free_port()
    words = ["models", "serve", "-m", str(model), "--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words],
            cwd=folder,
            env={**bare_environment(), **(settings or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            server = Server(f"http://127.0.0.1:{port}", process.pid)
            _wait(f"{server.address}/ping", process, patience, log)
            yield server
        finally:
            _kill(process.pid)
            process.wait()


def _kill(pid: int) -> None:
    """Kills a process and all that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        server = psutil.Process(pid)
        for process in [*server.children(recursive=True), server]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def bare_environment() -> dict[str, str]:
    """Returns this process's environment without what leads back here: paths of modules and variables of MLflow."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW_", "NANONUCLEI_", "PYTHON", "DVC_"))
    }
    scripts = str(Path(sys.executable).parent)
    return {
        **kept,
        "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }


def post(address: str, body: bytes, *, kind: str = "application/json", seconds: float = 120.0) -> tuple[int, Any]:
    """Sends a request; returns status and answer, which is read as JSON where it is JSON."""
    request = urllib.request.Request(address, data=body, headers={"Content-Type": kind}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=seconds) as response:
            status, text = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text.decode(errors="replace")


def free_port() -> int:
    """Returns a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(address: str, process: subprocess.Popen[bytes], patience: float, log: Path) -> None:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if process.poll() is not None:
            lines = log.read_text(errors="replace").strip().splitlines()
            raise RuntimeError(f"its server ended before it answered: {(lines or ['without a word'])[-1][:300]}")
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as response:
            if response.status == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"its server did not answer within {patience:g} s")
