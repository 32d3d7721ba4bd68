"""Label Studio's run lengths of brush strokes: a stream of bits, those of https://github.com/thi-ng/umbrella, rle-pack.

Head: number of values (32 bits), bits of a value less 1 (5), and four widths of run lengths less 1 (4 each). Then runs:
one bit says whether a value is repeated, two bits which width the length has, then the length less 1, then the value,
or as many values. Values are bytes of red, green, blue and alpha, pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nanonuclei.errors import DataError

WIDTHS = (3, 4, 8, 16)
"""Bits of run lengths, as Label Studio's own converter chooses them."""


def decode(stream: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Returns the painted pixels.

    Args:
        stream: Bytes as numbers.
        size: Height and width of the image, px.

    Raises:
        DataError: The stream ends too early, or is of an image of another size.
    """
    height, width = size
    try:
        bits = np.unpackbits(np.array(stream, np.uint8))
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError("brush strokes must be bytes. Export the project as JSON again") from error
    at = 0

    def read(number: int) -> int:
        nonlocal at
        if at + number > len(bits):
            raise DataError("brush strokes end too early. Export the project as JSON again")
        part = bits[at : at + number]
        at += number
        value = 0
        for bit in part.tolist():
            value = value << 1 | bit
        return value

    count, word = read(32), read(5) + 1
    widths = [read(4) + 1 for _ in range(4)]
    if count != 4 * height * width:
        raise DataError(
            f"brush strokes of {count // 4:,} pixels on an image of {width} x {height} px. Correct it on the image "
            "itself"
        )
    values = np.zeros(count, np.uint8)
    place = 0
    while place < count:
        repeated = read(1)
        end = min(count, place + 1 + read(widths[read(2)]))
        if repeated:
            values[place:end] = read(word) & 0xFF
        else:
            values[place:end] = [read(word) & 0xFF for _ in range(end - place)]
        place = end
    return np.asarray(values.reshape(height, width, 4)[..., 3] > 0)


def encode(mask: NDArray[np.bool_]) -> list[int]:
    """Returns the stream of a mask: white and opaque where it is painted, else nothing."""
    values = np.repeat(mask.ravel().astype(np.uint8) * 255, 4)
    cuts = np.flatnonzero(np.diff(values)) + 1
    starts, ends = np.concatenate([[0], cuts]), np.concatenate([cuts, [len(values)]])
    parts = [f"{len(values):032b}", f"{7:05b}", *(f"{width - 1:04b}" for width in WIDTHS)]
    most = 2 ** WIDTHS[-1]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        while start < end:
            length = min(most, end - start)
            chosen = next(place for place, width in enumerate(WIDTHS) if length <= 2**width)
            parts.append(f"1{chosen:02b}{length - 1:0{WIDTHS[chosen]}b}{values[start]:08b}")
            start += length
    text = "".join(parts)
    bits = np.frombuffer(text.encode(), np.uint8) - ord("0")
    return [int(byte) for byte in np.packbits(bits)]
