"""Which planes of a recording are taken: a channel, a projection over the focal planes, one result per time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.files.limits import ImageLimits
from nanonuclei.data.files.numeric import Span, as_light, grey_if_equal, measurable
from nanonuclei.data.files.planes.channels import GREY, NUCLEAR_STAINS, channel_index, grey_of
from nanonuclei.data.files.planes.projection import check_z, projected
from nanonuclei.data.files.planes.unsaid import MAX_UNNAMED, possible_axes, told_guess
from nanonuclei.data.files.scene import COLOURS, Scene
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Image
from nanonuclei.invocation import option


@dataclass(frozen=True)
class Choice:
    """What is taken of a file that holds more than one plane.

    Attributes:
        channel: Number from 0, or name; None: the one that `stains` names, where there are several.
        z: Focal planes: ``max`` or ``mean`` over them, or the number of one, from 0.
        axes: What the axes are, such as ``ZYX``, where the file says it wrongly or not at all.
        stains: Regular expressions of the names that are taken without being asked for, the first that fits.
    """

    channel: int | str | None = None
    z: int | str = "max"
    axes: str | None = None
    stains: Sequence[str] = NUCLEAR_STAINS


@dataclass(frozen=True)
class Plane:
    """One image of a file, ready to be shown to a network, with all channels to be measured.

    Attributes:
        image: ``(height, width)``, or ``(height, width, 3)`` RGB where the file is a colour image and no channel was
            asked for; uint8, uint16 or float32 in 0..1, see `numeric.as_light`.
        channels: ``(channel, height, width)``, the numbers of the file, projected over the focal planes like `image`.
            Every pixel holds a number; NaN has become the least.
        channel_names: One per channel, empty where the file does not tell.
        choice: What was chosen, as a sentence for the user; empty where there was nothing to choose.
        pixel_size: Side of a pixel, micrometres; None where the file does not tell, or pixels are not square.
        axes: Axes of the file, such as ``TZCYX``.
        time: Number of the time; None where the file holds one.
        scene: Number of the recording; None where the file holds one.
        num_images: Images of its file, one per recording and time; 0 where that cannot be told.
    """

    image: Image
    channels: NDArray[Any]
    channel_names: tuple[str, ...]
    choice: str
    pixel_size: float | None
    axes: str
    time: int | None = None
    scene: int | None = None
    num_images: int = 1

    @property
    def suffix(self) -> str:
        """What tells the results of this plane from others of its file, such as ``_s1_t003``; may be empty."""
        scene = "" if self.scene is None else f"_s{self.scene}"
        return scene + ("" if self.time is None else f"_t{self.time:03}")


@dataclass(frozen=True)
class Chosen:
    """What is taken of one recording.

    Attributes:
        scene: The recording, with axes that are known.
        choice: What was asked for.
        index: Number of the channel; None: the colour image.
        names: Of the channels.
        num_stored: Channels that are measured.
        sentence: What was chosen, for the user.
    """

    scene: Scene
    choice: Choice
    index: int | None
    names: tuple[str, ...]
    num_stored: int
    sentence: str

    @property
    def num_times(self) -> int:
        """How many times there are."""
        return self.scene.extents.get("T", 1)

    def channels(self, time: int) -> NDArray[Any]:
        """Reads all channels of one time, ``(channel, height, width)``, projected over the focal planes."""
        z = self.choice.z
        return np.stack([measurable(projected(self.scene, time, place, z)) for place in range(self.num_stored)])

    def image(self, channels: NDArray[Any], span: Span | None = None) -> Image:
        """Returns what a network is shown of channels.

        Args:
            channels: Of `channels`, or a part of them.
            span: Of the whole image, where `channels` are a part; see `numeric.as_light`.
        """
        if not self.scene.colour:
            return as_light(channels[self.index or 0], span)
        if self.index is not None:
            return as_light(channels[self.index], span)
        if self.choice.channel is None:
            return as_light(np.moveaxis(channels, 0, -1), span)
        return grey_of(np.moveaxis(channels, 0, -1), self.choice.channel)

    @property
    def may_be_grey(self) -> bool:
        """Whether the image becomes a grey one where its colours agree."""
        return self.scene.colour and self.index is None and self.choice.channel is None


def choose(scene: Scene, choice: Choice) -> Chosen:
    """Tells what a choice means for a recording; nothing is decoded.

    Raises:
        UnchosenChannelError: It holds several channels and none is chosen.
        DataError: There is no such channel or focal plane, or its axes cannot be told.
    """
    guessed = told_guess(scene) if choice.axes is None else ""
    scene = with_known_axes(scene, choice.axes)
    extents = scene.extents
    num_channels = extents.get("C", 1 if scene.colour else extents.get("S", 1))
    if scene.colour and num_channels > 1:
        raise DataError(f"holds {num_channels} colour images as channels, axes {scene.axes}. Save one of them alone")
    names = COLOURS if scene.colour else scene.channel_names
    try:
        index = channel_index(names, choice.channel, stains=choice.stains, colour=scene.colour)
        check_z(choice.z, extents.get("Z", 1))
    except DataError as error:
        error.args = ("; ".join(filter(None, (str(error), guessed))),)
        raise
    said = ", ".join(
        filter(None, (_sentence(names, index, choice, num_planes=extents.get("Z", 1)), guessed, scene.note))
    )
    return Chosen(scene, choice, index, names, 3 if scene.colour else num_channels, said)


def planes_of(scenes: Sequence[Scene], choice: Choice, *, limits: ImageLimits) -> Iterator[Plane]:
    """Reads the recordings of a file, one after the other; see `planes`."""
    num_images = _num_images(scenes, choice)
    for number, scene in enumerate(scenes):
        for plane in planes(scene, choice, limits=limits, number=number if len(scenes) > 1 else None):
            yield replace(plane, num_images=num_images)


def _num_images(scenes: Sequence[Scene], choice: Choice) -> int:
    try:
        return sum(with_known_axes(scene, choice.axes).extents.get("T", 1) for scene in scenes)
    except DataError:  # told when that recording is read, after those before it
        return 0


def planes(scene: Scene, choice: Choice, *, limits: ImageLimits, number: int | None = None) -> Iterator[Plane]:
    """Reads a recording, one plane per time.

    Args:
        scene: The recording.
        choice: What is taken of it.
        limits: What is decoded at most.
        number: Of the recording, where the file holds several.

    Yields:
        The planes in order of time.

    Raises:
        DataError: As in `choose`, or it is too large or damaged.
    """
    chosen = choose(scene, choice)
    scene, extents = chosen.scene, chosen.scene.extents
    limits.check(extents["Y"], extents["X"], bytes_per_pixel=chosen.num_stored * scene.dtype.itemsize)
    for time in range(chosen.num_times):
        channels = chosen.channels(time)
        image = chosen.image(channels)
        shown: tuple[str, ...] = chosen.names
        if chosen.may_be_grey:
            image = grey_if_equal(image)
        if image.ndim == 2 and scene.colour and choice.channel is None:
            channels, shown = channels[:1], (GREY,)
        at = time if chosen.num_times > 1 else None
        yield Plane(image, channels, shown, chosen.sentence, scene.pixel_size, scene.axes, at, number)


def with_known_axes(scene: Scene, axes: str | None = None) -> Scene:
    """Returns a recording whose axes are those of `Plane.axes`, without others and without those of length 1.

    Args:
        scene: The recording.
        axes: What they are; None: as the file says. An axis that the file leaves open counts channels if it has at most
            `MAX_UNNAMED`.

    Raises:
        DataError: The axes cannot be told.
    """
    letters = scene.axes
    if axes is not None:
        letters = axes.strip().upper()
        if len(letters) != len(scene.axes) and len(letters) == sum(extent > 1 for extent in scene.shape):
            kept = iter(letters)
            letters = "".join(next(kept) if extent > 1 else "?" for extent in scene.shape)
        if len(letters) != len(scene.axes) or "YX" not in letters:
            raise DataError(
                f"holds axes {scene.axes} of lengths {scene.shape}, which {axes!r} does not name. Give one letter of "
                f"T, Z, C, S, Y, X each, in this order"
            )
        if letters.index("YX") != scene.axes.index("YX"):
            raise DataError(f"holds axes {scene.axes}: rows and columns must stay where they are, got {axes!r}")
    sizes = dict(enumerate(scene.shape))
    unknown = [place for place, letter in enumerate(letters) if letter not in "TZCYXS" and sizes[place] > 1]
    inner = scene.axes.endswith("S") and not scene.colour and scene.extents["S"] > 1
    named = {letter for place, letter in enumerate(letters) if letter in "TZC" and sizes[place] > 1}
    if "C" in named and inner:
        raise DataError(f"holds channels twice, axes {scene.axes} of lengths {scene.shape}. Save them as one axis")
    if len(unknown) > 1 or (unknown and (sizes[unknown[0]] > MAX_UNNAMED or "C" in named or inner or scene.colour)):
        told = option("axes", possible_axes(scene).get("Z", "ZYX"))
        raise DataError(
            f"holds {sizes[unknown[0]]} planes, and nothing in it says that they are channels, focal planes or times "
            f"(axes {scene.axes}). Say it to predict, as `{told}`, or in Fiji: Image > Hyperstacks > Stack to "
            "Hyperstack, and save it again"
        )
    if unknown:
        letters = letters[: unknown[0]] + "C" + letters[unknown[0] + 1 :]
    if len({letter for letter in letters if letter in "TZCYXS"}) < sum(letter in "TZCYXS" for letter in letters):
        raise DataError(f"holds an axis twice, {letters}. Give each letter once")
    return _renamed(scene, letters)


def _renamed(scene: Scene, letters: str) -> Scene:
    """Returns the recording with its axes under other letters, those of length 1 left out."""
    kept = [
        place for place, letter in enumerate(letters) if letter in "YX" or (scene.shape[place] > 1 and letter in "TZCS")
    ]
    old = {letters[place]: scene.axes[place] for place in kept}
    extents = {letters[place]: scene.shape[place] for place in kept}
    num = extents.get("C", 3 if scene.colour else extents.get("S", 1))
    names = scene.channel_names if len(scene.channel_names) == num else ("",) * num
    if num == 1 and "S" not in extents and names == ("",):
        names = (GREY,)
    window = scene.window

    def renamed(index: Mapping[str, int]) -> dict[str, int]:
        return {old[letter]: place for letter, place in index.items() if letter in old}

    return replace(
        scene,
        axes="".join(extents),
        shape=tuple(extents.values()),
        channel_names=names,
        read=lambda index: scene.read(renamed(index)),
        window=None if window is None else lambda index, box: window(renamed(index), box),
    )


def _sentence(names: Sequence[str], index: int | None, choice: Choice, *, num_planes: int) -> str:
    parts = []
    if index is not None and len(names) > 1:
        named = f" ({names[index]})" if names[index] else ""
        parts.append(f"channel {index}{named} of {len(names)}")
    elif choice.channel == GREY and len(names) > 1:
        parts.append("brightness of the colours")
    if num_planes > 1:
        how = {"max": f"maximum over {num_planes} focal planes", "mean": f"mean over {num_planes} focal planes"}
        parts.append(how.get(str(choice.z), f"focal plane {choice.z} of {num_planes}"))
    return ", ".join(parts)
