"""What happens to a request before its body is read, and to its work when its client is gone."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from mlflow.pyfunc import scoring_server
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from nanonuclei.serving.admission import entrance as module
from nanonuclei.serving.admission.capacity import Capacity
from nanonuclei.serving.admission.entrance import Body, Entrance, open_entrance
from nanonuclei.serving.admission.ticket import CURRENT, check
from nanonuclei.serving.refusal import Refused, busy

CAPACITY = Capacity(num_pixels=1000, num_bytes=1000, body_bytes=3000, seconds=20.0, speed=1e6)


class Client:
    """A request, and whether the one who sent it is still there."""

    def __init__(self, content: bytes = b"{}", *, length: str | None = "", broken_off: bool = False) -> None:
        length = str(len(content)) if length == "" else length
        self.headers = {} if length is None else {"content-length": length}
        self.gone = asyncio.Event()
        self.was_read = False
        self._content, self._broken_off = content, broken_off

    async def stream(self) -> AsyncIterator[bytes]:
        self.was_read = True
        yield self._content
        if self._broken_off:
            raise ClientDisconnect

    async def receive(self) -> dict[str, str]:
        await self.gone.wait()
        return {"type": "http.disconnect"}


async def echo(request: Any) -> Response:
    body = await request.body()
    return Response(body.take())


def answer(client: Client, endpoint: Callable[..., Awaitable[Any]] = echo) -> Response:
    async def ask() -> Response:
        return await Entrance(CAPACITY)(endpoint)(client)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("client", "status", "sentence"),
    [
        (lambda: Client(length=None), 411, "must tell its length"),
        (lambda: Client(length="many"), 411, "must tell its length"),
        (lambda: Client(length="1001"), 413, "at most 1000 bytes, got 1001"),
    ],
)
def test_a_request_without_or_with_too_great_a_length_is_refused_once_it_has_been_sent(
    client: Callable[[], Client], status: int, sentence: str
) -> None:
    async def never(_: Any) -> Response:
        raise AssertionError

    sent = client()
    refused = answer(sent, never)
    assert refused.status_code == status
    assert sentence in json.loads(refused.body)["message"]
    assert sent.was_read  # a client that is still sending would see a broken connection instead


def test_no_more_of_a_refused_body_is_read_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_DISCARDED", 10)

    class Endless(Client):
        async def stream(self) -> AsyncIterator[bytes]:
            while True:
                yield b"12345"

    assert answer(Endless(length="1001")).status_code == 413


def test_a_request_is_handed_on_with_its_body() -> None:
    assert answer(Client(b"some bytes")).body == b"some bytes"


def test_a_body_is_held_no_longer_than_until_it_is_taken() -> None:
    body = Body(b"abc")
    assert (body.take(), len(body), body.take()) == (b"abc", 3, b"")


def test_a_request_that_breaks_off_is_not_worked_on() -> None:
    async def never(_: Any) -> Response:
        raise AssertionError

    assert answer(Client(broken_off=True), never).status_code == 499


def test_what_is_busy_is_a_503_with_retry_after() -> None:
    async def full(_: Any) -> Response:
        raise busy("the server is full", seconds=7.2)

    refused = answer(Client(), full)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "8")
    assert json.loads(refused.body)["message"] == "the server is full. Ask again in 8 s"


def test_what_is_wrong_is_a_400_without_retry_after() -> None:
    async def wrong(_: Any) -> Response:
        raise Refused("no image")

    refused = answer(Client(), wrong)
    assert refused.status_code == 400
    assert "retry-after" not in refused.headers


def test_work_stops_when_the_client_goes_away_and_leaves_its_place() -> None:
    begun = threading.Event()

    def work() -> None:
        while True:  # as a network that answers window by window
            begun.set()
            time.sleep(0.01)
            check()

    async def endpoint(_: Any) -> Response:
        await asyncio.to_thread(work)
        raise AssertionError

    async def ask() -> Entrance:
        entrance, client = Entrance(CAPACITY), Client()
        answered = asyncio.ensure_future(entrance(endpoint)(client))
        await asyncio.to_thread(begun.wait)
        client.gone.set()
        await asyncio.wait_for(answered, 60)  # for ever, unless it is stopped
        return entrance

    entrance = asyncio.run(ask())
    assert (entrance._free_bytes, entrance._num_inside) == (CAPACITY.body_bytes, 0)
    assert CURRENT.get() is None


def test_more_requests_than_there_is_room_for_are_told_to_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(module, "MOST_IN_FLIGHT", 4)
    release = asyncio.Event()

    async def waiting(_: Any) -> Response:
        await release.wait()
        return Response()

    async def ask() -> list[Response]:
        entrance = Entrance(CAPACITY)
        first = [asyncio.ensure_future(entrance(waiting)(Client(b"x" * 400))) for _ in range(3)]
        await asyncio.wait(first[2:])  # three bodies of 400 bytes, held three times, are more than 3000
        many = [asyncio.ensure_future(entrance(waiting)(Client(b"x"))) for _ in range(3)]
        await asyncio.wait(many[2:])
        release.set()
        return list(await asyncio.gather(*first, *many))

    answers = asyncio.run(ask())
    statuses = [one.status_code for one in answers]
    assert statuses == [200, 200, 503, 200, 200, 503]
    assert all(int(one.headers["retry-after"]) >= 1 for one in answers if one.status_code == 503)


def test_the_entrance_stands_where_mlflow_makes_its_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring_server, "_async_catch_mlflow_exception", scoring_server._async_catch_mlflow_exception)
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")  # MLflow sets it
    open_entrance(CAPACITY)
    monkeypatch.setattr(scoring_server, "invocations", None)

    class Model:
        """All that MLflow asks of a model before it serves it."""

        class metadata:  # noqa: N801
            """Of the model."""

            get_input_schema = staticmethod(lambda: None)

    app = scoring_server.init(Model())
    (route,) = [route for route in app.routes if route.path == "/invocations"]
    assert route.endpoint.__wrapped__.__name__ == "transformation"
    assert asyncio.run(route.endpoint(Client(length=None))).status_code == 411
