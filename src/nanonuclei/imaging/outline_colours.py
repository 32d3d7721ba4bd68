"""Colours of outlines: objects that touch, or lie near each other, get different ones."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from nanonuclei.imaging.types import Int32Array, Labels

COLOURS = ((255, 176, 0), (64, 196, 255), (255, 96, 60), (80, 230, 140), (255, 130, 220), (245, 240, 80))
"""Red, green, blue of each."""

_STEPS = (1, 2, 4, 8)
"""Distances at which an object looks for others, px; one at the first of them touches it."""


def outline_colours(labels: Labels, edge: NDArray[np.bool_]) -> Int32Array:
    """Chooses the colour of each object, in the order of their labels.

    Args:
        labels: ``(height, width)``, 0 background.
        edge: Of the same size, the border pixels of the objects; no pixel of the background.

    Returns:
        Place in `COLOURS` by label, from label 0 on.
    """
    colours = (np.arange(int(labels.max(initial=0)) + 1) % len(COLOURS)).tolist()
    for label, group in groupby(_neighbours(labels, edge), key=lambda pair: pair[0]):
        costs = [0.0] * len(COLOURS)
        for _, other, distance in group:
            costs[colours[other]] += 1.0 / distance**4
        usual = colours[label]
        rotated = costs[usual:] + costs[:usual]
        colours[label] = (usual + rotated.index(min(rotated))) % len(COLOURS)
    return np.array(colours, np.int32)


def _neighbours(labels: Labels, edge: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """Returns label, lower label near it, and their distance (of `_STEPS`), in order.

    Beyond the right border it takes the next row for near: a neighbour too many does no harm.
    """
    flat, size = labels.ravel(), int(labels.max(initial=0)) + 1
    border = np.flatnonzero(edge)
    codes = [np.zeros(0, np.int64)]
    for place, step in enumerate(_STEPS):
        some = border[:: step | 1]  # an odd stride, so that both sides of an object are seen
        own = flat[some].astype(np.int64)
        for offset in (step, step * labels.shape[1]):
            other = flat[np.minimum(some + offset, flat.size - 1)].astype(np.int64)
            near = np.flatnonzero((other > 0) & (other != own))
            one, another = own[near], other[near]
            pair = np.maximum(one, another) * size + np.minimum(one, another)
            codes.append(pair[np.diff(pair, prepend=-1) != 0] * len(_STEPS) + place)
    code = np.sort(np.concatenate(codes))
    code = code[np.diff(code // len(_STEPS), prepend=-1) != 0]  # of each pair the least distance
    pair, distance = code // len(_STEPS), np.array(_STEPS)[code % len(_STEPS)]
    return list(zip((pair // size).tolist(), (pair % size).tolist(), distance.tolist(), strict=True))
