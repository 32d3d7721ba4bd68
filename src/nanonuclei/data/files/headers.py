"""Format and size of an image file, read from its first bytes without decoding it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from nanonuclei.errors import DataError

PNG, JPEG, GIF, BMP, JP2, J2K = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF8",
    b"BM",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n",
    b"\xff\x4f\xff\x51",
)
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a JPEG that begin a frame (ITU-T T.81, table B.1)."""

_JPEG_LS = 0xF7
"""Marker of a frame of JPEG-LS (ITU-T T.87)."""

_FOREIGN = {
    b"ZISRAWFILE": "a CZI file of Zeiss",
    b"\x0a\x0a\x0a\x0a": "an ND2 file of Nikon",
    b"\xda\xce\xbe\x0a": "an ND2 file of Nikon",
    b"\xd0\xcf\x11\xe0": "an OIB or ZVI file",
    b"\x70\x00\x00\x00": "a LIF file of Leica",
    b"\x89HDF": "an HDF5 file",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip",
    b"\xff\x0a": "a JPEG XL image",
    b"\x00\x00\x00\x0cJXL ": "a JPEG XL image",
}
"""Formats that are not read, by their first bytes."""

FOREIGN_SUFFIXES = {
    ".czi": "a CZI file of Zeiss",
    ".nd2": "an ND2 file of Nikon",
    ".lif": "a LIF file of Leica",
    ".oib": "an OIB file of Olympus",
    ".oif": "an OIF file of Olympus",
    ".oir": "an OIR file of Olympus",
    ".vsi": "a VSI file of Olympus",
    ".zvi": "a ZVI file of Zeiss",
    ".ims": "an IMS file of Imaris",
    ".mrxs": "an MRXS file of 3DHistech",
    ".dcm": "a DICOM file",
    ".mrc": "an MRC file",
    ".heic": "a HEIC image",
    ".heif": "a HEIC image",
    ".avif": "an AVIF image",
    ".jxl": "a JPEG XL image",
    ".jxr": "a JPEG XR image",
    ".jls": "a JPEG-LS image",
    ".pgm": "a PGM image",
    ".ppm": "a PPM image",
    ".tga": "a TGA image",
}
"""Formats that are not read, by the ends of names in small letters."""

SHELLS = (".vsi", ".mrxs", ".oif")
"""Files of which the first bytes say another format: their pixels lie in a folder beside them."""


def foreign(name: str) -> str:
    """Returns why a file of another format is refused, by its name; empty where the name says nothing of the kind."""
    kind = next((kind for suffix, kind in FOREIGN_SUFFIXES.items() if name.lower().endswith(suffix)), "")
    return f"{kind}, which is not read. Export it as OME-TIFF or PNG, for example with Fiji" if kind else ""


@dataclass(frozen=True)
class Header:
    """What the first bytes of an image file say.

    Attributes:
        format: ``PNG``, ``JPEG``, ``GIF``, ``BMP``, ``JPEG 2000``, ``WebP`` or ``TIFF``.
        height: Height, px; 0 for TIFF, whose size stands elsewhere in the file.
        width: Width, px; 0 for TIFF.
        bytes_per_pixel: The most that a decoded pixel takes.
    """

    format: str
    height: int = 0
    width: int = 0
    bytes_per_pixel: int = 1


def read_header(head: bytes) -> Header:
    """Reads format and size.

    Args:
        head: The first 64 KiB of the file, or all of it. Of a JPEG whose metadata are longer, all of it.

    Raises:
        DataError: It is of a format that is not read, or its header is damaged.
    """
    try:
        return _header(head)
    except (struct.error, IndexError) as error:
        raise DataError("not a readable image: its header is damaged or cut short. Save it again") from error


def is_cut_short(content: bytes) -> bool:
    """Returns whether a PNG or JPEG lacks its end; of other formats their decoders tell.

    Args:
        content: The whole file.
    """
    if content.startswith(PNG):
        return b"IEND" not in content[-1024:]
    return content.startswith(JPEG) and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda")


def num_png_images(content: bytes) -> int:
    """Returns how many images a PNG holds: more than one where it is animated (PNG, 3rd edition, chunk acTL)."""
    place = len(PNG)
    while place + 12 <= len(content):
        size, kind = struct.unpack(">I4s", content[place : place + 8])
        if kind == b"IDAT":
            break
        if kind == b"acTL" and size == 8:
            return int.from_bytes(content[place + 8 : place + 12])
        place += 12 + size
    return 1


def _header(head: bytes) -> Header:
    if head.startswith(TIFF):
        return Header("TIFF")
    if head.startswith(PNG):
        if head[12:16] != b"IHDR":
            raise DataError("not a readable image: a PNG without its header. Save it again")
        width, height, depth, colour = struct.unpack(">IIBB", head[16:26])
        samples = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}.get(colour, 4)
        return Header("PNG", height, width, samples * max(1, depth // 8))
    if head.startswith(JPEG):
        return _jpeg(head)
    if head.startswith(GIF):
        width, height = struct.unpack("<HH", head[6:10])
        return Header("GIF", height, width, 4)
    if head.startswith((JP2, J2K)):
        return _jpeg2000(head)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp(head)
    if head.startswith(BMP) and len(head) >= 26:
        return _bmp(head)
    kind = next((name for start, name in _FOREIGN.items() if head.startswith(start)), None)
    if head[4:12] in (b"ftypavif", b"ftypheic", b"ftypmif1"):
        kind = "an AVIF or HEIC image"
    if head[128:132] == b"DICM":
        kind = "a DICOM file"
    if head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise DataError("a web page, not an image. Download the image that it shows")
    if kind is not None:
        raise DataError(f"{kind}, which is not read. Export it as OME-TIFF or PNG")
    raise DataError("not a readable image: damaged, cut short or of another format. Save it as PNG or TIFF")


def _jpeg(head: bytes) -> Header:
    """Goes from segment to segment up to the frame's header (ITU-T T.81, B.1 and B.2.2)."""
    place = 2
    while head[place] == 0xFF:
        marker = head[place + 1]
        if marker == _JPEG_LS:
            raise DataError("a JPEG-LS image, which is not read. Export it as OME-TIFF or PNG")
        if marker in FRAMES:
            depth, height, width, samples = struct.unpack(">BHHB", head[place + 4 : place + 10])
            return Header("JPEG", height, width, samples * max(1, (depth + 7) // 8))
        place += 1 if marker == 0xFF else 2 + struct.unpack(">H", head[place + 2 : place + 4])[0]
    raise DataError("not a readable image: the header of the JPEG is damaged. Save it again")


def _jpeg2000(head: bytes) -> Header:
    """Reads the marker SIZ of the code stream (ITU-T T.800, A.5.1), which decoders go by."""
    place = head.find(J2K)
    if place < 0:
        raise DataError("not a readable image: a JPEG 2000 without its header. Save it again")
    x1, y1, x0, y0 = struct.unpack(">4I", head[place + 8 : place + 24])
    (samples,) = struct.unpack(">H", head[place + 40 : place + 42])
    depth = (head[place + 42] & 0x7F) + 1
    return Header("JPEG 2000", y1 - y0, x1 - x0, samples * max(1, (depth + 7) // 8))


def _webp(head: bytes) -> Header:
    """Reads the first chunk (Google's WebP container specification)."""
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(head[place : place + 3], "little") + 1 for place in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (value & 0x3FFF for value in struct.unpack("<HH", head[26:30]))
    return Header("WebP", height, width, 4)


def _bmp(head: bytes) -> Header:
    (size,) = struct.unpack("<I", head[14:18])
    width, height = struct.unpack("<HH", head[18:22]) if size == 12 else struct.unpack("<ii", head[18:26])
    return Header("BMP", abs(height), abs(width), 4)
