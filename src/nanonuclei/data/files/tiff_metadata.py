"""Names of channels and size of a pixel, as OME, ImageJ or the TIFF itself tell them."""

from __future__ import annotations

import functools
import math
import re
from xml.etree import ElementTree

import tifffile

from nanonuclei.data.files.scene import clean_name

MICROMETRES = {
    "nm": 1e-3,
    "um": 1.0,
    "\u00b5m": 1.0,
    "\u03bcm": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
}
"""Units of lengths, by the names that OME and ImageJ write; the micro sign comes as two characters."""

PLAUSIBLE = (1e-3, 100.0)
"""Smallest and largest side of a pixel that is believed, micrometres: a printer's 72 dots per inch is 353."""

SQUARE = 0.01
"""Largest relative difference of height and width of a pixel that is called square."""

_CENTIMETRE = 3
_DIGITS = 20
"""Digits of a number of planes that are believed to be one."""

_PLANE = re.compile(r"c:\d+/\d+ (?:z:\d+/\d+ )?(?:t:\d+/\d+ )?- ")
"""What Fiji writes before the name of a channel, of each plane of a hyperstack; channels count fastest."""


def channel_names(tiff: tifffile.TiffFile, num: int, *, number: int = 0) -> tuple[str, ...]:
    """Returns the names of the channels, empty where they have none.

    Args:
        tiff: An open file.
        num: How many channels there are.
        number: Of the recording, where there are several.
    """
    names: list[str] = []
    pixels = _ome_pixels(tiff, number)
    if pixels is not None:
        names = [channel.get("Name") or channel.get("Fluor") or "" for channel in pixels.findall("{*}Channel")]
    elif tiff.imagej_metadata:
        labels = tiff.imagej_metadata.get("Labels")
        names = [str(label) for label in labels] if isinstance(labels, list) else []
        if len(names) > num and all(_PLANE.match(label) for label in names[:num]):
            names = [_PLANE.sub("", label) for label in names[:num]]
    return tuple(map(clean_name, names)) if len(names) == num else ("",) * num


def pixel_size(tiff: tifffile.TiffFile, *, number: int = 0) -> float | None:
    """Returns the side of a pixel, micrometres; None where it is not told, not plausible or not square.

    Args:
        tiff: An open file. OME's PhysicalSize counts before ImageJ's unit, that before a resolution in centimetres.
            Dots per inch are not taken: programs write them without having measured anything.
        number: Of the recording, where there are several.
    """
    pixels = _ome_pixels(tiff, number)
    if pixels is not None:
        height, width = (_ome_length(pixels, axis) for axis in "YX")
    else:
        page = tiff.pages.first
        unit = (tiff.imagej_metadata or {}).get("unit")
        resolution_unit = page.tags.valueof("ResolutionUnit")
        if unit is not None:
            # ImageJ writes the micro sign as six characters, Python's escape of it.
            factor = MICROMETRES.get(str(unit).replace("\\u00B5", "\u00b5").lower(), 0.0)
        else:
            factor = MICROMETRES["cm"] if resolution_unit == _CENTIMETRE else 0.0
        height, width = (factor * _inverse(page.tags.valueof(f"{axis}Resolution")) for axis in "YX")
    if not (PLAUSIBLE[0] <= width <= PLAUSIBLE[1]) or abs(height - width) > SQUARE * width:
        return None
    return width


def ome_planes(tiff: tifffile.TiffFile) -> int:
    """Returns how many planes OME's metadata count, over all recordings; 0 where there are none."""
    total = 0
    for pixels in _ome_recordings(tiff.ome_metadata or ""):
        total += planes_counted(pixels)
    return total


def planes_counted(pixels: ElementTree.Element) -> int:
    """Returns how many planes one recording of OME's metadata counts; colours of a pixel are in one plane."""
    channel = pixels.find("{*}Channel")
    depth, channels, times, samples = (
        int(size) if size.isdecimal() and len(size) < _DIGITS else 1
        for size in (
            *(pixels.get(f"Size{axis}", "1") for axis in "ZCT"),
            "1" if channel is None else channel.get("SamplesPerPixel", "1"),
        )
    )
    return depth * times * max(1, channels // max(1, samples))


def num_recordings(tiff: tifffile.TiffFile) -> int:
    """Returns how many recordings OME's metadata tell of."""
    return len(_ome_recordings(tiff.ome_metadata or ""))


def _ome_pixels(tiff: tifffile.TiffFile, number: int) -> ElementTree.Element | None:
    found = _ome_recordings(tiff.ome_metadata or "")
    return found[number] if number < len(found) else None


@functools.lru_cache(maxsize=1)
def _ome_recordings(text: str) -> list[ElementTree.Element]:
    """Parses OME's metadata, once for all recordings of a file."""
    try:
        return ElementTree.fromstring(text).findall("{*}Image/{*}Pixels") if text else []
    except ElementTree.ParseError:
        return []


def _ome_length(pixels: ElementTree.Element, axis: str) -> float:
    """A physical size in micrometres, which are OME's default unit; 0 where there is none."""
    try:
        length = float(pixels.get(f"PhysicalSize{axis}", "0"))
    except ValueError:
        return 0.0
    return length * MICROMETRES.get(pixels.get(f"PhysicalSize{axis}Unit", "um").lower(), 0.0)


def _inverse(resolution: object) -> float:
    """Length per pixel of a resolution as TIFF has it, a fraction; 0 where it is none."""
    if not isinstance(resolution, tuple) or len(resolution) != 2 or not all(resolution):
        return 0.0
    length = resolution[1] / resolution[0]
    return length if math.isfinite(length) else 0.0
