"""From full images to score maps: windows of many images share the network's batches, answers are blended back.

Nothing here imports Keras: training, evaluation and the served model, which knows no Keras, all pass through it.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np

from nanonuclei.config.experiment import WindowsConfig
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.types import Float32Array, Image
from nanonuclei.imaging.windows import Window, blend, cover, extract

if TYPE_CHECKING:
    import keras

    from nanonuclei.tasks import Task

Network = Callable[[Float32Array], Float32Array]
"""``(batch, size, size, 3)`` float32 to ``(batch, size, size, channels)`` float32."""

ZOOM = 2
"""How much larger the second look at an image shows its objects."""

CROWDED = 1 / 2500
"""Objects per px from which on an image is crowded; those that stand apart are found at any size."""


def score_maps(
    network: Network, inputs: Iterable[Float32Array], *, config: WindowsConfig, whole_batches: bool = True
) -> Iterator[Float32Array]:
    """Runs a network over full images, in order; twice where objects turn out small and crowded.

    The network parts what touches by a pixel or two. In an image where its first map shows objects below
    `config.magnify_below` px that stand close together, windows of half the size are enlarged, and the answers reduced.

    Args:
        network: Called with batches of `config.batch_size` windows.
        inputs: Normalised images ``(height, width, 3)`` float32 of any sizes; read as needed, not all at once.
        config: Size and stride of the windows, the batch size, and which images are looked at again.
        whole_batches: Fill the last batch up, for a network that is compiled anew for each size of a batch.

    Yields:
        ``(height, width, channels)`` float32, one per image. Of an image of many windows, the answers of about two
        rows of windows are held at a time beside the map itself.
    """
    seen: deque[Float32Array] = deque()
    for score_map in _looks(network, _kept(inputs, seen), config=config, whole_batches=whole_batches):
        image = seen.popleft()
        if is_small_and_crowded(score_map, below=config.magnify_below):
            yield from _looks(network, [image], config=config, whole_batches=whole_batches, zoom=ZOOM)
        else:
            yield score_map


def is_small_and_crowded(score_map: Float32Array, *, below: float) -> bool:
    """Tells whether the objects of a score map are smaller than `below` px on average, and crowded.

    Args:
        score_map: ``(height, width, channels)``: one foreground score, or background, the parts by which objects are
            counted, and the rest of them.
        below: px; 0: never.
    """
    single = score_map.shape[-1] == 1
    foreground = score_map[..., 0] >= 0.5 if single else score_map[..., 0] < 0.5
    parts = foreground if score_map.shape[-1] < 3 else score_map[..., 1] >= 0.5
    num_objects = cv2.connectedComponents(np.ascontiguousarray(parts).view(np.uint8), connectivity=4)[0] - 1
    return bool(num_objects >= CROWDED * foreground.size and np.count_nonzero(foreground) < below * num_objects)


def _kept(inputs: Iterable[Float32Array], seen: deque[Float32Array]) -> Iterator[Float32Array]:
    for image in inputs:
        seen.append(image)
        yield image


def _looks(
    network: Network, inputs: Iterable[Float32Array], *, config: WindowsConfig, whole_batches: bool, zoom: int = 1
) -> Iterator[Float32Array]:
    """Yields a map per image; windows are `zoom` times smaller than the network's and enlarged for it."""
    waiting: list[_Pending] = []
    for chunk in _batched(_cut(inputs, waiting, config, zoom), config.batch_size):
        batch = np.stack([_resized(window, zoom) for _, window in chunk])
        padding = config.batch_size - len(chunk)
        if padding and whole_batches:
            batch = np.concatenate([batch, np.repeat(batch[-1:], padding, axis=0)])
        for (owner, window), answer in zip(chunk, network(batch), strict=False):
            owner.add(_resized(answer, window.shape[0] / answer.shape[0]))
        while waiting and waiting[0].complete:
            yield waiting.pop(0).score_map()


def _resized(image: Float32Array, factor: float) -> Float32Array:
    """Returns a square image or answer ``(size, size, channels)`` enlarged or reduced."""
    if factor == 1:
        return image
    size = round(image.shape[0] * factor)
    method = cv2.INTER_LINEAR if factor > 1 else cv2.INTER_AREA
    resized = cv2.resize(np.ascontiguousarray(image, np.float32), (size, size), interpolation=method)
    return np.asarray(resized.reshape(size, size, -1), np.float32)


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


def keras_network(model: keras.Model, *, num_views: int) -> Network:
    """Returns a Keras model as a plain function on NumPy arrays; see `with_views`."""
    return with_views(model.predict_on_batch, num_views=num_views)


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


def predict_instances(task: Task, model: keras.Model, image: Image) -> Instances:
    """Finds the objects of one full image.

    Args:
        task: The task that the model was trained for.
        model: Its network.
        image: ``(height, width)`` or ``(height, width, 3 or 4)``, uint8 or uint16.
    """
    network = keras_network(model, num_views=task.config.windows.num_views)
    score_map = next(score_maps(network, [task.network_input(image)], config=task.config.windows))
    return task.instances(score_map)


def _cut(
    inputs: Iterable[Float32Array], waiting: list[_Pending], config: WindowsConfig, zoom: int
) -> Iterator[tuple[_Pending, Float32Array]]:
    for image in inputs:
        shape = (image.shape[0], image.shape[1])
        windows = cover(shape, config.size // zoom, max(1, config.stride // zoom))
        pending = _Pending(shape, windows)
        waiting.append(pending)
        for window in windows:
            yield pending, extract(image, [window])[0]


def _batched(
    windows: Iterator[tuple[_Pending, Float32Array]], size: int
) -> Iterator[list[tuple[_Pending, Float32Array]]]:
    while chunk := list(itertools.islice(windows, size)):
        yield chunk
