"""How an image was taken, guessed from its pixels: where the light comes from decides what the background looks like.

In fluorescence the nuclei shine and nothing else does, so the background lies at the dark end of the image's own range,
whatever exposure and camera offset are. In transmitted light the background is the lamp and the tissue takes light
away, so it lies at the bright end; a stain takes some colours more than others, and an image without colour is plain
brightfield.
"""

from __future__ import annotations

import cv2
import numpy as np

from nanonuclei.imaging.types import Image

MODALITIES = ("fluorescence", "stained", "brightfield")

MAX_DARK_BACKGROUND = 0.33
"""Highest background of fluorescence, 0 the darkest and 1 the brightest place of the image.

On DSB 2018 fluorescence reaches 0.18 and transmitted light begins at 0.51.
"""
MIN_COLOUR = 0.1
"""Lowest colour of a stain, as a share of the brightest place: brightest channel less darkest, 98th percentile.

The palest stained image of DSB 2018 has 0.33, its brightfield images have none.
"""

_SPECK = 5  # px; median filter, so that hot pixels and dust do not set the range
_COLOURED_PLACES = 98  # percentile; a stain may cover a small part only


def guess_modality(image: Image) -> str:
    """Guesses how an image was taken.

    Takes the median pixel for background, so it errs where bright nuclei cover more than half of a fluorescence image.
    An image of one grey value is transmitted light where that value lies in the upper half of its type's range.

    Args:
        image: ``(height, width)`` or ``(height, width, 3)`` RGB, uint8 or uint16.

    Returns:
        One of `MODALITIES`.
    """
    clean = cv2.medianBlur(image, _SPECK)
    grey = clean if clean.ndim == 2 else clean.mean(axis=2)
    darkest, brightest = float(grey.min()), float(grey.max())
    background = float(np.median(grey))
    if brightest > darkest:
        level = (background - darkest) / (brightest - darkest)
    else:
        level = background / float(np.iinfo(image.dtype).max)
    if level <= MAX_DARK_BACKGROUND or brightest == 0:
        return "fluorescence"
    if clean.ndim == 3:
        colour = clean.max(axis=2).astype(np.float32) - clean.min(axis=2)
        if np.percentile(colour, _COLOURED_PLACES) / brightest >= MIN_COLOUR:
            return "stained"
    return "brightfield"
