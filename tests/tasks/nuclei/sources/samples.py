"""Small images and masks, and datasets that hold them as distributed: a zip or a folder."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def png(pixels: Array) -> bytes:
    """Encodes grey, RGB or RGBA pixels."""
    swap = {2: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[pixels.shape[2] if pixels.ndim == 3 else 2]
    ok, data = cv2.imencode(".png", pixels if swap is None else cv2.cvtColor(pixels, swap))
    assert ok
    return data.tobytes()


def mask(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> Array:
    """Draws boxes ``y0, x0, y1, x1`` at 255."""
    pixels = np.zeros(shape, np.uint8)
    for y0, x0, y1, x1 in boxes:
        pixels[y0:y1, x0:x1] = 255
    return pixels


def zipped(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def unpacked(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


GREY = np.arange(6 * 8, dtype=np.uint8).reshape(6, 8)
IMAGE = png(GREY)
MASK = png(mask((6, 8), (0, 0, 2, 2)))
SOUND = {"s/images/s.png": IMAGE, "s/masks/a.png": MASK}
