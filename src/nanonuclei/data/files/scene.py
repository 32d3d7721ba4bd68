"""One recording in an image file, before channels and projections are chosen; its planes are read when asked for."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Box

COLOURS = ("red", "green", "blue")
"""Names of the channels of a colour image."""

DAMAGED = "not a readable image: damaged, cut short or of another format"


LONGEST_NAME = 100
"""Characters of the name of a channel that are kept."""


def clean_name(name: str) -> str:
    """Returns the name of a channel as tables and terminals can show it: one line, no control characters, not long."""
    shown = "".join(letter if letter.isprintable() else " " for letter in name)
    return " ".join(shown.split())[:LONGEST_NAME]


@dataclass(frozen=True)
class Scene:
    """One recording: a stack of planes, all of one size and type.

    Attributes:
        axes: A letter per axis, the last ones being ``YX`` or ``YXS``: T times, Z focal planes, C channels, Y rows,
            X columns, S the samples of a pixel; other letters where the file does not say what an axis is.
        shape: Length of each axis.
        dtype: Type of the numbers.
        colour: Whether S counts red, green and blue.
        channel_names: One per channel, empty where it has none; of S where there is no C.
        pixel_size: Side of a pixel, micrometres; None where the file does not tell, or pixels are not square.
        read: Takes the index of each axis but ``YXS`` and returns ``(Y, X)`` or ``(Y, X, S)``. An index of S may be
            given too and then returns ``(Y, X)``, without decoding the other samples where the file allows it.
        window: The same for a part of the plane, without decoding the rest; takes the index, and ``y0, x0, y1, x1`` in
            px, half open, within the plane. None where the file does not allow it.
        lossy: Whether the file was compressed so that its numbers are near those that were saved, as by JPEG.
        note: What the user should know of the file, in a few words.
    """

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    colour: bool
    channel_names: tuple[str, ...]
    pixel_size: float | None
    read: Callable[[Mapping[str, int]], NDArray[Any]]
    window: Callable[[Mapping[str, int], Box], NDArray[Any]] | None = None
    lossy: bool = False
    note: str = ""

    @property
    def extents(self) -> dict[str, int]:
        """Length of each axis by its letter."""
        return dict(zip(self.axes, self.shape, strict=True))


@contextlib.contextmanager
def decoding(what: str = "image") -> Iterator[None]:
    """Turns whatever a decoder raises into a `DataError`; damaged files make them raise nearly anything.

    Args:
        what: How the message calls the file, such as ``TIFF``.
    """
    try:
        yield
    except DataError:
        raise
    except MemoryError as error:
        raise DataError("needs more memory to be decoded than this machine has. Cut it into parts") from error
    except struct.error as error:
        raise DataError(f"{DAMAGED}. Save it again as PNG or TIFF") from error
    except Exception as error:
        why = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(f"{DAMAGED.replace('image', what, 1)} ({why}). Save it again as PNG or TIFF") from error
