"""OME-Zarr folders of versions 0.1 to 0.5, at full resolution, one plane at a time (the package `zarr` is optional)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.files.limits import ImageLimits
from nanonuclei.data.files.listing import check_inside
from nanonuclei.data.files.omezarr.layout import is_array
from nanonuclei.data.files.scene import Scene, decoding
from nanonuclei.data.files.tiff_metadata import PLAUSIBLE, SQUARE
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Box

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
    for file in folder.rglob("*"):
        check_inside(file, folder)
    if is_array(folder):
        raise DataError("holds an array without multiscales, which an OME-Zarr image has. Save it as OME-Zarr or TIFF")
    with decoding("OME-Zarr"):
        group = zarr.open_group(folder, mode="r")
        attributes = dict(group.attrs)
        attributes = attributes.get("ome", attributes)
        multiscales = attributes.get("multiscales")
        if not multiscales:
            raise DataError("holds no multiscales, which an OME-Zarr image has. Name the folder of one image")
        return [_scene(group, entry, attributes.get("omero", {}), limits) for entry in multiscales]


def _scene(group: Any, entry: Mapping[str, Any], omero: Mapping[str, Any], limits: ImageLimits) -> Scene:
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
    num = extents.get("C", 1)
    labels = [str(channel.get("label") or "") for channel in omero.get("channels", [])]

    def read(index: Mapping[str, int]) -> NDArray[Any]:
        return window(index, (0, 0, extents["Y"], extents["X"]))

    def window(index: Mapping[str, int], box: Box) -> NDArray[Any]:
        y0, x0, y1, x1 = box
        here = {"Y": slice(y0, y1), "X": slice(x0, x1)}
        with decoding("OME-Zarr"):
            return np.asarray(array[tuple(here.get(axis, index.get(axis, 0)) for axis in letters)])

    names = tuple(labels) if len(labels) == num else ("",) * num
    size, dtype = _pixel_size(axes, dataset), np.dtype(array.dtype)
    return Scene(letters, tuple(array.shape), dtype, False, names, size, read, window)


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
