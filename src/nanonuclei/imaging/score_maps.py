"""From full images to score maps: windows of many images share the network's batches, answers are blended back."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from nanonuclei.config.pixels import WindowsConfig
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.types import Float32Array
from nanonuclei.imaging.windows import Window, blend, cover, extract

ZOOM = 2
"""How much larger the second look at an image shows its objects."""

CROWDED = 1 / 2500
"""Objects per px from which on an image is crowded; those that stand apart are found at any size."""

MOST_PIXELS = 2**20
"""px that the network is given at a time, unless one window has more: a U-Net needs about 1 kB for each."""


def score_maps(
    network: Network, inputs: Iterable[Float32Array], *, config: WindowsConfig, step: int
) -> Iterator[Float32Array]:
    """Runs a network over full images, in order; twice where objects turn out small and crowded.

    An image that fits into a window is seen as a whole; see `fitted` for the others. The network parts
    what touches by a pixel or two: in an image where its first map shows objects below `config.magnify_below` px that
    stand close together, windows of half the size are enlarged, and the answers reduced.

    Args:
        network: Called with up to `config.batch_size` windows of one shape.
        inputs: Normalised images ``(height, width, 3)`` float32 of any sizes; read as needed, not all at once.
        config: Largest size of the windows, their overlap, the batch size, and which images are looked at again.
        step: px of which the network takes multiples, ``2**network.depth``.

    Yields:
        ``(height, width, channels)`` float32, one per image. Of an image of many windows, the answers of about two
        rows of windows are held at a time beside the map itself.
    """
    seen: deque[Float32Array] = deque()
    for score_map in _looks(network, _kept(inputs, seen), config=config, step=step):
        image = seen.popleft()
        if is_small_and_crowded(score_map, below=config.magnify_below):
            yield from _looks(network, [image], config=config, step=step, zoom=ZOOM)
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


def _kept(inputs: Iterable[Float32Array], seen: deque[Float32Array]) -> Iterator[Float32Array]:
    for image in inputs:
        seen.append(image)
        yield image


def _looks(
    network: Network, inputs: Iterable[Float32Array], *, config: WindowsConfig, step: int, zoom: int = 1
) -> Iterator[Float32Array]:
    """Yields a map per image; windows are `zoom` times smaller than what the network sees of them."""
    waiting: list[_Pending] = []
    for chunk in _batched(_cut(inputs, waiting, config, step, zoom), config.batch_size):
        answers = network(np.stack([_resized(window, zoom) for _, window in chunk]))
        for (owner, _), answer in zip(chunk, answers, strict=True):
            owner.add(_resized(answer, 1 / zoom))
        while waiting and waiting[0].complete:
            yield waiting.pop(0).score_map()


def _resized(image: Float32Array, factor: float) -> Float32Array:
    """Returns an image or answer ``(height, width, channels)`` enlarged or reduced."""
    if factor == 1:
        return image
    height, width = (round(extent * factor) for extent in image.shape[:2])
    method = cv2.INTER_LINEAR if factor > 1 else cv2.INTER_AREA
    resized = cv2.resize(np.ascontiguousarray(image, np.float32), (width, height), interpolation=method)
    return np.asarray(resized.reshape(height, width, -1), np.float32)


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


def _cut(
    inputs: Iterable[Float32Array], waiting: list[_Pending], config: WindowsConfig, step: int, zoom: int
) -> Iterator[tuple[_Pending, Float32Array]]:
    overlap = config.size - config.stride
    for image in inputs:
        shape = (image.shape[0], image.shape[1])
        sizes = [fitted(extent * zoom, config.size, overlap=overlap, step=step) for extent in shape]
        height, width = (max(1, size // zoom) for size in sizes)
        strides = (max(1, height - overlap // zoom), max(1, width - overlap // zoom))
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
