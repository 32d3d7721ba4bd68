"""Images that are too large to be read whole: windows of one plane, as `axes.Plane` would hold them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.files.axes import Choice, Chosen, choose
from nanonuclei.data.files.limits import IN_PARTS
from nanonuclei.data.files.listing import TIFF_SUFFIXES, ZARR
from nanonuclei.data.files.numeric import Span, grey_if_equal, span_of
from nanonuclei.data.files.omesets.sets import COMPANION, is_companion
from nanonuclei.data.files.planes.channels import GREY
from nanonuclei.data.files.reading import scenes_of
from nanonuclei.data.files.scene import Scene
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Box, Image

MOST_WHOLE = 2**25
"""px of the largest image that is read whole: reading objects off a map takes about 50 bytes for each."""

SUFFIXES = (*TIFF_SUFFIXES, COMPANION, ZARR)
"""Files of which windows can be read end so."""

LEAST_BYTES = 2**16
"""Smaller files are read whole: an image with objects in it does not shrink so far."""

STEP = 4096
"""Side of the windows in which a whole image is passed over, px."""


@dataclass(frozen=True)
class LargeImage:
    """One plane of a file, not yet read.

    Attributes:
        path: The file.
        choice: What is taken of it.
        shape: Height and width, px.
        sentence: What was chosen, for the user.
        pixel_size: Side of a pixel, micrometres; None where the file does not tell.
        number: Of the recording in the file, from 0.
        time: Number of the time.
        several: Whether the file holds several recordings, and several times.
    """

    path: Path
    choice: Choice
    shape: tuple[int, int]
    sentence: str
    pixel_size: float | None
    number: int
    time: int
    several: tuple[bool, bool]

    @property
    def suffix(self) -> str:
        """What tells the results of this plane from others of its file, see `axes.Plane.suffix`."""
        scene = f"_s{self.number}" if self.several[0] else ""
        return scene + (f"_t{self.time:03}" if self.several[1] else "")

    @contextlib.contextmanager
    def opened(self) -> Iterator[Windows]:
        """Opens the file; windows can be read while it is open.

        Raises:
            DataError: It is damaged.
        """
        with contextlib.ExitStack() as stack:
            with _named(self.path):
                files = stack.enter_context(contextlib.closing(scenes_of(self.path, IN_PARTS)))
                windows = Windows(choose(next(files)[self.number], self.choice), self.time)
            yield windows


def large_images(path: Path, choice: Choice, *, most: int = MOST_WHOLE) -> list[LargeImage]:
    """Returns the planes of a file that must be read by windows.

    Args:
        path: A file, or an OME-Zarr folder.
        choice: What is taken of it.
        most: px of the largest plane that is read whole.

    Returns:
        All planes, in order of recordings and times, where one of them is larger; none where all are small or the file
        does not allow it.

    Raises:
        DataError: The file is damaged, or holds several channels and none is chosen.
    """
    if not (path.name.lower().endswith(SUFFIXES) or path.is_dir()):
        return []
    small = path.is_file() and path.stat().st_size < LEAST_BYTES and not is_companion(path.name)
    if small and most >= MOST_WHOLE:
        return []
    with _named(path), contextlib.closing(scenes_of(path, IN_PARTS)) as files:
        for scenes in files:
            if not any(scene.extents["Y"] * scene.extents["X"] > most for scene in scenes):
                return []
            if any(scene.window is None for scene in scenes):
                return []
            chosen = [choose(scene, choice) for scene in scenes]
            return [
                LargeImage(
                    path,
                    choice,
                    _shape(one.scene),
                    one.sentence,
                    one.scene.pixel_size,
                    number,
                    time,
                    (len(chosen) > 1, one.num_times > 1),
                )
                for number, one in enumerate(chosen)
                for time in range(one.num_times)
            ]
    return []


class Windows:
    """Reads windows of one plane; what depends on the whole image is found out once, window by window.

    Attributes:
        shape: Height and width of the image, px.
    """

    def __init__(self, chosen: Chosen, time: int) -> None:
        self.shape = _shape(chosen.scene)
        self._chosen, self._time = chosen, time
        self._extremes: dict[tuple[tuple[str, int], ...], tuple[float, float]] = {}
        self._span: Span | None = None
        self._grey: bool | None = None
        if chosen.scene.dtype.kind == "f" or chosen.scene.dtype.itemsize > 2 or chosen.scene.dtype.kind == "i":
            self._span = self._whole_span()

    @property
    def channel_names(self) -> tuple[str, ...]:
        """One per channel, empty where the file does not tell."""
        return (GREY,) if self._grey else self._chosen.names

    def channels(self, box: Box) -> NDArray[Any]:
        """Reads ``(channel, height, width)`` of a window, the numbers of the file."""
        found = self._cut(box).channels(self._time)
        return found[:1] if self._grey else found

    def image(self, box: Box) -> Image:
        """Reads a window as a network is shown it, see `axes.Plane.image`."""
        chosen = self._cut(box)
        found = chosen.image(chosen.channels(self._time), self._span)
        return np.ascontiguousarray(found[..., 0]) if self._grey else found

    def sample(self, *, most: int = 2**24) -> Image:
        """Returns about `most` px of the image, in rows and columns at equal distances; all where it is smaller."""
        height, width = self.shape
        step = max(1, int(np.ceil(np.sqrt(height * width / most))))
        rows = []
        for y0 in range(0, height, STEP):
            row = []
            for x0 in range(0, width, STEP):
                part = self.image((y0, x0, min(y0 + STEP, height), min(x0 + STEP, width)))
                row.append(part[-y0 % step :: step, -x0 % step :: step].copy())
            rows.append(np.concatenate(row, axis=1))
        sample = np.concatenate(rows)
        if self._chosen.may_be_grey and self._grey is None:
            sample = grey_if_equal(sample)
            self._grey = sample.ndim == 2
        return sample

    def _cut(self, box: Box) -> Chosen:
        """Returns what is chosen of a window, as if it were a recording of its own."""
        scene = self._chosen.scene
        window = scene.window
        if window is None:
            raise DataError("windows of this file cannot be read. Save it as a tiled TIFF")
        y0, x0, y1, x1 = box
        extents = {**scene.extents, "Y": y1 - y0, "X": x1 - x0}

        def read(index: Mapping[str, int]) -> NDArray[Any]:
            return self._filled(window(index, box), index)

        return replace(self._chosen, scene=replace(scene, shape=tuple(extents.values()), read=read))

    def _filled(self, values: NDArray[Any], index: Mapping[str, int]) -> NDArray[Any]:
        """Returns a window without NaN and infinity, as `numeric.measurable` fills the whole image."""
        if values.dtype.kind != "f" or np.isfinite(values).all():
            return values
        low, high = self._extremes_of(index)
        return np.asarray(np.nan_to_num(values, nan=low, neginf=low, posinf=high))

    def _extremes_of(self, index: Mapping[str, int]) -> tuple[float, float]:
        """Returns the least and largest number of a plane of the file."""
        key = tuple(sorted(index.items()))
        window = self._chosen.scene.window
        if key not in self._extremes and window is not None:
            lows, highs = [], []
            for box in self._boxes():
                values = window(index, box)
                numbers = values[np.isfinite(values)]
                if numbers.size:
                    lows.append(float(numbers.min()))
                    highs.append(float(numbers.max()))
            if not lows:
                raise DataError("no pixel holds a number, all are NaN or infinite. Save it again")
            self._extremes[key] = (min(lows), max(highs))
        return self._extremes[key]

    def _whole_span(self) -> Span:
        """Returns the span of the channel that the network is shown."""
        spans = []
        for box in self._boxes():
            channels = self._cut(box).channels(self._time)
            index = self._chosen.index
            colour = self._chosen.scene.colour
            spans.append(span_of(channels if colour and index is None else channels[index or 0]))
        lows, highs, whole = zip(*spans, strict=True)
        return Span(min(lows), max(highs), all(whole))

    def _boxes(self) -> Iterator[Box]:
        height, width = self.shape
        for y0 in range(0, height, STEP):
            for x0 in range(0, width, STEP):
                yield y0, x0, min(y0 + STEP, height), min(x0 + STEP, width)


def _shape(scene: Scene) -> tuple[int, int]:
    return scene.extents["Y"], scene.extents["X"]


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        error.args = (f"{path}: {error}",)
        raise
