"""Reads Kaggle's run lengths, to compare what the platform writes with the objects that it found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nanonuclei.imaging.instances import Instances, from_labels


def from_run_lengths(texts: Sequence[str], shape: tuple[int, int]) -> Instances:
    """Returns the objects in the order of the texts, ``start length ...``; starts count from 1 down the columns."""
    pixels = np.zeros(shape[0] * shape[1], np.int32)
    for number, text in enumerate(texts, start=1):
        numbers = [int(word) for word in text.split()]
        for start, length in zip(numbers[::2], numbers[1::2], strict=True):
            run = pixels[start - 1 : start - 1 + length]
            assert len(run) == length > 0
            assert not run.any(), "objects share pixels"
            run[:] = number
    return from_labels(np.ascontiguousarray(pixels.reshape(shape, order="F")))
