"""Regions of ImageJ and Fiji: one file, or the zip of a ROI manager."""

from __future__ import annotations

import contextlib
import io
import logging
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np
from roifile import ROI_TYPE, ImagejRoi

from nanonuclei.counted import counted
from nanonuclei.data.corrected.shapes import Drawn, Shape, Stroke
from nanonuclei.errors import DataError

AREAS = (ROI_TYPE.POLYGON, ROI_TYPE.RECT, ROI_TYPE.OVAL, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)
"""Types of regions that are areas. Their coordinates are those of pixel corners, as ImageJ draws them."""

LINES = (ROI_TYPE.LINE, ROI_TYPE.POLYLINE, ROI_TYPE.FREELINE)
"""Types of regions that are lines."""

MOST_BYTES = 16 * 2**20
"""Largest region that is read, bytes."""


def read_rois(content: bytes) -> Drawn:
    """Reads the regions of an image: areas, and lines apart from them.

    Raises:
        DataError: The file is neither a region nor a zip of regions.
    """
    shapes, strokes, others = [], [], 0
    for number, (name, data) in enumerate(_regions(content), start=1):
        try:
            with _logged() as told:
                region = ImagejRoi.frombytes(data)
        except (ValueError, IndexError, TypeError, struct.error, OverflowError) as error:
            raise DataError(f"{name} is no region of ImageJ. In Fiji choose ROI Manager > More > Save") from error
        if any("exceeds data size" in text for text in told):
            raise DataError(f"{name} is a region of ImageJ that is cut short. Save the regions again")
        called = region.name or str(number)
        if region.roitype not in AREAS:
            others += 1
            if region.roitype in LINES:
                points = np.asarray(region.coordinates(), np.float64)
                strokes.append(Stroke(f"region {called}", points, called.rstrip("0123456789-_ ")))
            continue
        rings = tuple(np.asarray(ring, np.float64) for ring in region.coordinates(multi=True))
        shapes.append(Shape(f"region {called}", tuple(ring for ring in rings if len(ring) > 2)))
    notes = (f"passed over: {counted(others, 'point or line', 'points or lines')}",) if others else ()
    return Drawn(tuple(shapes), None, notes, tuple(strokes))


@contextlib.contextmanager
def _logged() -> Iterator[list[str]]:
    """Yields what `roifile` logs meanwhile, which knows no name of a file, and keeps it off the terminal."""
    told: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        told.append(record.getMessage())
        return False

    logger = logging.getLogger("roifile")
    logger.addFilter(keep)
    try:
        yield told
    finally:
        logger.removeFilter(keep)


def _regions(content: bytes) -> list[tuple[str, bytes]]:
    if content.startswith(b"Iout"):
        return [("the file", content)]
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.lower().endswith(".roi")]
            if any(entry.file_size > MOST_BYTES for entry in entries):
                raise DataError(f"a region of more than {MOST_BYTES:,} bytes. Save the regions again")
            return [(entry.filename, archive.read(entry)) for entry in entries]
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError) as error:
        raise DataError("no zip of regions. In Fiji choose ROI Manager > More > Save") from error
