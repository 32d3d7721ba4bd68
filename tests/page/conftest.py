"""The page on a port of loopback, with a network that is bright where the image is and counts its calls."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import requests
import uvicorn
from tests.stages.bright_model import READING

from nanonuclei.listening import bound
from nanonuclei.page.door import ASKER, PAGE
from nanonuclei.page.server import Address, application, decoded_limits
from nanonuclei.page.workbench import Workbench
from nanonuclei.serving.named import NamedModel, OpenedModel
from nanonuclei.tasks.nuclei.config import NucleiExperiment

BRIGHT = {**READING, "normalize.kind": "range", "windows.diameter": "none"}


@dataclass
class Client:
    """Asks a page as its own script does."""

    url: str
    calls: list[tuple[int, ...]] = field(default_factory=list)
    folder: Path = Path()
    view: dict[str, Any] = field(default_factory=lambda: {"channel": 0, "z": "max", "scene": 0, "time": 0})

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {ASKER: PAGE, **more.pop("headers", {})}
        return requests.request(method, self.url + path, headers=headers, timeout=120, **more)

    def upload(self, content: bytes | np.ndarray, name: str = "discs.png") -> dict[str, Any]:
        body = content if isinstance(content, bytes) else cv2.imencode(".png", content)[1].tobytes()
        answer = self.ask("POST", "/api/images", data=body, headers={"x-file-name": name})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def objects(self, key: str, *, view: dict[str, Any] | None = None, **values: Any) -> requests.Response:
        return self.ask("POST", f"/api/images/{key}/objects", json={"view": view or self.view, "values": values})

    def file(self, key: str, kind: str, **values: Any) -> requests.Response:
        query = {"view": json.dumps(self.view), "values": json.dumps(values)}
        return self.ask("GET", f"/api/images/{key}/files/{kind}", params=query)


@contextlib.contextmanager
def running(opened: OpenedModel, folder: Path) -> Iterator[str]:
    """Serves a page; yields its address."""
    folder.mkdir(exist_ok=True)
    address = Address(port=0)
    with bound(address.host, address.port) as listening:
        app = application(Workbench(opened, limits=decoded_limits()), address, folder=folder)
        config = uvicorn.Config(app, lifespan="off", log_level="critical", ws="none", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 120
        while not server.started:
            assert time.monotonic() < deadline, "the page did not start"
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


@pytest.fixture
def page(experiment: Callable[..., NucleiExperiment], tmp_path: Path) -> Iterator[Client]:
    """A page of nuclei, which are the bright pixels."""
    calls: list[tuple[int, ...]] = []

    def network(batch: np.ndarray) -> np.ndarray:
        calls.append(batch.shape)
        return batch[..., :1]

    opened = OpenedModel(NamedModel("bright", tmp_path), experiment(BRIGHT), network)
    with running(opened, tmp_path / "uploads") as url:
        yield Client(url, calls, tmp_path / "uploads")
