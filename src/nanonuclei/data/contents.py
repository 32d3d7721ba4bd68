"""What an image file holds to choose from, told without reading its planes: recordings, channels, planes, times."""

from __future__ import annotations

from dataclasses import dataclass

from nanonuclei.data.files.axes import with_known_axes
from nanonuclei.data.files.content import Content
from nanonuclei.data.files.limits import STANDARD, ImageLimits
from nanonuclei.data.files.planes.unsaid import possible_axes, told_guess
from nanonuclei.data.files.reading import scenes_of
from nanonuclei.data.files.scene import COLOURS, Scene
from nanonuclei.errors import DataError


@dataclass(frozen=True)
class Contents:
    """What one recording of an image file holds to choose from.

    Attributes:
        height: Height, px.
        width: Width, px.
        channel_names: One per channel, empty where the file does not tell; of a colour image `COLOURS`.
        colour: Whether the channels are the colours of one image.
        num_planes: Focal planes.
        num_times: Times.
        unsaid: That pages are taken for channels, where the file does not say what they are, see `unsaid.told_guess`.
    """

    height: int
    width: int
    channel_names: tuple[str, ...]
    colour: bool
    num_planes: int
    num_times: int
    unsaid: str = ""


def contents(content: Content, *, name: str, axes: str | None = None, limits: ImageLimits = STANDARD) -> list[Contents]:
    """Tells what a file holds, one entry per recording; no pixel of a TIFF is decoded. See `iter_image_file`."""
    try:
        for scenes in scenes_of(content, limits):
            return [_contents(scene, axes) for scene in scenes]
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    raise DataError(f"{name}: holds no image. Save it again")


def readings(content: Content, *, name: str, limits: ImageLimits = STANDARD) -> dict[str | None, list[Contents]]:
    """Tells what a file holds as `contents` does, by the axes that it may have, see `unsaid.possible_axes`.

    Returns:
        What it holds under each, the usual one first; under None alone where the file tells its axes.
    """
    try:
        for scenes in scenes_of(content, limits):
            ways = [possible_axes(scene) for scene in scenes]
            if not all(way == ways[0] for way in ways) or not ways[0]:
                break
            return {axes: [_contents(scene, axes) for scene in scenes] for axes in ways[0].values()}
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    return {None: contents(content, name=name, limits=limits)}


def _contents(scene: Scene, axes: str | None) -> Contents:
    unsaid = told_guess(scene) if axes is None else ""
    scene = with_known_axes(scene, axes)
    names, extents = COLOURS if scene.colour else scene.channel_names, scene.extents
    return Contents(extents["Y"], extents["X"], names, scene.colour, extents.get("Z", 1), extents.get("T", 1), unsaid)
