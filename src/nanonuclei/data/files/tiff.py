"""TIFF, OME-TIFF and ImageJ's TIFF, one plane at a time; their metadata are read in `tiff_metadata.py`."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from nanonuclei.data.files.content import Content
from nanonuclei.data.files.limits import ImageLimits
from nanonuclei.data.files.omesets.opening import alone, check_set, count_pages, opened_set
from nanonuclei.data.files.omesets.sets import find_set
from nanonuclei.data.files.planes.pages import LOSSY, check_segments, opened, page_at, read_page
from nanonuclei.data.files.planes.segments import page_window, readable_in_parts
from nanonuclei.data.files.scene import COLOURS, Scene, decoding
from nanonuclei.data.files.tiff_metadata import channel_names, ome_planes, pixel_size
from nanonuclei.errors import DataError
from nanonuclei.imaging.types import Box

_MINISWHITE, _MINISBLACK, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_OTHER_COLOURS = {8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "a colour filter", 32844: "LogL", 32845: "LogLuv"}
"""Photometric interpretations of which the numbers are neither grey values nor red, green and blue."""
_YCBCR_2000 = 33003
"""JPEG 2000 of YCbCr, as slides of Aperio may have."""
_ALPHA = frozenset({1, 2})
_SIDE_IMAGES = frozenset({"thumbnail", "label", "macro", "overview", "map"})


@contextlib.contextmanager
def open_tiff(content: Content, limits: ImageLimits) -> Iterator[list[Scene]]:
    """Opens a TIFF, with the other files of its image where it is an OME-TIFF in several.

    Args:
        content: The file, or where it is; of a path the companion file of a set, too. Of bytes no other file is read.
        limits: What is decoded at most.

    Yields:
        The recordings in it, without thumbnails and labels of slides. Their planes can be read while it is open.

    Raises:
        DataError: It is damaged, cut short, too large, or holds no image; or another file of its image is missing.
    """
    several = find_set(content) if isinstance(content, Path) else None
    if several is not None and several.problem:
        raise DataError(several.problem)
    logger = logging.getLogger("tifffile")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # what tifffile logs about damaged files is raised as an error here
        logger.propagate = False
    with contextlib.ExitStack() as stack:
        with decoding("TIFF"):
            tiff = stack.enter_context(opened_set(content, several))
            _check_number(max(len(tiff.pages), ome_planes(tiff), count_pages(several)), limits)
            _check_chain(tiff)
            series = list(enumerate(tiff.series))
            if several is not None:
                check_set(tiff, several, check=_check_end)
            series = [(number, one) for number, one in series if not _is_side_image(one)] or series[:1]
            for _, one in series:
                if len(set(one.axes)) < len(one.axes):
                    one._squeeze = True  # leaves out axes of length 1, which programs write without a name
            if not series:
                raise DataError("holds no image. Save it again")
            packed = tiff.filehandle.size if several is None else several.num_bytes
            scenes = [_scene(tiff, one, number, packed=packed, limits=limits) for number, one in series]
            note = f"planes of {len(several.tiffs)} files" if several is not None else alone(tiff)
            scenes = [replace(scene, note=note) for scene in scenes]
        yield scenes


def _check_number(num_pages: int, limits: ImageLimits) -> None:
    if num_pages > limits.num_pages:
        raise DataError(
            f"holds {num_pages:,} pages, more than the {limits.num_pages:,} that are looked at. Cut it into parts"
        )


def _check_chain(tiff: tifffile.TiffFile) -> None:
    """Refuses a file of which pages are missing: the last one refers to a next one, or ImageJ counts more."""
    _check_end(tiff)
    num_planes = (tiff.imagej_metadata or {}).get("images", 1)
    if isinstance(num_planes, int) and num_planes > sum(_num_planes(series) for series in tiff.series):
        raise DataError("not a readable TIFF: ImageJ counts more planes than it holds. Save it again")


def _check_end(tiff: tifffile.TiffFile) -> None:
    """Refuses a file of which the last page that is there refers to a next one."""
    place = tiff.pages.next_page_offset
    if place is not None:
        tiff.filehandle.seek(place)
        if any(tiff.filehandle.read(tiff.tiff.offsetsize)):
            raise DataError("not a readable TIFF: it is cut short, some of its pages are missing. Save it again")


def _num_planes(series: tifffile.TiffPageSeries) -> int:
    return math.prod(extent for axis, extent in zip(series.axes, series.shape, strict=True) if axis not in "YXS")


def _is_side_image(series: tifffile.TiffPageSeries) -> bool:
    page = series.keyframe
    return bool(page.is_reduced) or series.name.strip().lower() in _SIDE_IMAGES


def _scene(
    tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, number: int, *, packed: int, limits: ImageLimits
) -> Scene:
    page = series.keyframe
    extents = dict(zip(series.axes, series.shape, strict=True))
    if len(extents) < len(series.axes) or not {"Y", "X"} <= extents.keys():
        raise DataError(f"holds no plane of pixels, but axes {series.axes}. Save the image alone")
    if page.imagedepth != 1:
        raise DataError(f"holds {page.imagedepth} planes in one page. Save them as pages")
    _check_colours(page)
    samples = extents.get("S", 1)
    per_pixel = samples * series.dtype.itemsize
    in_parts = limits.parts and readable_in_parts(series)
    if not in_parts:
        limits.check(extents["Y"], extents["X"], bytes_per_pixel=per_pixel, packed=packed)
    if page.is_tiled:
        limits.check(page.tilelength, page.tilewidth, bytes_per_pixel=per_pixel, packed=packed)
    alpha = bool(page.extrasamples) and page.extrasamples[-1] in _ALPHA
    colour = page.photometric in (_RGB, _YCBCR, _SEPARATED) and samples in (3, 4)
    colour = colour or (samples == 3 and series.dtype == np.uint8)
    palette = None if tiff.is_imagej or page.photometric != _PALETTE else page.colormap
    outer = [letter for letter in series.axes if letter not in "YXS"]
    order = "".join(outer) + ("YXS" if "S" in extents or palette is not None else "YX")
    if palette is not None or colour:
        samples = extents["S"] = 3
    elif samples == 1 or (samples == 2 and alpha):
        order, samples = order.removesuffix("S"), 1
    num_channels = extents.get("C", 1 if colour else samples)
    names = channel_names(tiff, num_channels, number=number)
    if "C" not in extents and (colour or palette is not None):
        names = COLOURS
    read, window = _readers(tiff, series, palette, limits=limits)
    return Scene(
        axes=order,
        shape=tuple(extents[letter] for letter in order),
        dtype=np.dtype(np.uint8) if palette is not None else series.dtype,
        colour=colour or palette is not None,
        channel_names=names,
        pixel_size=pixel_size(tiff, number=number),
        read=read,
        window=window if readable_in_parts(series) else None,
        lossy=page.compression in LOSSY,
    )


def _check_colours(page: Any) -> None:
    """Refuses a page of which the numbers would be taken for other colours than they are."""
    kind = _OTHER_COLOURS.get(int(page.photometric), "")
    if page.compression == _YCBCR_2000 or (page.photometric == _YCBCR and page.compression not in LOSSY):
        kind = "YCbCr without JPEG"
    if kind:
        raise DataError(f"holds its colours as {kind}, which is not read. Save it in grey or as RGB")


def _readers(
    tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, palette: NDArray[Any] | None, *, limits: ImageLimits
) -> tuple[Callable[[Mapping[str, int]], NDArray[Any]], Callable[[Mapping[str, int], Box], NDArray[Any]]]:
    """Returns what reads one plane, and a window of one, see `Scene.read` and `Scene.window`."""
    extents = dict(zip(series.axes, series.shape, strict=True))
    outer = [letter for letter in series.axes if letter not in "YXS"]
    num_planes = _num_planes(series)
    per_page = len(series.pages) == num_planes
    separate = "S" in extents and series.axes.index("S") < series.axes.index("Y")
    if not per_page and len(series.pages) == num_planes * extents.get("S", 1) and separate:
        outer, separate, per_page = [*outer, "S"], False, True
    page = series.keyframe
    # Programs write true and false as "white is zero" without inverting them, and ImageJ any image as it is shown.
    inverted = page.photometric == _MINISWHITE and not tiff.is_imagej and series.dtype.kind == "u"
    white = 2 ** min(int(page.bitspersample), 8 * series.dtype.itemsize) - 1 if inverted else 0
    whole: list[NDArray[Any]] = []

    def stored(index: Mapping[str, int]) -> NDArray[Any]:
        """The axes Y, X and S of one place, in the order of the file."""
        if per_page:
            number = 0
            for letter in outer:
                number = number * extents[letter] + index.get(letter, 0)
            found = page_at(series, number)
            with opened(found):
                return read_page(found, limits)
        if not whole:
            if series.is_multifile:
                raise DataError("holds several planes in a page of one of its files. Save it again as one file")
            check_segments(page, limits)
            if series.dataoffset is None and series.size * series.dtype.itemsize > limits.num_bytes:
                raise DataError(f"holds {series.size:,} values in one page. Save the planes as pages")
            contiguous = series.dataoffset is not None and tiff.filehandle.is_file
            whole.append(series.asarray(out="memmap" if contiguous else None))
        place = tuple(index.get(letter, 0) if letter in outer else slice(None) for letter in series.axes)
        return np.asarray(whole[0][place])

    def read(index: Mapping[str, int]) -> NDArray[Any]:
        with decoding("TIFF"):
            if "S" in outer and "S" not in index:
                values = np.stack([stored({**index, "S": sample}) for sample in range(extents["S"])], axis=-1)
            else:
                values = stored(index)
                inner = [letter for letter in series.axes if letter in "YXS" and letter not in outer]
                values = values.reshape([extents[letter] for letter in inner])
                if "S" in inner:
                    values = np.moveaxis(values, inner.index("S"), -1)
            return shown(values, index)

    def window(index: Mapping[str, int], box: Box) -> NDArray[Any]:
        number = 0
        for letter in outer:
            number = number * extents[letter] + index.get(letter, 0)
        with decoding("TIFF"):
            found = page_at(series, number)
            with opened(found):
                values = page_window(found, box, lambda place: check_segments(place[0], limits, place[1]))
            return shown(values if values.shape[2] > 1 or "S" in extents else values[..., 0], index)

    def shown(values: NDArray[Any], index: Mapping[str, int]) -> NDArray[Any]:
        if palette is not None or page.photometric == _SEPARATED or "S" not in index:
            values = _coloured(values, page, palette)
        if "S" in index and values.ndim == 3:
            values = values[..., index["S"]]
        if values.ndim == 3 and values.shape[2] == 1:
            values = values[..., 0]
        values = _upright(values, white=white)
        return values if values.flags.owndata else np.array(values)  # a file in place may change

    return read, window


def _upright(values: NDArray[Any], *, white: int) -> NDArray[Any]:
    """Turns values of which 0 is white into values of which 0 is black.

    Args:
        values: Of unsigned integers.
        white: The largest value that they may have; 0 where 0 is black already.
    """
    if not white:
        return values
    return np.asarray(values.dtype.type(white) - values)


def _coloured(values: NDArray[Any], page: Any, palette: NDArray[Any] | None) -> NDArray[Any]:
    """Applies a palette, converts CMYK to RGB, and drops alpha."""
    if palette is not None:
        table = (palette.T >> 8).astype(np.uint8) if palette.max() > 255 else palette.T.astype(np.uint8)
        return np.asarray(table[np.minimum(values, len(table) - 1)])
    if values.ndim == 3 and page.photometric == _SEPARATED and values.shape[2] == 4:
        most = np.iinfo(values.dtype).max
        light = (most - values.astype(np.float64)) / most
        return np.rint(light[..., :3] * light[..., 3:] * most).astype(values.dtype)
    if values.ndim == 3 and values.shape[2] == 4 and page.photometric in (_RGB, _YCBCR):
        return values[..., :3]
    if values.ndim == 3 and values.shape[2] == 2 and page.extrasamples and page.extrasamples[-1] in _ALPHA:
        return values[..., 0]
    return values
