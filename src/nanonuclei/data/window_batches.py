"""Batches of labelled windows with their margins: an endless stream for training, every window of a split once.

As in `data.batches`, what a batch holds depends on the seed and the batch's number alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanonuclei.config.experiment import AugmentConfig
from nanonuclei.config.nanotubes import NanotubeExperiment, WindowAugmentConfig
from nanonuclei.data.augment import jitter
from nanonuclei.data.batches import TrainBatches, ValidationBatches, sampling_weights
from nanonuclei.data.catalog import SampleRef
from nanonuclei.data.tubes import tube_truth
from nanonuclei.data.window_labels import LEFT_OUT, label_windows
from nanonuclei.errors import DataError
from nanonuclei.imaging.cutting import cut
from nanonuclei.imaging.normalize import normalize
from nanonuclei.imaging.types import Float32Array, UInt8Array
from nanonuclei.imaging.window_geometry import WindowGeometry
from nanonuclei.imaging.windows import Window, cover

STEPS = 4
"""Training draws from windows a quarter of their side apart; flips, turns and margins do the rest."""

WindowBatch = tuple[Float32Array, Float32Array]


class LabelledWindow(NamedTuple):
    """A window that is known to hold a nanotube or to hold none.

    Attributes:
        sample: Place of its image among the samples.
        corner: Its y0 and x0 without the margin, px.
        label: 1 or 0.
    """

    sample: int
    corner: tuple[int, int]
    label: int


class WindowTrainBatches(TrainBatches):
    """An endless stream of augmented windows of both classes.

    Batch i is ``(image, label)``: ``(batch_size, patch, patch, 3)`` float32 in 0..1, windows with margins, and
    ``(batch_size, 1)`` float32, 0 or 1.

    Args:
        samples: The training images.
        config: The experiment; seed, normalize, augment, data.labels and train are read.
        geometry: Window and margin.

    Raises:
        DataError: Not both classes are there.
    """

    def __init__(self, samples: Sequence[SampleRef], *, config: NanotubeExperiment, geometry: WindowGeometry) -> None:
        self._windows = labelled_windows(samples, config, window=geometry.window, step=geometry.window // STEPS)
        check_classes(self._windows, split="train")
        super().__init__(samples, config=config, target=_no_target)  # type: ignore[arg-type]
        self._geometry = geometry
        self._jitter = _jitter_config(config.augment)
        classes = [str(window.label) for window in self._windows]
        self._cumulative = np.cumsum(sampling_weights(classes, balance=config.train.balance), dtype=np.float64)

    def _batch(self, number: int) -> WindowBatch:  # type: ignore[override]
        rng = np.random.default_rng([self._config.seed, number])
        drawn = [self._drawn(rng) for _ in range(self._config.train.batch_size)]
        return np.stack([image for image, _ in drawn]), np.array([[label] for _, label in drawn], np.float32)

    def _drawn(self, rng: np.random.Generator) -> tuple[Float32Array, int]:
        image, label = self._window(rng)
        if rng.random() < self._config.augment.mixup:
            image, label = overlaid((image, label), self._window(rng))
        return jitter(image, config=self._jitter, rng=rng), label

    def _window(self, rng: np.random.Generator) -> tuple[Float32Array, int]:
        place = int(np.searchsorted(self._cumulative, rng.random() * self._cumulative[-1], side="right"))
        window = self._windows[min(place, len(self._windows) - 1)]
        sample, augment = self._decode(window.sample), self._config.augment
        image = normalize(_patch(sample.image, window.corner, self._geometry), sample.limits)
        turns = int(rng.integers(4)) if augment.turn else 0
        flips = tuple(axis for axis in (0, 1) if augment.flip and rng.random() < 0.5)
        return np.ascontiguousarray(np.flip(np.rot90(image, turns), flips)), window.label


class WindowValidationBatches(ValidationBatches):
    """Every labelled window of a split once, side by side: the same in every epoch.

    Batches are as in `WindowTrainBatches`, the last one smaller.

    Raises:
        DataError: Not both classes are there.
    """

    def __init__(self, samples: Sequence[SampleRef], *, config: NanotubeExperiment, geometry: WindowGeometry) -> None:
        super().__init__(samples, config=config, target=_no_target)  # type: ignore[arg-type]
        self._geometry = geometry
        self._windows = labelled_windows(samples, config, window=geometry.window, step=geometry.window)
        check_classes(self._windows, split="val")

    @property
    def num_batches(self) -> int:
        """Batches in the split."""
        return -(-len(self._windows) // self._batch_size)

    def __getitem__(self, index: int) -> WindowBatch:  # type: ignore[override]
        """Returns batch `index`."""
        images, labels = [], []
        for window in self._windows[index * self._batch_size : (index + 1) * self._batch_size]:
            sample = self._decode(window.sample)
            images.append(normalize(_patch(sample.image, window.corner, self._geometry), sample.limits))
            labels.append([window.label])
        return np.stack(images), np.array(labels, np.float32)


def labelled_windows(
    samples: Sequence[SampleRef], config: NanotubeExperiment, *, window: int, step: int
) -> list[LabelledWindow]:
    """Returns the windows of images that are positive or negative; those in between are left out.

    Args:
        samples: Images.
        config: `data.labels` is read.
        window: Side of a window, px.
        step: Distance of neighbouring windows, px.
    """
    found = []
    for place, sample in enumerate(samples):
        windows = cover((sample.height, sample.width), window, step)
        labels = label_windows(tube_truth(sample), windows, config.data.labels)
        found += [
            LabelledWindow(place, (windows[i].y0, windows[i].x0), int(labels[i]))
            for i in np.flatnonzero(labels != LEFT_OUT)
        ]
    return found


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


def overlaid(one: tuple[Float32Array, int], other: tuple[Float32Array, int]) -> tuple[Float32Array, int]:
    """Lays one window over another: the brighter pixel of the two; positive if either is.

    A weighted mean, as in mixup (Zhang et al. 2018, arXiv 1710.09412), would leave a thin line that share of its
    contrast and the label that share of its weight; so the line keeps both, wherever the other image is darker.

    Args:
        one: ``(height, width, 3)`` float32, and 0 or 1.
        other: Likewise.
    """
    return np.maximum(one[0], other[0]), max(one[1], other[1])


def check_classes(windows: Sequence[LabelledWindow], *, split: str) -> None:
    """Makes sure that a split has windows of both classes.

    Raises:
        DataError: It has not.
    """
    positive = sum(window.label for window in windows)
    negative = len(windows) - positive
    if not positive or not negative:
        raise DataError(
            f"the {split} split must hold windows with and without nanotubes, got {positive} and {negative}. Raise "
            f"data.split.{split}, or change data.labels or train.patch_size, the side of a window"
        )


def _patch(image: NDArray[np.generic], corner: tuple[int, int], geometry: WindowGeometry) -> NDArray[np.generic]:
    y0, x0 = corner
    return cut(image, (y0 - geometry.margin, x0 - geometry.margin), (geometry.patch, geometry.patch))


def _jitter_config(config: WindowAugmentConfig) -> AugmentConfig:
    """Returns the changes of grey values alone, in the terms of `data.augment`."""
    return AugmentConfig(
        flip=False,
        turn=False,
        warp_probability=0.0,
        rotate=0.0,
        scale=0.0,
        elastic=0.0,
        intensity_probability=config.intensity_probability,
        gain=config.gain,
        offset=config.offset,
        gamma=config.gamma,
        noise=config.noise,
        invert=0.0,
        colour=0.0,
    )


def _no_target(labels: NDArray[np.generic]) -> UInt8Array:
    """Stands for the target per pixel, which windows do not have."""
    return np.zeros((*labels.shape, 1), np.uint8)
