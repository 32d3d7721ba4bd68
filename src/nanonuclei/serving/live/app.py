"""The ASGI application of a live server: MLflow's protocol, and metrics, drift and the version in every answer."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from nanonuclei.serving.live.drift import DriftState
from nanonuclei.serving.live.follow import Follower
from nanonuclei.serving.live.metrics import Metrics
from nanonuclei.serving.live.notes import Notes, taking_notes
from nanonuclei.serving.live.totals import Totals
from nanonuclei.serving.live.versions import Served

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PREDICT, METRICS, HEALTH = "/invocations", "/metrics", "/health"
HIDDEN = ("/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json")
"""Pages of MLflow's server that tell of its inside; answered 404."""
VERSION_HEADER, DRIFT_HEADER = b"nanonuclei-version", b"nanonuclei-drift"
LONGEST_HEADER = 300


class LiveApp:
    """Answers what `mlflow models serve` answers, through the version that is current when a request arrives.

    Args:
        follower: Knows the current version.
        metrics: Where requests are counted for Prometheus.
        totals: Where they are counted for MLflow.
    """

    def __init__(self, follower: Follower, metrics: Metrics, totals: Totals) -> None:
        self._follower = follower
        self._metrics = metrics
        self._totals = totals

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one request; see the ASGI specification."""
        if scope["type"] != "http":
            await _lifespan(receive, send)
            return
        path, served = scope["path"], self._follower.current
        if path == METRICS:
            await _answer(send, 200, self._metrics.text(), kind=b"text/plain; version=0.0.4; charset=utf-8")
        elif path in HIDDEN:
            await _answer(send, 404, b'{"detail": "Not Found"}')
        elif path == HEALTH:
            await _answer(send, 200 if served else 503, json.dumps(self._health(served)).encode())
        elif served is None:
            trouble = {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "no version of the model is ready to answer"}
            await _answer(send, 503, json.dumps(trouble).encode(), headers=[(b"retry-after", b"5")])
        elif path == PREDICT:
            await self._predict(served, scope, receive, send)
        else:
            await served.app(scope, receive, send)

    async def _predict(self, served: Served, scope: Message, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        with taking_notes() as notes:

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    seconds = time.perf_counter() - started
                    state = self._note(served, notes, status=message["status"], seconds=seconds)
                    message["headers"] = [*message.get("headers", []), *_headers(served, state)]
                await send(message)

            await served.app(scope, receive, send_noted)

    def _note(self, served: Served, notes: Notes, *, status: int, seconds: float) -> DriftState:
        """Counts a request; all of it runs in the one thread of the event loop."""
        images = notes.images if status == 200 else []
        self._metrics.answered(served.key, status=status, seconds=seconds)
        self._totals.add(images, status=status, seconds=seconds)
        for image in images:
            self._metrics.seen(served.key, image)
            served.drift.add(image.features)
        state = served.drift.state()
        self._metrics.drifted(served.key, state)
        return state

    def _health(self, served: Served | None) -> dict[str, object]:
        return {
            "model": str(self._follower.followed),
            "version": served.number if served else None,
            "origin": served.origin if served else "",
            "trouble": self._follower.trouble,
            "drift": served.drift.state().sentence if served else "",
        }


def _headers(served: Served, state: DriftState) -> list[tuple[bytes, bytes]]:
    value = "unknown" if math.isnan(state.value) else f"{state.value:.2f}"
    drift = f"{value}; {'unlike' if state.told else 'like'}; {state.sentence}" if value != "unknown" else state.sentence
    text = drift[:LONGEST_HEADER].encode("ascii", "replace")
    return [(VERSION_HEADER, f"{served.name}/{served.number}".encode()), (DRIFT_HEADER, text)]


async def _answer(
    send: Send,
    status: int,
    body: bytes,
    *,
    kind: bytes = b"application/json",
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    length = str(len(body)).encode()
    told = [(b"content-type", kind), (b"content-length", length), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
