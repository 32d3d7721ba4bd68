"""What other tools are told of a network that scores windows for nanotubes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nanonuclei.errors import TrackingError
from nanonuclei.imaging.types import Image, UInt8Array
from nanonuclei.imaging.window_geometry import read_geometry
from nanonuclei.invocation import command
from nanonuclei.tasks.exchange import Channel, Described, Exchange, Output, Sizes
from nanonuclei.tasks.nanotubes.lines.light import brightest_channel
from nanonuclei.tasks.nanotubes.reader import GEOMETRY
from nanonuclei.tasks.nanotubes.score import METRIC_NAMES


class NanotubeExchange(Exchange):
    """A classifier that scans an image: one score per window."""

    metric_names = METRIC_NAMES

    def described(self, files: Mapping[str, Path], num_channels: int) -> Described:
        """Returns what the scanning network takes and answers.

        Raises:
            TrackingError: It is not known how its windows lie.
        """
        if GEOMETRY not in files:
            raise TrackingError(
                f"a network that scans must tell how its windows lie, but the model has no {GEOMETRY}. Log it again "
                f"with `{command('train', task=self.config.task)}`"
            )
        geometry = read_geometry(files[GEOMETRY].read_text(encoding="utf-8"))
        lost = geometry.patch // geometry.stride - 1
        advice = (
            f"The score at row r and column c is that of the window of {geometry.window} px that begins "
            f"{geometry.margin} px below and right of pixel ({geometry.stride} r, {geometry.stride} c). Mirror the "
            f"image by {geometry.margin} px at its borders to score them too.",
            "Lines between cells are read off the scores and the image together, which an operator of one output "
            "cannot see: this package holds the scores of windows. The program of this model reads the lines.",
        )
        maps = Output("maps", "Score of each window, 0 to 1", (Channel("window", 0),))
        return Described(
            colours=("grey",),
            sizes=Sizes(geometry.patch, geometry.stride, geometry.stride, lost),
            output=maps,
            structures=("tunneling nanotubes",),
            kind="detection",
            advice=advice,
        )

    def shown(self, image: Image) -> UInt8Array:
        """Returns the grey image ``(height, width)``: of a colour image each pixel's brightest colour."""
        return np.asarray(brightest_channel(image), np.uint8)
