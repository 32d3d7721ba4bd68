"""From full images to score maps: windows of many images share the network's batches, answers are blended back.

Nothing here imports Keras: training, evaluation and the served model, which knows no Keras, all pass through it.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from nanonuclei.config.experiment import ExperimentConfig, WindowsConfig
from nanonuclei.config.nanotubes import NanotubeExperiment
from nanonuclei.engine.scan import Scanner, TileNetwork
from nanonuclei.errors import TrackingError
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.types import Float32Array, Image
from nanonuclei.imaging.windows import Window, blend, cover, extract

if TYPE_CHECKING:
    from nanonuclei.tasks import Task

Network = Callable[[Float32Array], Float32Array]
"""``(batch, size, size, 3)`` float32 to ``(batch, size, size, channels)`` float32; or a `TileNetwork`."""

MOST_PIXELS = 2**20
"""px that the network is given at a time, unless one window has more: a U-Net needs about 1 kB for each."""

MapMaker = Callable[[Iterable[Float32Array]], Iterator[Float32Array]]
"""Normalised images ``(height, width, 3)`` float32 to score maps ``(height, width, channels)`` float32, in order."""


class Stopwatch:
    """A function on arrays that counts the seconds spent in it."""

    def __init__(self, function: Network) -> None:
        self._function = function
        self.seconds = 0.0

    def __call__(self, batch: Float32Array) -> Float32Array:
        """Calls the function."""
        started = time.perf_counter()
        answer = self._function(batch)
        self.seconds += time.perf_counter() - started
        return answer


def score_maps(
    network: Network, inputs: Iterable[Float32Array], *, config: WindowsConfig, step: int
) -> Iterator[Float32Array]:
    """Runs a network over full images, in order.

    An image that fits into a window is seen as a whole; see `fitted` for the others.

    Args:
        network: Called with up to `config.batch_size` windows of one shape.
        inputs: Normalised images ``(height, width, 3)`` float32 of any sizes; read as needed, not all at once.
        config: Largest size of the windows, their overlap and the batch size.
        step: px of which the network takes multiples, ``2**network.depth``.

    Yields:
        ``(height, width, channels)`` float32, one per image. Of an image of many windows, the answers of about two
        rows of windows are held at a time beside the map itself.
    """
    waiting: list[_Pending] = []
    for chunk in _batched(_cut(inputs, waiting, config, step), config.batch_size):
        answers = network(np.stack([window for _, window in chunk]))
        for (owner, _), answer in zip(chunk, answers, strict=True):
            owner.add(answer)
        while waiting and waiting[0].complete:
            yield waiting.pop(0).score_map()


def fitted(extent: int, size: int, *, overlap: int, step: int) -> int:
    """Returns the size of windows along one axis that covers it with little waste.

    As few windows as windows of `size` need, all of one size: just large enough, in multiples of `step`.

    Args:
        extent: Of the image, px.
        size: Largest size of a window, px, a multiple of `step`.
        overlap: px that neighbouring windows share at least, below `size`.
        step: px.
    """
    number = 1 if extent <= size else -(-(extent - overlap) // (size - overlap))
    least = -(-(extent + (number - 1) * overlap) // number)
    return min(size, -(-least // step) * step)


class _Pending:
    """An image whose windows are being answered, row by row; rows that no later window reaches are blended at once.

    A pixel is the mean over its own windows in their order, as `blend` over all windows at once would have it.
    """

    def __init__(self, shape: tuple[int, int], windows: tuple[Window, ...]) -> None:
        self._shape = shape
        self._rows = [tuple(row) for _, row in itertools.groupby(windows, key=lambda window: window.y0)]
        self._answered = 0  # rows of windows
        self._done = 0  # rows of pixels
        self._kept: list[tuple[tuple[Window, ...], list[Float32Array]]] = []
        self._map = np.empty(0, np.float32)

    @property
    def complete(self) -> bool:
        """Whether every window has its answer."""
        return self._answered == len(self._rows)

    def add(self, answer: Float32Array) -> None:
        """Takes the answer of the next window."""
        row = self._rows[self._answered]
        if not self._kept or self._kept[-1][0] is not row:
            self._kept.append((row, []))
        self._kept[-1][1].append(answer)
        if len(self._kept[-1][1]) == len(row):
            self._answered += 1
            self._blend()

    def score_map(self) -> Float32Array:
        """Returns the whole map, once it is complete."""
        return self._map

    def _blend(self) -> None:
        height, width = self._shape
        end = height if self.complete else self._rows[self._answered][0].y0
        base = self._kept[0][0][0].y0
        windows = [Window(w.y0 - base, w.x0, w.y1 - base, w.x1) for row, _ in self._kept for w in row]
        band = blend(np.stack([a for _, answers in self._kept for a in answers]), windows, (end - base, width))
        if self.complete and self._done == 0:
            self._map = band
            return
        if self._done == 0:
            self._map = np.empty((height, width, *band.shape[2:]), np.float32)
        self._map[self._done : end] = band[self._done - base :]
        self._done = end
        self._kept = [(row, answers) for row, answers in self._kept if row[0].y1 > end]


def with_views(network: Network, *, num_views: int) -> Network:
    """Returns a network that looks at each window in several ways.

    Args:
        network: The network.
        num_views: 1, or 8 for the mean answer over the flips and 90-degree turns of each window.
    """
    return network if num_views == 1 else _Views(network)


class _Views:
    """The mean answer over the eight symmetries of a square."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(self, batch: Float32Array) -> Float32Array:
        total = np.float32(0.0)
        for turns in range(4):
            for flip in (False, True):
                view = np.rot90(batch, turns, axes=(1, 2))
                answer = self._network(np.ascontiguousarray(view[:, :, ::-1] if flip else view))
                total = total + np.rot90(answer[:, :, ::-1] if flip else answer, -turns, axes=(1, 2))
        mean: Float32Array = np.asarray(total / np.float32(8.0), np.float32)
        return mean


def map_maker(config: ExperimentConfig, network: Network) -> tuple[MapMaker, Stopwatch]:
    """Returns what makes score maps of full images, and the watch over its network.

    Nuclei are looked for in windows that overlap and are blended, in as many views as the config says; images of
    nanotubes are scanned in large tiles.

    Args:
        config: The experiment of the network.
        network: Of nuclei any network, of nanotubes a `TileNetwork`.

    Raises:
        TrackingError: It should scan, but it is not known how its windows lie.
        ConfigError: A tile holds no window with its margins.
    """
    if isinstance(config, NanotubeExperiment):
        if not isinstance(network, TileNetwork):
            raise TrackingError(
                f"a network that scans must tell how its windows lie, but {type(network).__name__} does not. Log the "
                f"model again with `mlflow run . -e train -P task={config.task}`"
            )
        watch = Stopwatch(network)
        scanner = Scanner(dataclasses.replace(network, scores=watch), config.windows.tile)
        return lambda inputs: map(scanner.score_map, inputs), watch
    windows, step = config.windows, config.network.step
    watch = Stopwatch(with_views(network, num_views=windows.num_views))
    return lambda inputs: score_maps(watch, inputs, config=windows, step=step), watch


def predict_instances(task: Task, network: Network, image: Image) -> Instances:
    """Finds the objects of one full image.

    Args:
        task: The task that the network was trained for.
        network: See `map_maker`.
        image: ``(height, width)`` or ``(height, width, 3 or 4)``, uint8 or uint16.
    """
    maps, _ = map_maker(task.config, network)
    return task.instances(next(maps([task.network_input(image)])))


def _cut(
    inputs: Iterable[Float32Array], waiting: list[_Pending], config: WindowsConfig, step: int
) -> Iterator[tuple[_Pending, Float32Array]]:
    overlap = config.size - config.stride
    for image in inputs:
        shape = (image.shape[0], image.shape[1])
        height, width = (fitted(extent, config.size, overlap=overlap, step=step) for extent in shape)
        strides = (max(1, height - overlap), max(1, width - overlap))
        windows = cover(shape, (height, width), strides)
        pending = _Pending(shape, windows)
        waiting.append(pending)
        for window in windows:
            yield pending, extract(image, [window])[0]


def _batched(
    windows: Iterator[tuple[_Pending, Float32Array]], size: int
) -> Iterator[list[tuple[_Pending, Float32Array]]]:
    """Yields windows of one shape, at most `size` of them and no more than `MOST_PIXELS`, but one at least."""
    chunk: list[tuple[_Pending, Float32Array]] = []
    for owner, window in windows:
        if chunk and chunk[0][1].shape != window.shape:
            yield chunk
            chunk = []
        chunk.append((owner, window))
        if len(chunk) == size or (len(chunk) + 1) * window.shape[0] * window.shape[1] > MOST_PIXELS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
