"""The entrance of a server, before the body of a request is read: how many come in, and what becomes of their work.

Owns what happens on the network: sizes, queues, clients that are gone. `guard` owns what a request says. MLflow's
scoring server passes its only endpoint through a function that it calls by name; here that function gets our own in its
place.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

from nanonuclei.serving.admission.capacity import BODY_COPIES, Capacity
from nanonuclei.serving.admission.ticket import CURRENT, Ticket
from nanonuclei.serving.refusal import Refused, busy

MOST_IN_FLIGHT = 128
"""Requests that are inside at a time, most of them waiting for a place."""

PATIENCE_SECONDS = 15.0
"""How long a request waits for room for its body."""

MOST_DISCARDED = 2**30
"""Bytes of a refused body that are read; the connection of a client that sends more is closed."""

_NO_ANSWER = 499
"""Status of an answer that nobody reads, as web servers log it: the client closed the request."""

Endpoint = Callable[..., Awaitable[Any]]


def open_entrance(capacity: Capacity) -> None:
    """Puts the entrance before the server of this process, which is made after its model has been loaded."""
    scoring_server._async_catch_mlflow_exception = Entrance(capacity)


class Body:
    """The bytes of a request, which are held until they are taken.

    Args:
        content: The bytes.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._size = len(content)

    def __len__(self) -> int:
        return self._size

    def take(self) -> bytes:
        """Returns the bytes, once."""
        content, self._content = self._content, b""
        return content


class _Arrived:
    """A request as MLflow's endpoint asks for it, whose body has been read."""

    def __init__(self, headers: Any, body: Body) -> None:
        self.headers = headers
        self._body = body

    async def body(self) -> Body:
        return self._body


class Entrance:
    """Wraps MLflow's endpoint, see the head of this module.

    Args:
        capacity: What the server can do.
    """

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._free_bytes = capacity.body_bytes
        self._num_inside = 0
        self._changed = asyncio.Condition()
        self._has_threads = False

    def __call__(self, endpoint: Endpoint) -> Endpoint:
        """Returns the endpoint with the entrance before it."""

        @wraps(endpoint)
        async def entrance(request: Any) -> Any:
            try:
                return await self._admit(endpoint, request)
            except MlflowException as error:
                return _refusal(error)

        return entrance

    async def _admit(self, endpoint: Endpoint, request: Any) -> Any:
        ticket = Ticket(self._capacity.seconds)
        length = request.headers.get("content-length", "")
        if not length.isdecimal():
            await _discard(request)
            return _told(411, "LENGTH_REQUIRED", "a request must tell its length in Content-Length, but does not")
        if int(length) > self._capacity.num_bytes:
            await _discard(request)
            sentence = f"a request must have at most {self._capacity.num_bytes} bytes, got {length}"
            return _told(413, "REQUEST_TOO_LARGE", sentence)
        async with self._inside(int(length), request):
            content = await _whole_body(request)
            if content is None:
                return _told(_NO_ANSWER, "ABORTED", "the client is gone")
            CURRENT.set(ticket)
            arrived = _Arrived(request.headers, Body(content))
            del content
            work = asyncio.ensure_future(endpoint(arrived))
            gone = asyncio.ensure_future(request.receive())  # after the body nothing comes but the disconnection
            try:
                await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    ticket.give_up()
                return await asyncio.shield(work)
            finally:
                ticket.give_up()
                gone.cancel()
                with contextlib.suppress(Exception):
                    await work  # its thread goes on until it asks the ticket, and holds its memory until then

    @contextlib.asynccontextmanager
    async def _inside(self, num_bytes: int, request: Any) -> AsyncIterator[None]:
        """Waits for room for the body of a request, which has `num_bytes`.

        Raises:
            Refused: Too many are inside already, or there is no room within `PATIENCE_SECONDS`.
        """
        if not self._has_threads:  # the first request: the loop runs now
            self._has_threads = True
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(MOST_IN_FLIGHT))
        if self._num_inside >= MOST_IN_FLIGHT:
            await _discard(request)
            raise busy(f"the server has {self._num_inside} requests already", seconds=2)
        needed = BODY_COPIES * num_bytes
        self._num_inside += 1
        try:
            if not await self._take(needed):
                await _discard(request)
                raise busy("the server has no room for the request", seconds=PATIENCE_SECONDS)
            try:
                yield
            finally:
                async with self._changed:
                    self._free_bytes += needed
                    self._changed.notify_all()
        finally:
            self._num_inside -= 1

    async def _take(self, needed: int) -> bool:
        """Takes bytes for a body; returns whether they became free within `PATIENCE_SECONDS`."""
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: self._free_bytes >= needed), PATIENCE_SECONDS)
            except TimeoutError:
                return False
            self._free_bytes -= needed
            return True


async def _whole_body(request: Any) -> bytes | None:
    """Returns the body; None where the client is gone before its end."""
    from starlette.requests import ClientDisconnect

    try:
        return b"".join([chunk async for chunk in request.stream()])
    except ClientDisconnect:
        return None


async def _discard(request: Any) -> None:
    """Reads a body without holding it: most clients read no answer before they have sent all of their request."""
    from starlette.requests import ClientDisconnect

    num_bytes = 0
    with contextlib.suppress(ClientDisconnect):
        async for chunk in request.stream():
            num_bytes += len(chunk)
            if num_bytes > MOST_DISCARDED:
                return


def _refusal(error: MlflowException) -> Any:
    from starlette.responses import Response

    wait = error.retry_after if isinstance(error, Refused) else None
    return Response(
        content=error.serialize_as_json(),
        status_code=error.get_http_status_code(),
        media_type=scoring_server.CONTENT_TYPE_JSON,
        headers=None if wait is None else {"Retry-After": str(wait)},
    )


def _told(status: int, code: str, sentence: str) -> Any:
    from starlette.responses import Response

    body = json.dumps({"error_code": code, "message": sentence})
    return Response(content=body, status_code=status, media_type=scoring_server.CONTENT_TYPE_JSON)
