"""One plane out of a stack: one focal plane, or a projection over all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanonuclei.data.files.numeric import measurable
from nanonuclei.data.files.scene import Scene
from nanonuclei.errors import DataError


def projected(scene: Scene, time: int, channel: int, z: int | str) -> NDArray[Any]:
    """Returns one channel of one time, ``(height, width)``: a focal plane, or ``max`` or ``mean`` over them."""
    samples = "S" if scene.colour or "C" not in scene.extents else "C"
    at = {"T": time}
    if samples in scene.extents:
        at[samples] = channel
    num = scene.extents.get("Z", 1)
    if num == 1 or isinstance(z, int):
        return scene.read({**at, "Z": z if isinstance(z, int) else 0})
    result = measurable(scene.read({**at, "Z": 0}))
    if z == "max":
        for place in range(1, num):
            result = np.maximum(result, measurable(scene.read({**at, "Z": place})))
        return np.asarray(result)
    total = result.astype(np.float64)
    for place in range(1, num):
        total += measurable(scene.read({**at, "Z": place}))
    mean = total / num
    return np.asarray(mean if result.dtype.kind == "f" else np.rint(mean), result.dtype)


def check_z(z: int | str, num: int) -> None:
    """Makes sure that there are such focal planes.

    Raises:
        DataError: There are not, or `z` is neither a number nor ``max`` nor ``mean``.
    """
    if isinstance(z, int):
        if not 0 <= z < num:
            raise DataError(f"no focal plane {z}; there are {num}, from 0. Change z, or take z=max")
    elif z not in ("max", "mean"):
        raise DataError(f"z must be max, mean or the number of a focal plane, got {z!r}. Take z=max")
