"""Objects as regions of ImageJ's and Fiji's ROI manager: one zip per image."""

from __future__ import annotations

import io
import itertools
import zipfile

import numpy as np
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi
from shapely.geometry import MultiPolygon, Polygon

from nanonuclei.report.exports.found import Found
from nanonuclei.report.exports.outlines import outlines

_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0
"""Steps of a path of several rings, as Java's PathIterator numbers them."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of the entries: the same objects give the same bytes."""


def imagej_rois(found: Found) -> bytes:
    """Returns a zip with one region per object, named by its label: ``0001.roi``.

    Polygons run along the edges of pixels and hold exactly the pixels of the object; an object with holes or of several
    parts is a composite region. Objects that are lines are polylines. Objects without pixels are left out.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        add_rois(archive, found)
    return content.getvalue()


def add_rois(archive: zipfile.ZipFile, found: Found) -> None:
    """Adds the regions of the objects of an image, or of a window of one, to an archive; see `imagej_rois`."""
    lines, frame = found.lines(), found.frame
    corner, first = ((frame.y0, frame.x0), frame.first) if frame else ((0, 0), 1)
    regions = map(_region, outlines(found.instances, corner)) if lines is None else map(_polyline, lines)
    for label, region in enumerate(regions, start=first):
        if region is not None:
            region.name = f"{label:04}"
            archive.writestr(zipfile.ZipInfo(f"{region.name}.roi", _EPOCH), region.tobytes())


def _region(shape: Polygon | MultiPolygon) -> ImagejRoi | None:
    if shape.is_empty:
        return None
    x0, y0, x1, y1 = (int(bound) for bound in shape.bounds)
    parts = [shape] if isinstance(shape, Polygon) else list(shape.geoms)
    if len(parts) == 1 and not parts[0].interiors:
        region = ImagejRoi.frompoints(np.array(parts[0].exterior.coords[:-1], np.int32))
        region.roitype = ROI_TYPE.TRACED
        region.right, region.bottom = x1, y1
        return region
    steps = []
    for ring in itertools.chain.from_iterable((part.exterior, *part.interiors) for part in parts):
        kinds = itertools.chain([_MOVE], itertools.repeat(_LINE))
        for kind, (x, y) in zip(kinds, ring.coords[:-1], strict=False):
            steps += [kind, x, y]
        steps.append(_CLOSE)
    region = ImagejRoi()
    region.roitype = ROI_TYPE.RECT
    region.left, region.top, region.right, region.bottom = x0, y0, x1, y1
    region.multi_coordinates = np.array(steps, np.float32)
    region.shape_roi_size = len(steps)
    return region


def _polyline(points: list[list[float]]) -> ImagejRoi:
    region = ImagejRoi.frompoints(np.array(points, np.float32))
    region.roitype = ROI_TYPE.POLYLINE
    region.options |= ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    return region
