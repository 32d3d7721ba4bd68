"""Serves the page until it is interrupted, on loopback unless told; what was uploaded is deleted at the end."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from nanonuclei.data.files.limits import ImageLimits
from nanonuclei.listening import bound
from nanonuclei.page.app import Page
from nanonuclei.page.door import Door
from nanonuclei.page.uploads import Uploads
from nanonuclei.page.workbench import Workbench
from nanonuclei.serving.limits import limits
from nanonuclei.serving.named import OpenedModel

LOOPBACK = ("localhost", "127.0.0.1", "::1")

EVERYWHERE = ("0.0.0.0", "::")
"""Stand for all addresses of this machine."""

MOST_DECODED = 2**30
"""Bytes of an image with all its channels, decoded."""

NAMES = "NANONUCLEI_PAGE_NAMES"
"""Environment variable: further names that the page is opened by, separated by commas, as a proxy before it has one."""

LAST_SECONDS = 10
"""Time for requests that are being answered when the page is closed."""


@dataclass(frozen=True)
class Address:
    """Where the page is served.

    Attributes:
        host: Name or number of an address of this machine.
        port: Number of a port; 0 for any that is free.
    """

    host: str = "127.0.0.1"
    port: int = 7860

    @property
    def is_loopback(self) -> bool:
        """Whether no other machine can reach it."""
        return self.host.lower() in LOOPBACK


def serve(opened: OpenedModel, address: Address, *, browser: bool, say: Callable[[str], None] = print) -> None:
    """Serves the page until Ctrl-C or a termination signal.

    Args:
        opened: The model.
        address: Where.
        browser: Whether to open a browser, where this machine has a screen.
        say: Told what the user should read.

    Raises:
        ConfigError: The address cannot be used.
    """
    with (
        bound(address.host, address.port) as listening,
        tempfile.TemporaryDirectory(prefix="nanonuclei-page-") as folder,
    ):
        listening.listen()
        port = listening.getsockname()[1]
        host = socket.gethostname() if address.host in EVERYWHERE else address.host
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"

        def ready() -> None:
            say(f"The page is at {url} (Ctrl-C closes it and deletes the images that were dropped on it).")
            if not address.is_loopback:
                say(
                    "Warning: everybody who reaches this machine can use the page: it has no password, and what is "
                    "sent is not encrypted. Leave out host to keep it to yourself."
                )
            sys.stdout.flush()  # also where it goes to a file or a pipe
            if browser and _has_screen():
                webbrowser.open(url)

        workbench = Workbench(opened, limits=decoded_limits())
        app = application(workbench, address, folder=Path(folder))
        config = uvicorn.Config(
            app,
            access_log=False,
            lifespan="off",
            log_level="critical",  # what fails is logged by `app`
            server_header=False,
            timeout_graceful_shutdown=LAST_SECONDS,
            ws="none",
        )
        with contextlib.suppress(KeyboardInterrupt):  # where a script's background job is deaf to it, uvicorn is not
            _Server(config, ready, workbench.close).run(sockets=[listening])
        say("The page is closed.")


def decoded_limits() -> ImageLimits:
    """Returns what is decoded at most of an image on the page."""
    return ImageLimits(num_pixels=limits({})["max_pixels"], num_bytes=MOST_DECODED)


def application(workbench: Workbench, address: Address, *, folder: Path) -> ASGIApp:
    """Returns the page with the door before it.

    Args:
        workbench: Finds objects with a model.
        address: Where it is served.
        folder: Holds the images that are dropped on it.
    """
    max_bytes = limits({})["max_bytes"]
    page = Page(workbench, Uploads(folder, limits=decoded_limits()), max_bytes=max_bytes)
    given = (name.strip().lower() for name in os.environ.get(NAMES, "").split(","))
    names = {*LOOPBACK, address.host.lower(), *filter(None, given)}
    if not address.is_loopback:
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return Door(page.application(), names=sorted(names), addresses=not address.is_loopback, max_bytes=max_bytes)


class _Server(uvicorn.Server):
    """A server that says when it answers, and ends the work of others when it closes."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], close: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready, self._close = ready, close

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to answer."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Waits for the requests that are being answered, and for no network."""
        self._close()
        await super().shutdown(sockets)


def _has_screen() -> bool:
    """Tells whether a browser can show something here; on Linux without a screen one in the terminal would start."""
    return sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
