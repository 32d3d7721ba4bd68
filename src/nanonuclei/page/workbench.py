"""From an image and settings to its objects; whatever was read or computed before is used again where it still holds.

The plane that was read, the score map of the network and the last objects are kept. A setting that decides how objects
are read off the score map is answered without the network.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from nanonuclei.data.files.axes import Choice, Plane
from nanonuclei.data.files.limits import ImageLimits
from nanonuclei.data.files.reading import read_plane
from nanonuclei.data.fingerprint.look import look_of
from nanonuclei.errors import ConfigError, DataError, nearest_name
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.networks import Network, TileNetwork
from nanonuclei.imaging.types import Float32Array
from nanonuclei.page.controls import Values, changed_config, network_values
from nanonuclei.page.memory import Memory
from nanonuclei.page.outcome import FILES, file_of
from nanonuclei.page.picture import picture
from nanonuclei.page.uploads import Upload
from nanonuclei.page.view import View
from nanonuclei.report.exports.found import Found, Light, describe
from nanonuclei.serving.named import OpenedModel
from nanonuclei.stages.predict.shown import evident_channel
from nanonuclei.tasks import create_reader

MOST_BYTES = 2**31
"""Of planes, score maps and objects that are kept."""


MOST_SEARCHED = 2**23
"""Pixels of all channels together that the network looks at to find the one that shows the objects."""


@dataclass(frozen=True)
class Looked:
    """The objects of an image.

    Attributes:
        found: The objects with all that is told of them.
        measures: Numbers of the whole image.
        choice: What was taken of the file, where there was a choice.
        unlike: In what it looks unlike each training image, see `Looks.unlike`; empty where it looks like one.
        ran: Whether the network ran for this answer.
        seconds: Wall time of the answer.
    """

    found: Found
    measures: Mapping[str, float]
    choice: str
    unlike: str
    ran: bool
    seconds: float


class Workbench:
    """Reads images, runs the network, reads objects. Methods may be called from several threads.

    Args:
        opened: The model.
        limits: What is decoded at most.
        most_bytes: Of what is kept.
    """

    def __init__(self, opened: OpenedModel, *, limits: ImageLimits, most_bytes: int = MOST_BYTES) -> None:
        self.opened = opened
        self.reader = create_reader(opened.config)
        self._looks = opened.named.looks()
        self.memory = Memory(most_bytes)
        self._limits = limits
        self._turn = threading.Lock()
        self._at_work, self._stopped, self._closed = "", False, False
        self._network = _stoppable(opened.network, lambda: self._stopped or self._closed)

    def forget(self, images: Iterable[str]) -> None:
        """Drops all that was made of images, by their ids, and stops the network if it is at work on one of them."""
        gone = set(images)
        self.memory.forget(gone)
        if self._at_work in gone:
            self._stopped = True

    def close(self) -> None:
        """Stops the network, for good."""
        self._closed = True

    def evident_channel(self, upload: Upload) -> int | None:
        """Returns the channel of the first recording that alone shows objects, by the rule of `predict`.

        None where that is in doubt, or the channels have more than `MOST_SEARCHED` px together. What the network says
        is kept for the channel that is looked at next.
        """
        first = upload.recordings(upload.axes)[0]
        num_channels = len(first.channel_names)
        if first.colour or num_channels < 2 or num_channels * first.height * first.width > MOST_SEARCHED:
            return None

        def found(channel: int) -> Instances:
            view = View(channel, axes=upload.axes)
            height, width = self._plane(upload, view).image.shape[:2]
            (score_map, _), _ = self._score_map(upload, view, ())
            return self.reader.instances(score_map, (height, width))

        try:
            return evident_channel(num_channels, found)
        except DataError:  # told when that channel is looked at
            return None

    def picture(self, upload: Upload, view: View) -> bytes:
        """Returns the image as PNG, see `picture.picture`.

        Raises:
            DataError: The file is damaged, or holds no such plane.
        """
        return picture(self._plane(upload, view).image)

    def look(self, upload: Upload, view: View, values: Values) -> Looked:
        """Finds the objects of an image.

        Args:
            upload: The image.
            view: What of it.
            values: Of the parameters of the reader, where they differ from the model's own.

        Raises:
            ConfigError: A value is not allowed.
            DataError: The file is damaged, or holds no such plane.
        """
        started = time.perf_counter()
        key = (upload.id, "objects", view, values)
        kept: Looked | None = self.memory.get(key)
        if kept is not None:
            return replace(kept, ran=False, seconds=time.perf_counter() - started)
        reader = create_reader(changed_config(self.reader, values))
        plane = self._plane(upload, view)
        reader = reader.beside(plane.channels, plane.channel_names)
        (score_map, unlike), ran = self._score_map(upload, view, values)
        shape = (plane.image.shape[0], plane.image.shape[1])
        objects = reader.objects(score_map, shape)
        light = Light(plane.image, plane.channels, plane.channel_names, plane.pixel_size)
        found = describe(upload.name, objects, light, reader=reader)
        looked = Looked(found, objects.measures, plane.choice, unlike, ran, time.perf_counter() - started)
        num_numbers = len(found.instances) * (len(found.columns) + 1)
        self.memory.put(key, looked, found.instances.pixels().nbytes + 32 * num_numbers)
        return looked

    def file(self, upload: Upload, view: View, *, values: Values, kind: str) -> tuple[str, str, bytes]:
        """Returns name, media type and content of a file to take along.

        Args:
            upload: The image.
            view: What of it.
            values: As of `look`.
            kind: Of `outcome.FILES`.

        Raises:
            ConfigError: There is no such kind of file.
        """
        if kind not in FILES:
            raise ConfigError(f"unknown file {kind[:60]!r}. {nearest_name(kind[:60], FILES)}")
        looked = self.look(upload, view, values)
        suffix, media, content = file_of(looked.found, kind)
        recordings = upload.recordings(view.axes)
        scene = f"_s{view.scene}" if len(recordings) > 1 else ""
        moment = f"_t{view.time:03}" if recordings[view.scene].num_times > 1 else ""
        return f"{upload.name}{scene}{moment}-{self.reader.noun.many}{suffix}", media, content

    def _plane(self, upload: Upload, view: View) -> Plane:
        key = (upload.id, "plane", view)
        plane: Plane | None = self.memory.get(key)
        if plane is None:
            choice = Choice(channel=view.channel, z=view.z, axes=view.axes, stains=self.reader.stains)
            at = (view.scene, view.time)
            plane = read_plane(upload.path, choice, at=at, name=upload.file, limits=self._limits)
            self.memory.put(key, plane, plane.image.nbytes + plane.channels.nbytes)
        return plane

    def _score_map(self, upload: Upload, view: View, values: Values) -> tuple[tuple[Float32Array, str], bool]:
        """Returns the score map of an image with `Looks.unlike`, and whether the network ran for it.

        It runs for one image at a time.
        """
        own = network_values(self.reader, values)
        key = (upload.id, "scores", view, own)
        kept: tuple[Float32Array, str] | None = self.memory.get(key)
        if kept is not None:
            return kept, False
        with self._turn:
            kept = self.memory.get(key)
            if kept is not None:
                return kept, False
            reader = create_reader(changed_config(self.reader, own))
            pixels = reader.network_input(self._plane(upload, view).image)
            self._at_work, self._stopped = upload.id, False
            try:
                score_map = next(iter(reader.score_maps(self._network, [pixels])))
            finally:
                self._at_work = ""
            told = (score_map, self._looks.unlike(look_of(pixels)) if self._looks else "")
            self.memory.put(key, told, score_map.nbytes)
        return told, True


def _stoppable(network: Network, stopped: Callable[[], bool]) -> Network:
    """Returns a network of the same kind that raises between two batches of windows once it is to stop."""
    if isinstance(network, TileNetwork):
        return replace(network, scores=_stoppable(network.scores, stopped))

    def checked(batch: Float32Array) -> Float32Array:
        if stopped():
            raise DataError("the network was stopped: the image was taken off the page, or the page is closed")
        return network(batch)

    return checked
