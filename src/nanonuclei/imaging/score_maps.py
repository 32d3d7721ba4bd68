"""From full images to score maps: windows of many images share the network's batches, answers are blended back."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from nanonuclei.config.pixels import WindowsConfig
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.types import Float32Array
from nanonuclei.imaging.windows import Window, blend, cover, extract

MOST_PIXELS = 2**20
"""px that the network is given at a time, unless one window has more: a U-Net needs about 1 kB for each."""


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
