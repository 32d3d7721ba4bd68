"""Images of live neurons with their masks made into datasets of nanotubes: whole images, or windows already cut.

The images are transmitted light, 1280 x 960, of one or few neurons each; their masks cover soma and processes alike.
They stand in for nanotubes, which they are not: processes are dendrites, thicker, branched, and bound to one cell.

Three things are done to them, chosen by looking at the images, before any training:

* **Thin process** is what the opening of a mask by a disc of `SOMA` px removes: somas hold such a disc, processes do
  not. The mask is drawn with a broad pen, about 33 px where the process itself measures 12 to 25 px.
* All is **reduced** `SCALE` times, by the mean over squares, so that a process is 2 to 5 px wide, as a nanotube is.
* Grey values are **turned over**: a process is dark here, while a nanotube in a membrane stain is bright, which is what
  `augment.mixup`, the brighter pixel of two windows, counts on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.catalog import SampleRef
from nanonuclei.errors import DataError
from nanonuclei.imaging.windows import cover
from nanonuclei.tasks.nanotubes.config import NanotubeExperiment
from nanonuclei.tasks.nanotubes.sources.samples import tube_truth
from nanonuclei.tasks.nanotubes.target import LEFT_OUT, label_windows

SOMA = 91
"""Diameter of a disc that fits into a soma and not into a process, px of the original images."""
SCALE = 5
FOLDERS = {1: "positive", 0: "negative"}


def thin_part(mask: NDArray[np.uint8], diameter: int = SOMA) -> NDArray[np.uint8]:
    """Returns what a mask loses when it is opened by a disc.

    Args:
        mask: ``(height, width)`` uint8, 0 or 1.
        diameter: Of the disc, px, odd.

    Returns:
        ``(height, width)`` uint8, 0 or 1.
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    return mask & (1 - cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc))


def reduced(image: NDArray[np.generic], scale: int = SCALE) -> NDArray[np.float32]:
    """Returns the means over squares of `scale` px; what is left over below and on the right is cut off."""
    height, width = (side // scale for side in image.shape)
    whole = image[: height * scale, : width * scale].astype(np.float32)
    return whole.reshape(height, scale, width, scale).mean(axis=(1, 3))


def write_images(source: Path, output: Path) -> int:
    """Writes ``images/<name>.png`` and ``masks/<name>.png`` as `nanonuclei.tasks.nanotubes.sources.layout` reads them.

    Args:
        source: Folder with ``images/<name>.jpg`` and ``masks/<name>.png``.
        output: Folder to make.

    Returns:
        How many images there are.

    Raises:
        DataError: There are none, one lacks its mask, or the two differ in size.
    """
    paths = sorted((source / "images").glob("*.jpg"))
    if not paths:
        raise DataError(f"{source} must hold images/*.jpg and masks/*.png, but has no such image. Give another --data")
    for name in ("images", "masks"):
        (output / name).mkdir(parents=True, exist_ok=True)
    for path in paths:
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        mask_path = source / "masks" / f"{path.stem}.png"
        mask = cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE)
        if image is None or mask is None or image.shape != mask.shape:
            raise DataError(f"{path} and {mask_path} must be images of one size, but are not. Get the data again")
        dark = 255 - np.rint(reduced(image)).astype(np.uint8)
        thin = (reduced(thin_part((mask > 0).astype(np.uint8))) >= 0.5).astype(np.uint8)
        _write(output / "images" / f"{path.stem}.png", dark)
        _write(output / "masks" / f"{path.stem}.png", 255 * thin)
    return len(paths)


def write_windows(samples: Sequence[SampleRef], output: Path, *, config: NanotubeExperiment, step: int) -> list[int]:
    """Cuts the labelled windows out of images: ``positive/<image>_<y>_<x>.png`` and ``negative/...``.

    Args:
        samples: Prepared images.
        output: Folder to make.
        config: `data.labels` and `train.patch_size` are read.
        step: Distance of neighbouring windows, px.

    Returns:
        How many windows are negative, and how many positive.
    """
    size = config.train.patch_size
    for name in FOLDERS.values():
        (output / name).mkdir(parents=True, exist_ok=True)
    counts = [0, 0]
    for sample in samples:
        image = sample.image()
        windows = cover(image.shape[:2], size, step)
        labels = label_windows(tube_truth(sample), windows, config.data.labels)
        for (y0, x0, y1, x1), label in zip(windows, labels, strict=True):
            if label != LEFT_OUT:
                name = f"{sample.sample_id}_{y0:03}_{x0:03}.png"
                _write(output / FOLDERS[int(label)] / name, image[y0:y1, x0:x1])
                counts[label] += 1
    return counts


def image_of(window_id: str) -> str:
    """Returns the image that a window of `write_windows` was cut from."""
    return window_id.rsplit("_", 2)[0]


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
