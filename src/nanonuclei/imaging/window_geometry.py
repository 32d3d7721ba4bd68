"""How the windows of a scan lie: all that reading scores off a tile needs to know of the network that gave them."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields

from nanonuclei.errors import DataError
from nanonuclei.invocation import command


@dataclass(frozen=True)
class WindowGeometry:
    """How windows lie in what the network sees, px.

    Attributes:
        window: Side of a window, a multiple of the stride.
        margin: Context on each side of it, a multiple of the stride.
        stride: Pixels per feature of the trunk, and from score to score of a scan.
    """

    window: int
    margin: int
    stride: int

    @property
    def patch(self) -> int:
        """Side of a window with its margins."""
        return self.window + 2 * self.margin

    def extent(self, number: int) -> int:
        """Returns the side of a tile that holds so many windows, px."""
        return self.patch + (number - 1) * self.stride

    def windows_in(self, side: int) -> int:
        """Returns how many windows a tile of this side holds along it, with their margins; 0 or less: none."""
        return (side - self.patch) // self.stride + 1

    def windows_along(self, length: int) -> int:
        """Returns how many windows a scan has along a side of an image: a stride apart, the last reaches its end."""
        return max(0, math.ceil((length - self.window) / self.stride)) + 1


def geometry_text(geometry: WindowGeometry) -> str:
    """Returns a geometry as JSON, as it is stored beside a network."""
    return json.dumps(asdict(geometry), indent=2) + "\n"


def read_geometry(text: str) -> WindowGeometry:
    """Reads a geometry from JSON.

    Raises:
        DataError: It is none.
    """
    names = {field.name for field in fields(WindowGeometry)}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or set(found) != names or any(type(value) is not int for value in found.values()):
        raise DataError(
            f"the geometry of a scan must be JSON with whole numbers for {', '.join(sorted(names))}, got "
            f"{' '.join(text.split())[:100]!r}. Log the model again with `{command('train')}`"
        )
    return WindowGeometry(**found)
