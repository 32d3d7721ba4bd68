"""Batches of labelled windows in tiles: an endless stream for training, the windows of a split side by side.

A tile holds `train.tile_windows` windows along each side, a stride of the network apart, and their common margin: the
network runs once over it and answers for all of them. As in `data.batches`, what a batch holds depends on the seed and
the batch's number alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.augment.grey_values import jitter
from nanonuclei.data.batches import TrainBatches, ValidationBatches
from nanonuclei.data.catalog import SampleRef
from nanonuclei.data.patches import Decoded, decoder
from nanonuclei.errors import DataError
from nanonuclei.imaging.normalize import normalize
from nanonuclei.imaging.types import Float32Array
from nanonuclei.imaging.window_geometry import WindowGeometry
from nanonuclei.imaging.windows import Window, cover, cut
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.data_config import WindowLabelsConfig
from nanonuclei.tasks.nanotubes.sources.samples import tube_truth
from nanonuclei.tasks.nanotubes.target import LEFT_OUT, NEGATIVE, POSITIVE, label_windows

WindowLabels = NDArray[np.int8]
"""``(rows, columns)``, a stride apart: 1 positive, 0 negative, -1 left out."""

Tile = tuple[Float32Array, WindowLabels]
"""Its image and the labels of its windows."""

WindowBatch = tuple[Float32Array, Float32Array, Float32Array]


class WindowTrainBatches(TrainBatches):
    """The batches of `WindowTiles`, prepared ahead by workers."""

    def __init__(self, samples: Sequence[SampleRef], *, config: NanotubeExperiment, geometry: WindowGeometry) -> None:
        super().__init__(WindowTiles(samples, config=config, geometry=geometry), workers=config.train.workers)


class WindowTiles:
    """An endless stream of augmented tiles, each drawn for one of its windows, so that both classes come up.

    Batch i is ``(image, label, weight)``: ``(batch_size, side, side, 3)`` float32 in 0..1; ``(batch_size, n, n, 1)``
    float32, 0 or 1; and the same shape, 0 for windows that are left out, else 1.

    Args:
        samples: The training images.
        config: The experiment; seed, normalize, augment, data.labels and train are read.
        geometry: Window, margin and stride.

    Raises:
        DataError: Not both classes are there.
    """

    def __init__(self, samples: Sequence[SampleRef], *, config: NanotubeExperiment, geometry: WindowGeometry) -> None:
        self._samples, self._config = tuple(samples), config
        self._decode: Callable[[int], Decoded] | None = None
        self._geometry, self._number = geometry, config.train.tile_windows
        self._labels = [window_labels(sample, geometry, config.data.labels) for sample in samples]
        counts = check_classes(self._labels, split="train")
        self._images_with = np.cumsum(counts, axis=1) / counts.sum(axis=1, keepdims=True)
        chances = counts.sum(axis=1) ** (1.0 - config.train.balance)  # as in `sampling_weights`
        self._positive = float(chances[1] / chances.sum())

    def __getstate__(self) -> dict[str, object]:
        """Leaves the decoded images behind: every process reads its own."""
        return {**self.__dict__, "_decode": None}

    def batch(self, number: int) -> WindowBatch:
        """Returns batch `number`."""
        if self._decode is None:
            self._decode = decoder(self._samples, self._config)
        rng = np.random.default_rng([self._config.seed, number])
        return _batch_of([self._drawn(rng) for _ in range(self._config.train.batch_size)])

    def _drawn(self, rng: np.random.Generator) -> Tile:
        image, labels = self._tile(rng)
        if rng.random() < self._config.augment.mixup:
            image, labels = overlaid((image, labels), self._tile(rng))
        return jitter(image, config=self._config.augment, rng=rng), labels

    def _tile(self, rng: np.random.Generator) -> Tile:
        label = POSITIVE if rng.random() < self._positive else NEGATIVE
        sample = min(int(np.searchsorted(self._images_with[label], rng.random(), side="right")), len(self._labels) - 1)
        known = self._labels[sample]
        window = np.unravel_index(rng.choice(np.flatnonzero(known == label)), known.shape)
        first = [
            # Anywhere in the tile, which leaves the image no more than it has to.
            int(np.clip(at - rng.integers(self._number), 0, max(0, length - self._number)))
            for at, length in zip(window, known.shape, strict=True)
        ]
        assert self._decode is not None
        decoded = self._decode(sample)
        image = normalize(_tile_image(decoded.image, first, self._geometry, self._number), decoded.limits)
        turns = int(rng.integers(4)) if self._config.augment.turn else 0
        flips = tuple(axis for axis in (0, 1) if self._config.augment.flip and rng.random() < 0.5)
        image, labels = (
            np.ascontiguousarray(np.flip(np.rot90(each, turns), flips))
            for each in (image, _tile_labels(known, first, self._number))
        )
        return image, labels


class WindowValidationBatches(ValidationBatches):
    """Every labelled window of a split once, side by side as `scored_windows` has them: the same in every epoch.

    Batches are as in `WindowTrainBatches`, the last one smaller; windows that are not side by side weigh nothing.

    Raises:
        DataError: Not both classes are there.
    """

    def __init__(self, samples: Sequence[SampleRef], *, config: NanotubeExperiment, geometry: WindowGeometry) -> None:
        super().__init__(samples, config=config)
        self._geometry, self._number = geometry, config.train.tile_windows
        self._tiles: list[tuple[int, list[int], WindowLabels]] = []
        scored = []
        for place, sample in enumerate(samples):
            known = _side_by_side(window_labels(sample, geometry, config.data.labels), sample, geometry)
            scored.append(known)
            self._tiles += [
                (place, [row, column], labels)
                for row in range(0, known.shape[0], self._number)
                for column in range(0, known.shape[1], self._number)
                if (labels := _tile_labels(known, [row, column], self._number)).max() != LEFT_OUT
            ]
        check_classes(scored, split="val")

    @property
    def num_batches(self) -> int:
        """Batches in the split."""
        return -(-len(self._tiles) // self._batch_size)

    def _made(self, index: int) -> WindowBatch:
        tiles = []
        for place, first, labels in self._tiles[index * self._batch_size : (index + 1) * self._batch_size]:
            sample = self._decode(place)
            image = normalize(_tile_image(sample.image, first, self._geometry, self._number), sample.limits)
            tiles.append((image, labels))
        return _batch_of(tiles)


def window_labels(sample: SampleRef, geometry: WindowGeometry, config: WindowLabelsConfig) -> WindowLabels:
    """Labels the windows of a scan of an image, which begin a stride apart.

    Args:
        sample: The image.
        geometry: Window and stride.
        config: What makes a window positive or negative.
    """
    rows, columns = (geometry.windows_along(length) for length in (sample.height, sample.width))
    y0, x0 = (axis.ravel() * geometry.stride for axis in np.mgrid[:rows, :columns])
    windows = np.stack([y0, x0, y0 + geometry.window, x0 + geometry.window], axis=1)
    return label_windows(tube_truth(sample), windows, config).reshape(rows, columns)


def scored_windows(shape: tuple[int, int], geometry: WindowGeometry) -> tuple[Window, ...]:
    """Returns the windows of an image that a scan is scored on: side by side, at places that it visits."""
    stride = geometry.stride
    return tuple(
        Window(
            y0 // stride * stride,
            x0 // stride * stride,
            y0 // stride * stride + geometry.window,
            x0 // stride * stride + geometry.window,
        )
        for y0, x0, _, _ in cover(shape, geometry.window, geometry.window)
    )


def overlaid(one: Tile, other: Tile) -> Tile:
    """Lays one tile over another: the brighter pixel of the two; windows are positive where either's are.

    A weighted mean, as in mixup (Zhang et al. 2018, arXiv 1710.09412), would leave a thin line that share of its
    contrast and the label that share of its weight; so the line keeps both, wherever the other image is darker.
    Windows are left out where one is and the other is not positive.

    Args:
        one: ``(height, width, 3)`` float32, and labels.
        other: Likewise.
    """
    left_out = np.minimum(one[1], other[1]) == LEFT_OUT
    labels = np.maximum(one[1], other[1])
    return np.maximum(one[0], other[0]), np.where(left_out & (labels != POSITIVE), LEFT_OUT, labels).astype(np.int8)


def check_classes(labels: Sequence[WindowLabels], *, split: str) -> NDArray[np.int64]:
    """Makes sure that a split has windows of both classes.

    Args:
        labels: Of the windows of each image.
        split: Its name.

    Returns:
        ``(2, images)``: negative and positive windows per image.

    Raises:
        DataError: It has not.
    """
    counts = np.array([[np.count_nonzero(each == label) for each in labels] for label in (NEGATIVE, POSITIVE)])
    negative, positive = counts.sum(axis=1)
    if not positive or not negative:
        raise DataError(
            f"the {split} split must hold windows with and without nanotubes, got {positive} and {negative}. Raise "
            f"data.split.{split}, or change data.labels or train.patch_size, the side of a window"
        )
    return counts


def _side_by_side(labels: WindowLabels, sample: SampleRef, geometry: WindowGeometry) -> WindowLabels:
    """Leaves out all windows but those of `scored_windows`."""
    scored = np.zeros(labels.shape, bool)
    for y0, x0, _, _ in scored_windows((sample.height, sample.width), geometry):
        scored[y0 // geometry.stride, x0 // geometry.stride] = True
    return np.where(scored, labels, LEFT_OUT).astype(np.int8)


def _tile_image(
    image: NDArray[np.generic], first: Sequence[int], geometry: WindowGeometry, number: int
) -> NDArray[np.generic]:
    y0, x0 = (at * geometry.stride - geometry.margin for at in first)
    return cut(image, (y0, x0), (geometry.extent(number), geometry.extent(number)))


def _tile_labels(labels: WindowLabels, first: Sequence[int], number: int) -> WindowLabels:
    """Cuts out the labels of a tile; there are no windows beyond the image."""
    tile = np.full((number, number), LEFT_OUT, np.int8)
    inside = labels[first[0] : first[0] + number, first[1] : first[1] + number]
    tile[: inside.shape[0], : inside.shape[1]] = inside
    return tile


def _batch_of(tiles: Sequence[Tile]) -> WindowBatch:
    labels = np.stack([labels for _, labels in tiles])[..., None]
    weights = (labels != LEFT_OUT).astype(np.float32)
    return np.stack([image for image, _ in tiles]), (labels == POSITIVE).astype(np.float32), weights
