"""What of an image file is looked at: a channel, focal planes, a recording and a time; and what there is to choose."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nanonuclei.data.contents import Contents
from nanonuclei.data.files.planes.channels import GREY, UnchosenChannelError, channel_index
from nanonuclei.data.files.planes.unsaid import PAGES
from nanonuclei.errors import DataError
from nanonuclei.page.uploads import Upload
from nanonuclei.tasks.base import Reader


@dataclass(frozen=True)
class View:
    """What of a file is looked at.

    Attributes:
        channel: Number from 0, or name; None: a colour image as it is.
        z: Focal planes: ``max``, ``mean`` or the number of one.
        scene: Number of the recording, from 0.
        time: Number of the time, from 0.
        axes: What the axes of the file are, of those that it may have; None where it tells them.
    """

    channel: int | str | None
    z: int | str = "max"
    scene: int = 0
    time: int = 0
    axes: str | None = None


def parse_view(given: object) -> View:
    """Reads a view from JSON.

    Raises:
        DataError: It is none.
    """
    if not isinstance(given, Mapping) or set(given) - {"channel", "z", "scene", "time", "axes"}:
        raise DataError("a view must be an object with channel, z, scene, time and axes. Load the page again")
    channel, z, axes = given.get("channel"), given.get("z", "max"), given.get("axes")
    numbers = [given.get("scene", 0), given.get("time", 0)]
    kinds = (str, int, type(None))
    if not (
        isinstance(channel, kinds)
        and isinstance(z, str | int)
        and isinstance(axes, str | None)
        and all(type(one) is int for one in numbers)
    ):
        raise DataError("a view must tell its parts as numbers and names. Load the page again")
    return View(channel, z, scene=numbers[0], time=numbers[1], axes=axes)


def described(upload: Upload, reader: Reader, evident: Callable[[Upload], int | None]) -> dict[str, Any]:
    """Returns what the page tells of an image file and lets the user choose, as JSON.

    Args:
        upload: The image.
        reader: Of the model.
        evident: Tells which channel alone shows objects; called where no name of a channel says it.
    """

    @functools.cache
    def found() -> int | None:
        return evident(upload)

    readings = []
    for axes, holds in upload.readings.items():
        searched = found if axes == upload.axes else lambda: None
        recordings = [_recording(one, reader, searched) for one in holds]
        readings.append({"value": axes, "text": _pages(axes, upload), "recordings": recordings})
    told = {"id": upload.id, "file": upload.file, "bytes": upload.size, "recordings": readings[0]["recordings"]}
    return {**told, "axes": upload.axes, "readings": readings if len(readings) > 1 else []}


def _pages(axes: str | None, upload: Upload) -> str:
    """Returns what pages are under some of the axes that a file may have; empty where there is no choice."""
    others = "".join(other for other in upload.readings if other and other != axes)
    return next(
        (word.capitalize() for letter, word in PAGES.items() if axes and letter in axes and letter not in others), ""
    )


def _recording(contents: Contents, reader: Reader, evident: Callable[[], int | None]) -> dict[str, Any]:
    names = contents.channel_names
    options: list[dict[str, Any]] = []
    if contents.colour:
        options = [{"value": None, "text": "All colours"}, {"value": GREY, "text": "Brightness"}]
    options += [{"value": number, "text": _called(number, name)} for number, name in enumerate(names)]
    channel, note = _usual_channel(contents, reader, evident)
    if channel not in [option["value"] for option in options]:
        options.insert(0, {"value": channel, "text": str(channel).capitalize()})
    return {
        "height": contents.height,
        "width": contents.width,
        "planes": contents.num_planes,
        "times": contents.num_times,
        "channels": options,
        "channel": channel,
        "note": note,
    }


def _usual_channel(
    contents: Contents, reader: Reader, evident: Callable[[], int | None]
) -> tuple[int | str | None, str]:
    """Returns the channel that is shown first, and what the user is told where that is a guess."""
    names, colour = contents.channel_names, contents.colour
    if len(names) == 1 and not colour:
        return 0, ""
    try:
        index = channel_index(names, reader.channel, stains=reader.stains, colour=colour)
    except UnchosenChannelError:
        unsaid = f"The file does not say which channel shows the {reader.noun.many}. Choose it above: this is channel"
        channel = evident()
        if channel is None or channel >= len(names):
            return 0, f"{unsaid} 0."
        return channel, f"{unsaid} {channel}, which alone shows some."
    except DataError:
        return 0, f"The file has no channel {reader.channel!r}. Choose another above: this is channel 0."
    return (reader.channel if index is None else index), ""


def _called(number: int, name: str) -> str:
    return f"{number}: {name}" if name else f"Channel {number}"
