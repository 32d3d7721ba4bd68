"""Writes OME-TIFFs in several files as programs of microscopes do: two channels, two focal planes, two times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tifffile
from tests.data.files.synthetic import NUCLEI, OTHER

STACK = np.stack(
    [np.stack([np.stack([OTHER, NUCLEI // (2 - depth)]) for depth in range(2)]) + np.uint8(5 * time) for time in (0, 1)]
)
"""``(time, depth, channel, height, width)``; the nuclei are in channel 1, brightest in depth 1."""

NAMES = ("img_MMStack_Pos0.ome.tif", "img_MMStack_Pos0_1.ome.tif")
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{}">'
)


def full(own: str, names: Sequence[str] = NAMES, stack: np.ndarray = STACK, *, by: int = 0) -> str:
    """The metadata of the whole image, in a file with the number `own`; axis `by` is that of the files."""
    places = list(np.ndindex(stack.shape[:3]))
    data = ""
    for time, depth, channel in places:
        file = (time, depth, channel)[by]
        page = [place for place in places if place[by] == file].index((time, depth, channel))
        data += (
            f'<TiffData IFD="{page}" PlaneCount="1" FirstT="{time}" FirstZ="{depth}" FirstC="{channel}">'
            f'<UUID FileName="{names[file]}">urn:uuid:{file}</UUID></TiffData>'
        )
    times, depth, _, height, width = stack.shape
    return (
        _HEAD.format(own)
        + '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" PhysicalSizeX="0.5" '
        f'PhysicalSizeY="0.5" SizeX="{width}" SizeY="{height}" SizeC="2" SizeZ="{depth}" SizeT="{times}">'
        f'<Channel ID="Channel:0:0" Name="GFP"/><Channel ID="Channel:0:1" Name="DAPI"/>{data}</Pixels></Image></OME>'
    )


def only(own: str, master: str) -> str:
    """The metadata of a file that leaves them to another one."""
    return f'{_HEAD.format(own)}<BinaryOnly MetadataFile="{master}" UUID="urn:uuid:master"/></OME>'


def put(path: Path, planes: np.ndarray, text: str, **options: object) -> None:
    """Writes a file of planes ``(plane, height, width)``, a page each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path) as writer:
        for number, plane in enumerate(planes):
            description = text if number == 0 else None
            writer.write(plane, photometric="minisblack", description=description, metadata=None, **options)


def parts(by: int) -> list[np.ndarray]:
    """The planes of each file, where axis `by` of the stack is that of the files."""
    return [np.take(STACK, [number], axis=by).reshape(-1, *STACK.shape[3:]) for number in range(2)]


def in_each(folder: Path, *, by: int = 0, **options: object) -> None:
    """As Bio-Formats does: the metadata stand in each file."""
    for number, planes in enumerate(parts(by)):
        put(folder / NAMES[number], planes, full(f"urn:uuid:{number}", by=by), **options)


def in_the_first(folder: Path, *, by: int = 0, **options: object) -> None:
    """As Micro-Manager does: the others name the first file."""
    for number, planes in enumerate(parts(by)):
        text = only("urn:uuid:1", NAMES[0]) if number else full("urn:uuid:0", by=by)
        put(folder / NAMES[number], planes, text, **options)


def in_a_companion(folder: Path, *, by: int = 0, **options: object) -> None:
    """As spinning-disc and plate software does: a file of metadata alone."""
    for number, planes in enumerate(parts(by)):
        put(folder / NAMES[number], planes, only(f"urn:uuid:{number}", "img.companion.ome"), **options)
    (folder / "img.companion.ome").write_text(full("urn:uuid:master", by=by), encoding="utf-8")


WAYS: dict[str, Callable[..., None]] = {"each": in_each, "first": in_the_first, "companion": in_a_companion}
LEADS = {"each": NAMES[0], "first": NAMES[0], "companion": "img.companion.ome"}
