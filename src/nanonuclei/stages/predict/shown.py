"""The images of a call as the network takes them, read one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nanonuclei.data.files.axes import Choice, Plane
from nanonuclei.data.files.planes.channels import UnchosenChannelError
from nanonuclei.data.files.reading import iter_image_file
from nanonuclei.data.lists.remote import Source, content_at, state_of
from nanonuclei.errors import NanonucleiError
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.types import Float32Array
from nanonuclei.invocation import option
from nanonuclei.stages.predict.large.windows import LargeImage, large_images
from nanonuclei.stages.predict.request import Request
from nanonuclei.tasks.base import Reader

CLEAR = 3.0
"""Times as many sure objects as in any other channel that a channel without a name must show to be taken."""

FEWEST = 2.0
"""Sure objects that it must show at least."""

MOST_LETTERS = 2000
"""Of an error that names what stands in a file; readers of tables refuse cells of 131,072."""


@dataclass(frozen=True)
class Shown:
    """An image as the network takes it, or why there is none; `ends` alone says that its file has no further image.

    `state` is that of the file before it was read, see `state_of`; `num_images` counts the images of the file, 0 where
    that cannot be told.
    """

    name: str
    file: str
    plane: Plane | None = None
    pixels: Float32Array | None = None
    large: LargeImage | None = None
    state: str = ""
    num_images: int = 0
    error: str = ""
    ends: bool = False


class Images:
    """Reads the images of a call.

    Attributes:
        names: Of the images that were found so far, those that are left out too.
    """

    def __init__(self, request: Request, reader: Reader, network: Network) -> None:
        self._reader, self._network = reader, network
        channel = reader.channel if request.channel is None else request.channel
        self._choice = Choice(channel=channel, z=request.z, axes=request.axes, stains=reader.stains)
        self._taken: Counter[int] = Counter()
        self.names: set[str] = set()

    def of(self, paths: Mapping[str, Source], files: Mapping[str, str], *, done: Mapping[str, str]) -> Iterator[Shown]:
        """Yields images, one after the other; a file that cannot be read is one without pixels.

        Args:
            paths: Files by the names of their results.
            files: What rows call them.
            done: Files of images that are left out, by their names.
        """
        for name, path in paths.items():
            shown = Shown(name, files[name], state=state_of(path))
            try:
                for one in self._read(path, shown):
                    self.names.add(one.name)
                    if done.get(one.name) != one.file:
                        yield one
            except Exception as error:  # whatever is wrong with one file must not cost the others
                yield replace(shown, error=sentence(error))
            yield replace(shown, ends=True)

    def warnings(self) -> Iterator[str]:
        """Yields what the user should know of all images together."""
        if len(self._taken) > 1:
            told = ", ".join(f"channel {channel} in {number}" for channel, number in sorted(self._taken.items()))
            yield (
                f"Warning: no channel is named after {self._reader.noun.many} or a stain of them, and images differ in "
                f"the one taken: {told} of them. Name one with `{option('channel', 'C')}`"
            )

    def _read(self, path: Source, shown: Shown) -> Iterator[Shown]:
        try:
            large = large_images(path, self._choice) if self._reader.window and isinstance(path, Path) else []
            images = iter_image_file(content_at(path), self._choice, name=str(path)) if not large else iter(())
            first = next(images, None)
        except UnchosenChannelError as error:
            channel = self._evident(path, error.num_channels)
            if channel is None:
                raise
            self._taken[channel] += 1
            choice = replace(self._choice, channel=channel)
            for plane in iter_image_file(content_at(path), choice, name=str(path)):
                taken = f"channel {channel} of {error.num_channels}"
                why = f"{taken} (it alone shows {self._reader.noun.many}; for another: --channel)"
                yield self._shown(shown, replace(plane, choice=plane.choice.replace(taken, why, 1)))
            return
        for one in large:
            yield replace(shown, name=f"{shown.name}{one.suffix}", large=one, num_images=len(large))
        while first is not None:
            yield self._shown(shown, first)
            first = next(images, None)

    def _shown(self, shown: Shown, plane: Plane) -> Shown:
        pixels = self._reader.network_input(plane.image)
        name = f"{shown.name}{plane.suffix}"
        return replace(shown, name=name, plane=plane, pixels=pixels, num_images=plane.num_images)

    def _evident(self, path: Source, num_channels: int) -> int | None:
        """Returns the channel, of several without names, that alone shows objects; None where that is in doubt."""
        first = replace(self._choice, channel=0)
        if isinstance(path, Path) and large_images(path, first):
            return None

        def found(channel: int) -> Instances:
            plane = next(iter_image_file(content_at(path), replace(first, channel=channel), name=str(path)))
            pixels = self._reader.network_input(plane.image)
            score_map = next(iter(self._reader.score_maps(self._network, [pixels])))
            height, width = plane.image.shape[:2]
            return self._reader.instances(score_map, (height, width))

        return evident_channel(num_channels, found)


def evident_channel(num_channels: int, found: Callable[[int], Instances]) -> int | None:
    """Returns the channel, of several, that alone shows objects; None where that is in doubt.

    Args:
        num_channels: How many there are, at least two.
        found: Returns the objects that the network finds in a channel, by its number.
    """
    sure = [float(found(channel).scores.sum()) for channel in range(num_channels)]
    best = max(range(num_channels), key=sure.__getitem__)
    second = max(value for channel, value in enumerate(sure) if channel != best)
    return best if sure[best] >= max(FEWEST, CLEAR * second) else None


def sentence(error: Exception) -> str:
    """Returns an error as a row of the table of images holds it: one line of what can be shown, not too long a one."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(error))
    text = " ".join(text.split())[:MOST_LETTERS]
    return text if isinstance(error, NanonucleiError) else f"{type(error).__name__}: {text}"


def choice_of(sentence: str, *, scene: bool, time: bool, by_windows: bool = False) -> str:
    """Returns what was taken of a file where there was a choice, whichever time or recording it is."""
    parts = [sentence] if sentence else []
    if scene:
        parts.append("each recording by itself")
    if time:
        parts.append("each time by itself")
    if by_windows:
        parts.append("read window by window")
    return ", ".join(parts)
