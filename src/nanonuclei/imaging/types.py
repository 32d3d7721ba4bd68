"""Array types that every layer names alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
UInt16Array = NDArray[np.uint16]
Int32Array = NDArray[np.int32]
Float32Array = NDArray[np.float32]
Image = NDArray[Any]
"""``(height, width)`` or ``(height, width, 3)``, uint8 or uint16; colour in RGB order."""
Labels = NDArray[Any]
"""``(height, width)`` integers: 0 is background, every other value one object."""
Box = tuple[int, int, int, int]
"""``y0, x0, y1, x1`` of a window, px, half open."""
