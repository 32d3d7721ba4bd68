"""The reader of image files: every command that reads an image calls one of these functions."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.files.axes import Choice, Plane, planes, planes_of, with_known_axes
from nanonuclei.data.files.content import Content, Place, head, whole
from nanonuclei.data.files.flat import read_flat
from nanonuclei.data.files.headers import SHELLS, Header, foreign, read_header
from nanonuclei.data.files.limits import STANDARD, ImageLimits
from nanonuclei.data.files.numeric import as_stored, grey_if_equal
from nanonuclei.data.files.omesets.sets import is_companion
from nanonuclei.data.files.planes.channels import channel_index, grey_of
from nanonuclei.data.files.scene import COLOURS, Scene
from nanonuclei.data.files.tiff import open_tiff
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Image


@dataclass(frozen=True)
class Channels:
    """Channels of one image file.

    Attributes:
        images: As asked for, each ``(height, width)`` uint8 or uint16.
        pixel_size: Side of a pixel in micrometres; None where the file does not tell, or pixels are not square.
    """

    images: tuple[Image, ...]
    pixel_size: float | None


def read_plane(
    content: Content, choice: Choice, *, at: tuple[int, int] = (0, 0), name: str, limits: ImageLimits = STANDARD
) -> Plane:
    """Reads one plane of a file, and decodes no other; see `iter_image_file`.

    Args:
        at: Numbers of the recording and of the time, from 0.
    """
    number, time = at
    try:
        for scenes in scenes_of(content, limits):
            if not 0 <= number < len(scenes):
                raise DataError(f"no recording {number}; there are {len(scenes)}, from 0. Choose another")
            scene = with_known_axes(scenes[number], choice.axes)
            return next(planes(_at_time(scene, time), replace(choice, axes=None), limits=limits))
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    raise DataError(f"{name}: holds no image. Save it again")


def _at_time(scene: Scene, time: int) -> Scene:
    """Returns one time of a recording whose axes are known."""
    extents = scene.extents
    num = extents.pop("T", 1)
    if not 0 <= time < num:
        raise DataError(f"no time {time}; there are {num}, from 0. Choose another")
    kept = {"axes": "".join(extents), "shape": tuple(extents.values())}
    return replace(scene, **kept, read=lambda index: scene.read({**index, "T": time}))  # type: ignore[arg-type]


def iter_image_file(
    content: Content, choice: Choice | None = None, *, name: str | None = None, limits: ImageLimits = STANDARD
) -> Iterator[Plane]:
    """Reads an image file, one plane after the other: one per recording and time in it.

    Args:
        content: A path, which may be an OME-Zarr folder, or the bytes of a file.
        choice: Which channel and which focal planes are taken; None: see `Choice`.
        name: How messages call the file; None: its path.
        limits: What is decoded at most.

    Yields:
        The planes, in order of recordings and times. One is held in memory at a time.

    Raises:
        DataError: The file is damaged, too large, of a format that is not read, or holds several channels and none is
            chosen. The message names the file, the reason and the remedy.
    """
    called = name or str(content.path if isinstance(content, Place) else content if isinstance(content, Path) else "")
    try:
        for scenes in scenes_of(content, limits):
            yield from planes_of(scenes, choice or Choice(), limits=limits)
    except DataError as error:
        error.args = (f"{called or 'the image'}: {error}",)
        raise


def describe(content: bytes, *, limits: ImageLimits = STANDARD) -> Header:
    """Returns format and size of the only image of a file, without decoding it.

    Args:
        content: The file.
        limits: What may be decoded at most.

    Raises:
        DataError: It is damaged, cut short, too large, or holds several images.
    """
    header = read_header(content)
    if header.format != "TIFF":
        limits.check(header.height, header.width, bytes_per_pixel=header.bytes_per_pixel)
        return header
    with open_tiff(content, limits) as scenes:
        scene = _only(scenes)
        extents = scene.extents
        return Header("TIFF", extents["Y"], extents["X"], extents.get("S", 1) * scene.dtype.itemsize)


def read_single(content: Content, *, limits: ImageLimits = STANDARD) -> Image:
    """Reads the only image of a file, as datasets and requests hold it.

    Returns:
        ``(height, width)`` where it is grey, whatever the file says, else ``(height, width, 3)`` RGB; uint8 or uint16.

    Raises:
        DataError: The file cannot be used, or holds several channels, focal planes or times. The message does not name
            the file.
    """
    values = read_values(content, limits=limits)
    return grey_if_equal(as_stored(values))


def read_values(content: Content, *, limits: ImageLimits = STANDARD, exact: bool = False) -> NDArray[Any]:
    """Reads the numbers of the only image of a file, which may stand for something else than light, such as a mask.

    Args:
        exact: Whether the numbers must be those that were saved, as of labels, and not near them, as in a JPEG.

    Returns:
        ``(height, width)`` of a grey image, ``(height, width, 3)`` of a colour image, of the file's own type.

    Raises:
        DataError: As in `read_single`, or the numbers are not exact.
    """
    for scenes in scenes_of(content, limits):
        scene = _only(scenes)
        if exact and scene.lossy:
            raise DataError("compressed with loss, as a JPEG is, which changes the numbers of a mask. Save it as PNG")
        num = 1 if scene.colour else _num_channels(scene)
        if num > 3:
            raise DataError(f"holds {num} channels where one is expected. Save one of them")
        if num == 1:
            return scene.read({})
        axis = "C" if "C" in scene.extents else "S"
        return np.stack([scene.read({axis: channel}) for channel in range(num)], axis=-1)
    raise DataError("holds no image. Save it again")


def read_channels(content: Content, channels: Sequence[int | str], *, setting: str = "data.channels") -> Channels:
    """Reads channels of the only image of a file, and no more of it than its layout asks for.

    A grey image has one channel, `grey`. A colour image has `red`, `green`, `blue`, `grey`, its brightness, and
    `brightest`, each pixel's brightest colour; alpha is dropped. Channels of a TIFF are named by OME or ImageJ. Values
    become 8 or 16 bit, see `numeric.as_stored`.

    Args:
        content: The file, or where it is.
        channels: Names, or numbers from 0.
        setting: What the user changes to choose others.

    Raises:
        DataError: As in `read_single`, there is no such channel, or it shows nothing.
    """
    for scenes in scenes_of(content, STANDARD):
        scene = _only(scenes)
        names = COLOURS if scene.colour else scene.channel_names
        axis = "C" if "C" in scene.extents else "S"
        images = []
        for channel in channels:
            index = channel_index(names, channel, colour=scene.colour, setting=setting)
            if index is None:
                values: NDArray[Any] = grey_of(scene.read({}), channel)
            else:
                values = scene.read({axis: index} if axis in scene.extents else {})
            images.append(_visible(values))
        return Channels(tuple(images), scene.pixel_size)
    raise DataError("holds no image. Save it again")


def stem(name: str) -> str:
    """Returns the name of an image without folders and without ``.png``, ``.ome.tif``, ``.companion.ome``..."""
    base = PurePosixPath(name).stem
    return base[: base.rindex(".")] if base.lower().endswith((".ome", ".companion")) else base


def scenes_of(content: Content, limits: ImageLimits) -> Generator[list[Scene], None, None]:
    """Yields the recordings of a file once; they can be read until the generator goes on."""
    if isinstance(content, Path) and content.is_dir():
        from nanonuclei.data.files.omezarr.image import open_zarr

        yield open_zarr(content, limits)
        return
    start = head(content)
    if not start:
        raise DataError("not an image: 0 bytes. Save it again")
    why = foreign(content.name) if isinstance(content, Path) else ""
    try:
        form = "TIFF" if isinstance(content, Path) and is_companion(content.name) else read_format(start)
    except DataError as error:
        raise DataError(why or str(error)) from error
    if why and content.name.lower().endswith(SHELLS):  # type: ignore[union-attr]
        raise DataError(why)
    if form == "TIFF":
        with open_tiff(content, limits) as scenes:
            yield scenes
        return
    data = whole(content)
    yield [read_flat(data, read_header(data), limits)]


def read_format(start: bytes) -> str:
    """Returns the format that the first bytes of a file tell; a JPEG's size may stand beyond them."""
    return "JPEG" if start.startswith(b"\xff\xd8\xff") else read_header(start).format


def _only(scenes: Sequence[Scene]) -> Scene:
    """Returns the only recording, and refuses stacks and films."""
    if len(scenes) > 1:
        raise DataError(f"holds {len(scenes)} images where one is expected. Save them as single files")
    for letter, word in (("Z", "focal planes"), ("T", "times")):
        num = scenes[0].extents.get(letter, 1)
        if num > 1:
            raise DataError(f"holds {num} {word} where one plane is expected. Save a projection or single planes")
    return with_known_axes(scenes[0])


def _num_channels(scene: Scene) -> int:
    return scene.extents.get("C", scene.extents.get("S", 1))


def _visible(values: NDArray[Any]) -> Image:
    image = as_stored(values)
    low, high = image.min(), image.max()
    if low == high:
        value = values.ravel()[0]
        what = "all black" if not value else f"every pixel is {value:g}"
        raise DataError(f"shows nothing: {what}. Leave it out, or choose another channel")
    return image
