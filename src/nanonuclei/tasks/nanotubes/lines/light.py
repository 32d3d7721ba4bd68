"""The light of nanotubes in an image: one grey value per pixel of colours, and whether lines may be dark."""

from __future__ import annotations

import numpy as np

from nanonuclei.imaging.types import Float32Array, Image

DARK_SHARE, DARK = 5.0, 0.16
"""Percentile of the grey values that is at most this in fluorescence, where some of the ground is always dark."""


def brightest_channel(image: Image) -> Image:
    """Returns each pixel's brightest colour, which is as bright in a false colour as in grey; grey images as they are.

    A mean over red, green and blue leaves a third of a line that is shown in one of them, and the first channel of a
    green image is black.

    Args:
        image: ``(height, width)`` or ``(height, width, channel)`` with 1, 3 or 4 channels, the fourth being alpha.

    Returns:
        ``(height, width)`` of the same type.
    """
    return image if image.ndim == 2 else np.ascontiguousarray(image[..., :3].max(axis=-1))


def is_transmitted(grey: Float32Array) -> bool:
    """Whether an image is one of transmitted light, phase contrast or bright field: hardly anything in it is dark.

    Args:
        grey: ``(height, width)`` float32, normalised to 0..1.
    """
    return bool(np.percentile(grey[::2, ::2], DARK_SHARE) > DARK)
