"""Serve: answers over HTTP with the version that an alias stands for, and changes to another when the alias moves."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn

from nanonuclei.errors import TrackingError
from nanonuclei.invocation import command
from nanonuclei.listening import bound, cannot_be_used
from nanonuclei.serving.live.app import LiveApp
from nanonuclei.serving.live.days import Days
from nanonuclei.serving.live.follow import Follower
from nanonuclei.serving.live.followed import parse_followed
from nanonuclei.serving.live.metrics import Metrics
from nanonuclei.serving.live.totals import Totals

NO_PICKLE = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"
"""Environment variable of MLflow: a model that needs pickle is not loaded."""
DRAIN_SECONDS = 60
"""How long requests that are being answered keep a server from ending."""


@dataclass(frozen=True)
class Address:
    """Where a server listens.

    Attributes:
        host: Name or address of a network interface.
        port: 1 to 65535.
    """

    host: str
    port: int


def serve(reference: str, address: Address, *, wait: bool = False, say: Callable[[str], None] = print) -> None:
    """Serves a registered model until the process is told to end.

    Args:
        reference: ``models:/NAME@ALIAS``, which is followed, or ``models:/NAME/VERSION``.
        address: Where to listen.
        wait: Whether to wait for a model that does not exist yet; until then requests are answered with 503.
        say: Told what the user should read.

    Raises:
        ConfigError: The address cannot be used.
        TrackingError: There is no such model, or it cannot serve, and `wait` is false.
    """
    with bound(address.host, address.port) as place:
        _serve(reference, address, place, wait=wait, say=say)


def _serve(reference: str, address: Address, place: socket.socket, *, wait: bool, say: Callable[[str], None]) -> None:
    os.environ.setdefault(NO_PICKLE, "false")
    followed, metrics, totals = parse_followed(reference), Metrics(), Totals()
    follower = Follower(followed, metrics)
    logging.getLogger("nanonuclei").setLevel(logging.INFO)
    if not follower.look(warn=False) and not wait:
        raise TrackingError(
            f"{follower.trouble}. Promote a model: {command('promote', task=followed.name, model=followed.name)}"
        )
    if follower.current is None:
        say(f"Waiting: {follower.trouble}.")
    days = Days(follower, totals)
    server = uvicorn.Server(
        uvicorn.Config(
            LiveApp(follower, metrics, totals),
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )
    follower.start()
    days.start()
    say(f"{reference} at http://{address.host}:{address.port}/invocations, its figures at /metrics. Ctrl-C ends it.")
    try:
        with contextlib.suppress(KeyboardInterrupt):  # where a script's background job is deaf to it, uvicorn is not
            server.run(sockets=[place])
    except OSError as error:  # somebody else began to listen in the meantime
        raise cannot_be_used(address.host, address.port, error) from error
    finally:
        follower.stop()
        days.stop()
    say("Ended.")
