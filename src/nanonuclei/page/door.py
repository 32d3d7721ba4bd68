"""The door of the page: only this page itself may ask, only for so much, and browsers are told to keep to it.

Another page in the same browser can send requests to loopback (cross-site request forgery), and can point its own name
there (DNS rebinding). So the name that a request is sent to must be one of this machine, and a request that changes
something must come from the page: by its origin, and by a header that no other page can send unasked.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ASKER, PAGE = "x-asked-by", "nanonuclei"
"""Header, and its value, that the page sends with each request that changes something."""

UPLOAD = "/api/images"
"""Where images are sent to."""

MOST_TEXT = 2**16
"""Bytes of the body of any other request."""

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
"""Of every answer."""


class Door:
    """Lets requests through to an application, or refuses them in one sentence.

    Args:
        app: The application.
        names: Names of this machine, small letters, that the page may be called by.
        addresses: Whether any address in numbers will do: a rebound name is none.
        max_bytes: Largest body of an upload.
    """

    def __init__(self, app: ASGIApp, *, names: Sequence[str], addresses: bool, max_bytes: int) -> None:
        self._app, self._names, self._addresses, self._max_bytes = app, frozenset(names), addresses, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        most = self._max_bytes if scope["path"] == UPLOAD else MOST_TEXT
        status, sentence = self._refusal(scope["method"], headers, most)
        if status:
            await _answer(send, status, sentence)
            return
        taken, started = 0, False

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            return message if taken <= most else {"type": "http.disconnect"}

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start" and taken <= most:
                started = True
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *own]}
            if started:
                await send(message)

        await self._app(scope, counted, with_headers)
        if not started and taken > most:
            await _answer(send, 413, _too_large(most))

    def _refusal(self, method: str, headers: dict[str, str], most: int) -> tuple[int, str]:
        """Returns status and sentence of a refusal; 0 where the request may pass."""
        host = headers.get("host", "")
        if not self._is_own(host):
            return 421, f"this page must be opened by the address that it printed, got {host[:100] or 'no host'}"
        if method in ("GET", "HEAD"):
            return 0, ""
        origin = headers.get("origin")
        if headers.get(ASKER) != PAGE or (origin is not None and origin.partition("://")[2] != host):
            return 403, "a request must come from the page itself. Open the page, and drop the image there"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            return 413, _too_large(most)
        return 0, ""

    def _is_own(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and host.count(":") != 0 else host
        name = name.strip("[]").lower()
        if name in self._names:
            return True
        return self._addresses and _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _too_large(most: int) -> str:
    amount = f"{most // 2**20} MiB" if most >= 2**20 else f"{most // 2**10} KiB"
    return f"a file must have at most {amount}. Cut the image into parts, or use the command predict"


async def _answer(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"message": sentence}).encode()
    headers = {**HEADERS, "content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
