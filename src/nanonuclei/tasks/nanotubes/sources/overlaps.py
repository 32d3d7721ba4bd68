"""Patches that were cut out of one image with an overlap, found by the pixels that they share.

A sliding window that moves by less than its side puts the same pixels into many patches. Dealt out one by one, patches
of training and of validation then hold the same nanotube, and a network that knows it by heart looks good.

Small blocks of every patch are hashed wherever they lie, those whose hash ends in zeros are kept (a sample that depends
on the content alone, as Manber 1994 proposed for files), and two patches that share one are laid over each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray

from nanonuclei.imaging.types import Image

BLOCK = 10
"""Side of a block, px."""
LEAST_RANGE = 8
"""Blocks whose grey values differ by less say nothing: background, and what is saturated."""
KEPT = 48
"""Blocks of a patch that are kept, about."""
TRIED = 4
"""Patches that a patch is compared with per block that it shares."""
_ROW, _COLUMN, _MIX = (np.uint64(value) for value in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
"""Odd numbers without a pattern."""


class _Place(NamedTuple):
    patch: int
    y: int
    x: int


def find_overlaps(patches: Sequence[Image]) -> NDArray[np.int64]:
    """Numbers groups of patches that overlap, directly or through others.

    Two patches overlap where, shifted against each other, all pixels that they share are equal, and among these is a
    block of `BLOCK` px with some contrast. Shared pixels at the same place in both, such as a scale bar, count for
    nothing; nor are copies found that were turned, mirrored, resized or compressed with losses.

    Args:
        patches: ``(height, width, ...)``, of any sizes.

    Returns:
        ``(n,)``: a number per patch, equal for those of one group.
    """
    grey = [patch if patch.ndim == 2 else patch[..., 0] for patch in patches]
    sizes = [max(0, image.shape[0] - BLOCK + 1) * max(0, image.shape[1] - BLOCK + 1) for image in grey]
    every = max(1, int(np.median(sizes or [0])) // KEPT)
    links: set[tuple[int, int]] = set()
    seen: dict[int, list[_Place]] = defaultdict(list)
    for number, image in enumerate(grey):
        for block, y, x in _blocks(image, every):
            others, here = seen[block], _Place(number, y, x)
            if any(other.patch == number for other in others):
                continue
            for other in others:
                if (other.patch, number) not in links and _overlap(grey, other, here):
                    links.add((other.patch, number))
            if len(others) < TRIED:
                others.append(here)
    ends = np.array(sorted(links), int).reshape(-1, 2)
    graph = scipy.sparse.coo_array((np.ones(len(ends), bool), ends.T), shape=(len(grey), len(grey)))
    return np.asarray(scipy.sparse.csgraph.connected_components(graph, directed=False)[1], np.int64)


def _blocks(image: Image, every: int) -> list[tuple[int, int, int]]:
    """Returns hash, y and x of the blocks of an image that are kept."""
    if min(image.shape) < BLOCK:
        return []
    values = image.astype(np.uint64)
    height, width = (side - BLOCK + 1 for side in image.shape)
    rows = np.zeros((image.shape[0], width), np.uint64)
    for shift in range(BLOCK):  # a number in another base, modulo 2**64: equal blocks, equal hashes
        rows = rows * _ROW + values[:, shift : shift + width]
    hashes = np.zeros((height, width), np.uint64)
    for shift in range(BLOCK):
        hashes = hashes * _COLUMN + rows[shift : shift + height]
    hashes = (hashes ^ (hashes >> np.uint64(29))) * _MIX
    hashes ^= hashes >> np.uint64(32)
    y, x = np.nonzero((hashes % np.uint64(every) == 0) & _has_contrast(image)[:height, :width])
    return list(zip(hashes[y, x].tolist(), y.tolist(), x.tolist(), strict=True))


def _has_contrast(image: Image) -> NDArray[np.bool_]:
    """Tells for each block, by its upper left pixel, whether its grey values differ enough."""
    kernel = np.ones((BLOCK, BLOCK), np.uint8)
    values = image.astype(np.float32)
    corner: dict[str, Any] = {"anchor": (0, 0), "borderType": cv2.BORDER_REPLICATE}
    spread: NDArray[np.bool_] = (
        cv2.dilate(values, kernel, **corner) - cv2.erode(values, kernel, **corner) >= LEAST_RANGE
    )
    return spread


def _overlap(images: Sequence[Image], one: _Place, other: _Place) -> bool:
    """Tells whether two patches, shifted so that these places coincide, are equal wherever both are."""
    first, second = images[one.patch], images[other.patch]
    down, right = one.y - other.y, one.x - other.x
    if down == 0 and right == 0:
        return False
    y0, x0 = max(0, down), max(0, right)
    y1, x1 = (min(first.shape[axis], second.shape[axis] + shift) for axis, shift in ((0, down), (1, right)))
    return bool(np.array_equal(first[y0:y1, x0:x1], second[y0 - down : y1 - down, x0 - right : x1 - right]))
