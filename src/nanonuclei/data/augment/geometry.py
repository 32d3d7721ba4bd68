"""Random geometry of a training patch: image and labels are cut, turned, zoomed and bent alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from nanonuclei.config.pixels import AugmentConfig
from nanonuclei.data.augment.sizes import ObjectSizes, draw_zoom
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Float32Array, Image, Int32Array, Labels

ELASTIC_SPACING = 32.0
"""Least distance of the nodes of the elastic displacement, px; about one nucleus."""


NEAR_A_NUCLEUS = 0.8
"""Share of the patches zoomed to a size that lie near a nucleus; the others lie anywhere in the image."""


class Patch(NamedTuple):
    """What was cut out of an image.

    Attributes:
        image: ``(size, size)`` or ``(size, size, 3)`` of the image's type.
        labels: ``(size, size)`` int32, the numbers of the image's labels.
        zoom: Patch px per image px; areas grow with its square.
    """

    image: Image
    labels: Int32Array
    zoom: float


@dataclass(frozen=True)
class _Warp:
    """Free geometry of one patch: patch px (x, y), turned, zoomed and displaced, become image px."""

    angle: float
    zoom: float
    elastic: tuple[Float32Array, Float32Array] | None


def random_patch(
    image: Image,
    labels: Labels,
    *,
    size: int,
    config: AugmentConfig | None,
    rng: np.random.Generator,
    objects: ObjectSizes | None = None,
) -> Patch:
    """Cuts a square patch at a random place, in a random geometry, from an image and its labels alike.

    Flips and quarter turns only reorder pixels. Rotation, zoom and elastic displacement are one single resampling,
    drawn with probability `config.warp_probability`; without it every pixel of the patch is a pixel of the image. With
    `config.size_probability` above 0 the zoom is drawn for every patch, see `sizes.draw_zoom`. What
    lies beyond the border is the mirrored image (the border row itself is not repeated) with equally mirrored labels,
    so one label may then have several separate parts.

    Args:
        image: ``(height, width)`` or ``(height, width, 3)``, uint8 or uint16. May be smaller than the patch.
        labels: ``(height, width)`` integers, 0 background.
        size: Side of the patch, px.
        config: What may change; None for the bare crop.
        rng: Source of all randomness; the same state gives the same patch.
        objects: Sizes and places of the labels; needed where `config.size_probability` is above 0.

    Returns:
        The patch, interpolated linearly (from a reduced image where it is shrunk to a half or less), its labels from
        the nearest pixel, and the zoom.

    Raises:
        DataError: Image and labels differ in height or width, or are empty, or are of another type.
    """
    _check(image, labels, size)
    y0, x0 = (_draw_start(length, size, rng) for length in labels.shape)
    if config is None:
        return Patch(_crop(image, y0, x0, size).copy(), _crop(labels, y0, x0, size).astype(np.int32), 1.0)
    turns = int(rng.integers(4)) if config.turn else 0
    flips = tuple(axis for axis in (0, 1) if config.flip and rng.random() < 0.5)
    warps = rng.random() < config.warp_probability
    zoom = 1.0
    if objects is not None and config.size_probability > 0.0:
        zoom, place = draw_zoom(objects.diameters, config=config, rng=rng)
        if place is not None and rng.random() < NEAR_A_NUCLEUS:
            y0, x0 = _start_near(objects.centres[place], labels.shape, size=size, zoom=zoom, rng=rng)
        warp = _draw_warp(size, config, rng) if warps else _Warp(0.0, zoom, None)
        patch, patch_labels = _resample(image, labels, (y0, x0), size, _Warp(warp.angle, zoom, warp.elastic))
    elif warps:
        warp = _draw_warp(size, config, rng)
        zoom = warp.zoom
        patch, patch_labels = _resample(image, labels, (y0, x0), size, warp)
    else:
        patch, patch_labels = _crop(image, y0, x0, size), _crop(labels, y0, x0, size)
    patch, patch_labels = np.flip(np.rot90(patch, turns), flips), np.flip(np.rot90(patch_labels, turns), flips)
    return Patch(patch.copy(order="C"), patch_labels.astype(np.int32, order="C"), zoom)


def _start_near(
    centre: Float32Array, shape: tuple[int, ...], *, size: int, zoom: float, rng: np.random.Generator
) -> tuple[int, int]:
    """Returns the first pixel of an unzoomed patch whose middle, once zoomed, keeps the nucleus in the patch."""
    reach = 0.4 * size / zoom
    middle = np.clip(centre + rng.uniform(-reach, reach, 2), 0, np.array(shape) - 1)
    y0, x0 = (middle - (size - 1) / 2.0).round().astype(int).tolist()
    return y0, x0


def _check(image: Image, labels: Labels, size: int) -> None:
    if labels.ndim != 2 or image.shape[:2] != labels.shape or 0 in labels.shape or image.shape[2:] not in ((), (3,)):
        raise DataError(
            "image and labels must share height and width, the image with 1 or 3 channels: got image "
            f"{image.shape} and labels {labels.shape}. Run the prepare stage again"
        )
    if image.dtype not in (np.uint8, np.uint16) or labels.dtype.kind not in "iu":
        raise DataError(
            f"an image must be uint8 or uint16 and labels integers, got {image.dtype} and {labels.dtype}. "
            "Run the prepare stage again"
        )
    if size < 1:
        raise DataError(f"a patch must have at least 1 px, got size {size}. Raise train.patch_size")


def _draw_start(length: int, size: int, rng: np.random.Generator) -> int:
    """First row (or column) of the patch: inside the image where it fits, else such that the image is inside it."""
    low, high = sorted((0, length - size))
    return int(rng.integers(low, high, endpoint=True))


def _crop(array: Image, y0: int, x0: int, size: int) -> Image:
    height, width = array.shape[:2]
    part = array[max(y0, 0) : y0 + size, max(x0, 0) : x0 + size]
    if part.shape[:2] == (size, size):
        return part
    above, left = max(-y0, 0), max(-x0, 0)
    below, right = max(y0 + size - height, 0), max(x0 + size - width, 0)
    part = np.ascontiguousarray(_remappable(part))
    padded: Image = cv2.copyMakeBorder(part, above, below, left, right, cv2.BORDER_REFLECT_101)
    return padded


def _draw_warp(size: int, config: AugmentConfig, rng: np.random.Generator) -> _Warp:
    angle = math.radians(rng.uniform(-config.rotate, config.rotate))
    limit = math.log1p(config.scale)
    zoom = math.exp(rng.uniform(-limit, limit))
    if config.elastic == 0.0:
        return _Warp(angle, zoom, None)
    return _Warp(angle, zoom, (_draw_wave(size, config.elastic, rng), _draw_wave(size, config.elastic, rng)))


def _draw_wave(size: int, amplitude: float, rng: np.random.Generator) -> Float32Array:
    """Draws a smooth random surface, ``(size, size)`` within ±amplitude.

    It is a uniform cubic B-spline (de Boor, A Practical Guide to Splines, 1978) over nodes of random sign: a weighted
    mean of its nodes, so it stays within them, and as steep as 2 * amplitude / spacing at most. With nodes 4 amplitudes
    apart that is 1/2, so two such surfaces as x and y displacement never fold a patch over.
    """
    spacing = max(ELASTIC_SPACING, 4.0 * amplitude)
    position = rng.uniform() + np.arange(size) / spacing
    node = position.astype(np.intp)
    t = position - node
    weights = np.zeros((size, int(node[-1]) + 4), np.float32)
    basis = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for step, weight in enumerate(basis):
        weights[np.arange(size), node + step] = weight / 6.0
    nodes = rng.choice(np.array([-amplitude, amplitude], np.float32), (weights.shape[1], weights.shape[1]))
    # Products of a linear algebra library wake its threads, which then turn while they wait for more.
    half = np.einsum("ij,jk->ik", weights, nodes)
    return np.asarray(np.einsum("ij,jk->ik", half, np.ascontiguousarray(weights.T)), np.float32)


def _resample(image: Image, labels: Labels, start: tuple[int, int], size: int, warp: _Warp) -> tuple[Image, Int32Array]:
    """Resamples the patch whose unwarped first pixel is `start`, reading only the part of the image that it needs."""
    middle = (size - 1) / 2.0
    axis = np.arange(size, dtype=np.float32) - np.float32(middle)
    x: Float32Array = np.broadcast_to(axis[None, :], (size, size))
    y: Float32Array = np.broadcast_to(axis[:, None], (size, size))
    if warp.elastic is not None:
        x, y = x + warp.elastic[0], y + warp.elastic[1]
    cosine, sine = np.float32(math.cos(warp.angle) / warp.zoom), np.float32(math.sin(warp.angle) / warp.zoom)
    map_x = cosine * x - sine * y
    map_y = sine * x + cosine * y
    map_x += np.float32(start[1] + middle)
    map_y += np.float32(start[0] + middle)
    halvings = max(0, math.floor(-math.log2(warp.zoom) + 1e-6))
    patch = _from_reduced(image, map_x, map_y, 2**halvings) if halvings else None
    rows, columns = _span(map_y, labels.shape[0]), _span(map_x, labels.shape[1])
    map_y -= np.float32(rows.start)
    map_x -= np.float32(columns.start)
    source_labels = np.ascontiguousarray(labels[rows, columns].astype(np.int32))
    if patch is None:
        source = np.ascontiguousarray(image[rows, columns])
        maps, fractions = cv2.convertMaps(map_x, map_y, cv2.CV_16SC2)
        patch = cv2.remap(source, maps, fractions, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    nearest = cv2.remap(source_labels, map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
    return patch, nearest


def _from_reduced(image: Image, map_x: Float32Array, map_y: Float32Array, factor: int) -> Image:
    """Samples the image after the mean over `factor` x `factor` px, so that small things fade and do not flicker."""
    height, width = (max(1, round(length / factor)) for length in image.shape[:2])
    reduced = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    scale_x, scale_y = np.float32(width / image.shape[1]), np.float32(height / image.shape[0])
    x, y = (map_x + np.float32(0.5)) * scale_x - np.float32(0.5), (map_y + np.float32(0.5)) * scale_y - np.float32(0.5)
    patch: Image = cv2.remap(reduced, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return patch


def _span(positions: Float32Array, length: int) -> slice:
    """Rows (or columns) of the image that these positions read, mirrored ones included."""
    low, high = math.floor(float(positions.min())) - 1, math.ceil(float(positions.max())) + 2
    beyond = length - 1
    first = min(low, 2 * beyond - high)
    last = max(high, 1 - low)
    return slice(max(first, 0), min(last, length))


def _remappable(array: Image) -> Image:
    """OpenCV copies uint8, uint16 and int32; labels of any other integer type become int32."""
    return array if array.dtype in (np.uint8, np.uint16, np.int32) else array.astype(np.int32)
