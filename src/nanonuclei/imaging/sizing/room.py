"""Whether there is room to show an image to the network in another size: asked before it is enlarged."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

ROOM: ContextVar[Callable[[int], None] | None] = ContextVar("room", default=None)
"""Takes the px of an enlarged image, and returns when there is room for it or raises; None: there is always room.
Servers set it."""


def ask_for_room(num_pixels: int) -> None:
    """Returns when an image of so many px may be made."""
    if (ask := ROOM.get()) is not None:
        ask(num_pixels)
