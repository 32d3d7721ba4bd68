"""The light of nanotubes in an image in colours: one grey value per pixel."""

from __future__ import annotations

import numpy as np

from nanonuclei.imaging.types import Image


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
