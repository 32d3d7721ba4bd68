"""Which channel of an image is meant by a number, a name, or nothing; and colours as one grey image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.files.numeric import as_light
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Image
from nanonuclei.invocation import option

_ELSEWHERE = "".join(
    rf"(?<!{word})(?<!{word}[\W_])"
    for word in (r"\bno", "non", "not", "extra", "peri", "cyto", "mono", "multi", r"\bbi", "poly")
)
"""Lookbehinds: not after these words, with or without a sign between, as in non-nuclear."""

_WORD_ENDS = r"l?(eo)?s?(?![a-z])|lei(?!c(?![a-z]))|leus|lear|blue|red|green|spot"
"""What follows nuc in words for nuclei and their dyes; nucleic is none of them."""

NUCLEAR_STAINS = (
    r"dapi",
    r"hoechst|h-?333?42|h-?33258|bisbenzimid",
    rf"{_ELSEWHERE}nuc({_WORD_ENDS}|(?-i:(?<=[Nn]uc)(?!View)[A-Z]))",  # NucMarker, but not NucleoSpin
    r"h2b|histone",
    r"draq|sytox|syto\b|to-?pro|propidium|picogreen|\bdna\b",
)
"""Names of channels that show nuclei, regular expressions without regard to case, in order of preference."""

GREY = "grey"
"""Name of the only channel of a grey image, and of the brightness of a colour image."""

BRIGHTEST = "brightest"
"""Name of what each pixel's brightest colour shows in a colour image, and of the only channel of a grey image."""


class UnchosenChannelError(DataError):
    """Several channels, none of which is chosen by name, number or stain.

    Attributes:
        num_channels: How many there are.
    """

    def __init__(self, message: str, num_channels: int) -> None:
        super().__init__(message)
        self.num_channels = num_channels


def channel_index(
    names: Sequence[str],
    channel: int | str | None,
    *,
    stains: Sequence[str] = (),
    colour: bool = False,
    setting: str = "",
) -> int | None:
    """Finds a channel by its number or its name, whatever the case of its letters.

    Args:
        names: Names of the channels, empty where they have none.
        channel: Number from 0, or name; None: the only one, or the one that `stains` names.
        stains: Regular expressions, in order of preference.
        colour: Whether the channels are red, green and blue of one image.
        setting: What the user changes to choose another one; empty: the option of `predict`.

    Returns:
        Its number; None stands for the colour image as a whole, or for its brightness or
        brightest colour where `grey` or `brightest` was asked for.

    Raises:
        DataError: There is no such channel.
        UnchosenChannelError: There are several and none is chosen. The message lists them.
    """
    known = ", ".join(f"{number} {name}".rstrip() for number, name in enumerate(names))
    if channel is None:
        if colour:
            return None
        if len(names) == 1:
            return 0
        for stain in stains:
            found = [number for number, name in enumerate(names) if re.search(stain, name, re.IGNORECASE)]
            if found:
                return found[0]
        raise UnchosenChannelError(
            f"holds {len(names)} channels, and none is chosen: {known}. Name one with `{option('channel', '0')}`",
            len(names),
        )
    if isinstance(channel, int):
        if 0 <= channel < len(names):
            return channel
    elif channel in names:
        return list(names).index(channel)
    elif channel in (GREY, BRIGHTEST) and (colour or len(names) == 1):
        return None if colour else 0
    else:
        lower = [name.lower() for name in names]
        if lower.count(channel.lower()) == 1:
            return lower.index(channel.lower())
    remedy = f"Change {setting}" if setting else f"Name another with `{option('channel', 'C')}`"
    raise DataError(f"no channel {channel!r}; there are: {known}. {remedy}")


def grey_of(colours: NDArray[Any], channel: int | str | None) -> Image:
    """Returns a colour image in grey: its brightness, or each pixel's brightest colour where that was asked for.

    Args:
        colours: ``(height, width, 3)`` of any type.
        channel: `BRIGHTEST`, or what else stands for the brightness.
    """
    return as_light(colours.max(axis=-1)) if channel == BRIGHTEST else brightness(colours)


def brightness(colours: NDArray[Any]) -> Image:
    """Returns the brightness of a colour image, ``(height, width)`` of its own type.

    Raises:
        DataError: The image is not of 8 or 16 bit.
    """
    if colours.dtype not in (np.uint8, np.uint16):
        raise DataError(f"brightness of colours of type {colours.dtype} is not defined. Name red, green or blue")
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(colours), cv2.COLOR_RGB2GRAY))
