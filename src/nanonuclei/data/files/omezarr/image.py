"""OME-Zarr folders of versions 0.1 to 0.5, at full resolution, one plane at a time (the package `zarr` is optional)."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.files.content import check_inside
from nanonuclei.data.files.limits import ImageLimits
from nanonuclei.data.files.omezarr.layout import is_array
from nanonuclei.data.files.scene import Scene, clean_name, decoding
from nanonuclei.data.files.tiff_metadata import PLAUSIBLE, SQUARE
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Box

_METADATA = frozenset({".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"})
_BLOSC = struct.Struct("<12xI")
"""The first bytes of a chunk that Blosc compressed, which end with its length, bytes."""

_OLD_AXES = "TCZYX"
"""Axes of version 0.1 and 0.2, which do not name them."""


def open_zarr(folder: Path, limits: ImageLimits) -> list[Scene]:
    """Opens an OME-Zarr folder.

    Args:
        folder: A group with ``multiscales`` in its attributes.
        limits: What is decoded at most.

    Returns:
        One recording per entry of ``multiscales``.

    Raises:
        DataError: It is no OME-Zarr image, damaged, or too large, or `zarr` is not installed.
    """
    try:
        import zarr
    except ImportError as error:
        raise DataError("OME-Zarr needs the package zarr. Install it: uv pip install zarr") from error
    files = set()
    for file in folder.rglob("*"):
        check_inside(file, folder)
        files.add(file)
    if is_array(folder):
        raise DataError("holds an array without multiscales, which an OME-Zarr image has. Save it as OME-Zarr or TIFF")
    with decoding("OME-Zarr"):
        group = zarr.open_group(folder, mode="r")
        attributes = dict(group.attrs)
        attributes = attributes.get("ome", attributes)
        multiscales = attributes.get("multiscales")
        if not multiscales:
            raise DataError("holds no multiscales, which an OME-Zarr image has. Name the folder of one image")
        return [_scene(group, entry, attributes.get("omero", {}), limits=limits, files=files) for entry in multiscales]


def _scene(
    group: Any, entry: Mapping[str, Any], omero: Mapping[str, Any], *, limits: ImageLimits, files: Set[Path]
) -> Scene:
    dataset = entry["datasets"][0]
    array = group[dataset["path"]]
    axes = entry.get("axes") or list(_OLD_AXES[-array.ndim :])
    letters = "".join((axis["name"] if isinstance(axis, Mapping) else axis)[:1] for axis in axes).upper()
    if len(letters) != array.ndim or letters[-2:] != "YX" or len(set(letters)) != len(letters):
        raise DataError(f"holds axes {letters} of lengths {array.shape}. Save it with axes t, c, z, y, x")
    extents = dict(zip(letters, array.shape, strict=True))
    if not limits.parts:
        limits.check(extents["Y"], extents["X"], bytes_per_pixel=array.dtype.itemsize)
    limits.check(*array.chunks[-2:], bytes_per_pixel=int(np.prod(array.chunks[:-2])) * array.dtype.itemsize)
    chunks = _Chunks(array, files)
    num = extents.get("C", 1)
    labels = [clean_name(str(channel.get("label") or "")) for channel in omero.get("channels", [])]

    def read(index: Mapping[str, int]) -> NDArray[Any]:
        return window(index, (0, 0, extents["Y"], extents["X"]))

    def window(index: Mapping[str, int], box: Box) -> NDArray[Any]:
        y0, x0, y1, x1 = box
        here = {"Y": slice(y0, y1), "X": slice(x0, x1)}
        with decoding("OME-Zarr"):
            chunks.check(tuple(here.get(axis, slice(at := index.get(axis, 0), at + 1)) for axis in letters))
            return np.asarray(array[tuple(here.get(axis, index.get(axis, 0)) for axis in letters)])

    names = tuple(labels) if len(labels) == num else ("",) * num
    size, dtype = _pixel_size(axes, dataset), np.dtype(array.dtype)
    return Scene(letters, tuple(array.shape), dtype, False, names, size, read, window, note=chunks.note)


class _Chunks:
    """The files that hold the chunks of an array.

    A chunk without a file is one of zeros, or the rest of a copy that broke off: the format does not tell which. So
    missing ones are said, and where all are missing, the array is refused.

    Args:
        array: The array.
        files: All files of the folder of the image.
    """

    def __init__(self, array: Any, files: Set[Path]) -> None:
        folder = Path(array.store.root) / array.path
        self._array, self._sizes = array, array.shards or array.chunks
        self._number = math.prod(-(-length // size) for length, size in zip(array.shape, self._sizes, strict=True))
        found = sum(folder in file.parents and file.name not in _METADATA and file.is_file() for file in files)
        if not found:
            raise DataError("holds no pixels: all its chunks are missing. Copy the folder again")
        missing = self._number - found
        self._folder = folder
        self.note = f"{missing:,} of {self._number:,} chunks are missing and taken for zeros" if missing > 0 else ""

    def check(self, place: tuple[slice, ...]) -> None:
        """Refuses chunks that are cut short, which Blosc would decode beyond their end."""
        ranges = [range(one.start // size, -(-one.stop // size)) for one, size in zip(place, self._sizes, strict=True)]
        for at in itertools.product(*ranges):
            file = self._folder / self._array.metadata.encode_chunk_key(at)
            if not file.is_file():
                continue
            with file.open("rb") as stream:
                head = stream.read(_BLOSC.size)
            if self._is_blosc and (len(head) < _BLOSC.size or _BLOSC.unpack(head)[0] != file.stat().st_size):
                raise DataError(f"chunk {'.'.join(map(str, at))} is cut short. Copy the folder again")

    @property
    def _is_blosc(self) -> bool:
        return not self._array.shards and any("blosc" in repr(codec).lower() for codec in self._array.compressors)


def _pixel_size(axes: list[Any], dataset: Mapping[str, Any]) -> float | None:
    """Returns the side of a pixel, micrometres; None where it is not told, not plausible or not square."""
    scale = next((one["scale"] for one in dataset.get("coordinateTransformations", []) if one["type"] == "scale"), None)
    if scale is None or len(scale) != len(axes) or not all(isinstance(axis, Mapping) for axis in axes):
        return None
    sizes = []
    for axis, length in zip(axes[-2:], scale[-2:], strict=True):
        unit = str(axis.get("unit", "")).replace("meter", "metre")
        sizes.append(float(length) * {"nanometre": 1e-3, "micrometre": 1.0, "millimetre": 1e3}.get(unit, 0.0))
    height, width = sizes
    if not (PLAUSIBLE[0] <= width <= PLAUSIBLE[1]) or abs(height - width) > SQUARE * width:
        return None
    return width
